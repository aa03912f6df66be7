//! Showing and listing jobs.

use super::job::{FindJob, Job, JobFilter, ListJobs};
use crate::{
    caller::Caller,
    name::{EnvironmentName, JobId, ProjectName},
    paging::{ListError, Page, PageRequest},
    project::FindProject,
    store::StoreError,
};

/// Why a job cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowJobError {
    /// There is none, or it belongs to a tenant that the caller is not in.
    #[error("there is no such job")]
    NotFound,
    #[error("could not read the job")]
    Store(#[from] StoreError),
}

pub async fn show<S: FindJob + ?Sized>(store: &S, caller: &Caller, id: &JobId) -> Result<Job, ShowJobError> {
    let job = store.find_job(id).await?;
    // A job of a foreign tenant answers like one that does not exist: ids cannot be probed.
    job.filter(|job| caller.sees(&job.tenant)).ok_or(ShowJobError::NotFound)
}

/// Lists the jobs that the caller may see. A project of another tenant has none.
pub async fn list<S: ListJobs + FindProject>(
    store: &S,
    caller: &Caller,
    project: Option<&ProjectName>,
    environment: Option<EnvironmentName>,
    page: &PageRequest,
) -> Result<Page<Job>, ListError> {
    let project = match project {
        None => None,
        Some(name) => match store.find_project(name).await? {
            Some(project) if caller.sees(&project.tenant) => Some(project),
            _ => return Ok(Page { items: Vec::new(), next: None }),
        },
    };
    store.list_jobs(&JobFilter { tenants: caller.tenants(), project, environment }, page).await
}
