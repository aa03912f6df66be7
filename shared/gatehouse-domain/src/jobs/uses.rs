//! What jobs use of a provider.

use std::collections::BTreeSet;

use super::job::{Job, JobFilter, ListJobs};
use crate::{
    caller::Tenants,
    ci::{Delivery, TargetUse},
    name::{JobId, ProviderName},
    paging::{Limit, ListError, PageRequest},
    scopes::{ScopeClosed, Shares, Use},
};

/// How many pages of jobs are looked at: enough for 2,000 jobs within the time of a request.
const PAGES: usize = 20;

/// What jobs use of a provider.
#[derive(Debug, Default)]
pub struct Uses {
    /// The jobs, and what each points at, in the same order.
    pub jobs: Vec<JobId>,
    pub targets: Vec<TargetUse>,
    /// What their tenants may not use: no such job can be triggered.
    pub closed: BTreeSet<ScopeClosed>,
}

/// What jobs use of `provider`, whoever's they are.
pub async fn uses<S: ListJobs>(
    store: &S,
    shares: &Shares,
    provider: &ProviderName,
) -> Result<Uses, ListError> {
    let filter = JobFilter { tenants: Tenants::All, project: None, environment: None };
    let mut page = PageRequest {
        limit: Limit::new(Limit::MAX).unwrap_or_default(),
        cursor: None,
        ..PageRequest::default()
    };
    let mut uses = Uses::default();
    for _page in 0..PAGES {
        let jobs = store.list_jobs(&filter, &page).await?;
        for Job { id, tenant, spec, .. } in
            jobs.items.into_iter().filter(|job| job.spec.provider == *provider)
        {
            uses.closed.extend(shares.admit_target(provider, &tenant, &spec.target, Use::GoOn).err());
            let variables = spec.parameters.iter().filter_map(|parameter| {
                let Delivery::InstanceVar { name } = &parameter.deliver else { return None };
                name.split('.').next().map(str::to_owned)
            });
            let variables = variables.collect();
            uses.jobs.push(id);
            uses.targets.push(TargetUse { target: spec.target, variables });
        }
        page.cursor = jobs.next;
        if page.cursor.is_none() {
            break;
        }
    }
    Ok(uses)
}
