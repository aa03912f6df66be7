//! A jobs file is imported or refused, entry by entry; importing it again changes nothing; all or nothing means that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use ::jobs::jobs_file;
use async_trait::async_trait;
use axum::response::IntoResponse;
use gatehouse_domain::{
    access::Scope,
    audit::{AuditContext, Origin},
    caller::{Caller, Grant, Tenants},
    ci::ProviderKind,
    jobs::{self, Existing, FindForEdit, ImportEntry, ImportMode, Imported, Job, JobEdit, SaveJobs},
    name::{JobId, ProjectName, TenantId},
    project::{FindTenant, Project, TenantStanding},
    providers::{ListProviders, Provider},
    revision::EditOutcome,
    store::StoreError,
    tenant::{CountTenants, Population},
};
use gatehouse_http::file::Format;

use crate::system::{Still, ready};

/// Jobs and projects in memory.
#[derive(Default)]
struct Saved(Mutex<Existing>);

#[async_trait]
impl FindForEdit for Saved {
    async fn find_for_edit(
        &self,
        jobs: &BTreeSet<JobId>,
        projects: &BTreeSet<ProjectName>,
    ) -> Result<Existing, StoreError> {
        let saved = self.0.lock().expect("nobody panicked");
        let mut found = saved.clone();
        found.jobs.retain(|id, _| jobs.contains(id));
        found.projects.retain(|name, _| projects.contains(name));
        Ok(found)
    }
}

/// No provider is registered, so nobody has said who may use one.
#[async_trait]
impl ListProviders for Saved {
    async fn list_providers(&self) -> Result<Vec<Provider>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl CountTenants for Saved {
    async fn population(&self) -> Result<Population, StoreError> {
        Ok(Population::Several)
    }
}

#[async_trait]
impl FindTenant for Saved {
    async fn standing(&self, _id: &TenantId) -> Result<TenantStanding, StoreError> {
        Ok(TenantStanding::Created)
    }
}

#[async_trait]
impl SaveJobs for Saved {
    async fn save_jobs(&self, edits: &[JobEdit]) -> Result<EditOutcome, StoreError> {
        let mut saved = self.0.lock().expect("nobody panicked");
        let stands = |edit: &JobEdit| saved.jobs.get(&edit.job.id) == edit.previous.as_ref();
        if !edits.iter().all(stands) {
            return Ok(EditOutcome::Conflict);
        }
        for edit in edits {
            saved.jobs.insert(edit.job.id.clone(), edit.job.clone());
            if let Some(project) = &edit.new_project {
                saved.projects.entry(project.name.clone()).or_insert_with(|| project.clone());
            }
        }
        Ok(EditOutcome::Done)
    }
}

impl Saved {
    fn now(&self) -> (BTreeMap<JobId, Job>, BTreeMap<ProjectName, Project>) {
        let saved = self.0.lock().expect("nobody panicked");
        (saved.jobs.clone(), saved.projects.clone())
    }
}

/// A jobs file as YAML, or as JSON where it begins with a brace.
pub(crate) fn check(input: &[u8]) {
    let format = if input.starts_with(b"{") { Format::Json } else { Format::Yaml };
    let entries = match jobs_file::read(format, input) {
        Ok(entries) => entries,
        Err(problem) => return assert!(problem.into_response().status().is_client_error()),
    };
    let saved = Saved::default();
    let Some(first) = import(&saved, &entries, ImportMode::AllOrNothing) else { return };
    let (jobs, _) = saved.now();
    let refused = first.iter().any(|entry| matches!(entry, Imported::Refused(_)));
    assert_eq!(jobs.is_empty(), refused || entries.is_empty(), "all or nothing: {first:?}");
    let Some(each) = import(&saved, &entries, ImportMode::EachOnItsOwn) else { return };
    let after = saved.now();
    let again = import(&saved, &entries, ImportMode::EachOnItsOwn).expect("it was imported before");
    for (before, now) in each.iter().zip(&again) {
        match before {
            Imported::Refused(_) => assert_eq!(now, before),
            _ => assert_eq!(now, &Imported::Unchanged),
        }
    }
    assert_eq!(format!("{:?}", saved.now()), format!("{after:?}"), "the same file again changes nothing");
    for job in after.0.values() {
        let stored = serde_json::to_value(job).expect("a job is stored as JSON");
        assert_eq!(
            serde_json::from_value::<Job>(stored).ok().as_ref(),
            Some(job),
            "a job comes back as it was"
        );
    }
}

/// What became of each entry; `None` where there are too many.
fn import(saved: &Saved, entries: &[ImportEntry], mode: ImportMode) -> Option<Vec<Imported>> {
    let tenants = Tenants::Only(BTreeSet::from(["acme".parse().expect("a tenant")]));
    let grant = Grant::ApiKey { scopes: [Scope::All].into(), tenants, expires_at: None, minted_by: None };
    let caller = Caller { subject: "key".to_owned(), grant };
    let kinds = BTreeSet::from(ProviderKind::ALL);
    let origin = Origin::default();
    let audit = AuditContext { caller: &caller, origin: &origin };
    let report = ready(jobs::import(saved, &Still, &kinds, &audit, entries.to_vec(), None, mode)).ok()?;
    assert_eq!(report.len(), entries.len());
    Some(report)
}
