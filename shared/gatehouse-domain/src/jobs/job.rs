//! A job, and the ports that keep jobs.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    audit::Entry,
    caller::Tenants,
    ci::Target,
    name::{EnvironmentName, JobId, ProjectName, ProviderName, TenantId},
    paging::{ListError, Page, PageRequest},
    parameter::{ParameterSpec, Undeclared},
    project::Project,
    revision::{EditOutcome, Revision},
    store::StoreError,
};

/// What people decide about a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The project it belongs to.
    pub project: ProjectName,
    /// A name for people.
    pub display_name: String,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The environment that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// The provider that runs it.
    pub provider: ProviderName,
    /// What it points at there.
    pub target: Target,
    /// The parameters that it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<ParameterSpec>,
    /// What becomes of others, where somebody has said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undeclared: Option<Undeclared>,
}

impl JobSpec {
    /// What becomes of parameters that it does not declare. Where nobody has said it, a job that declares none keeps
    /// what it gets, as jobs of files from before there were declarations always did; one that declares some knows
    /// what it takes, and another name is a mistake.
    pub fn takes_undeclared(&self) -> Undeclared {
        let default = if self.parameters.is_empty() { Undeclared::Keep } else { Undeclared::Refuse };
        self.undeclared.unwrap_or(default)
    }
}

/// A job, as it is stored too: a renamed field needs its old name for serde.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Unique in the installation.
    #[serde(rename = "job_id")]
    pub id: JobId,
    /// The tenant that owns its project.
    pub tenant: TenantId,
    #[serde(flatten)]
    pub spec: JobSpec,
    /// Changes with every edit.
    pub revision: Revision,
    /// When it was first saved.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
    pub updated_by: String,
}

/// The most jobs that are saved all or nothing: a transaction holds 100 items, a job up to four.
pub const MAX_ATOMIC_IMPORT: usize = 25;

/// Looks jobs up. Needs `dynamodb:GetItem`.
#[async_trait]
pub trait FindJob: Send + Sync {
    /// Returns `None` when no such job exists. Strongly consistent.
    async fn find_job(&self, id: &JobId) -> Result<Option<Job>, StoreError>;
}

/// Looks up what an edit of jobs has to know. Needs `dynamodb:BatchGetItem`.
#[async_trait]
pub trait FindForEdit: Send + Sync {
    /// The jobs and projects of these names that exist, strongly consistent: one call for up to 100.
    async fn find_for_edit(
        &self,
        jobs: &BTreeSet<JobId>,
        projects: &BTreeSet<ProjectName>,
    ) -> Result<Existing, StoreError>;
}

/// What an edit of jobs found.
#[derive(Debug, Clone, Default)]
pub struct Existing {
    /// The jobs that exist.
    pub jobs: BTreeMap<JobId, Job>,
    /// The projects that exist.
    pub projects: BTreeMap<ProjectName, Project>,
}

/// Which jobs of a list are wanted.
#[derive(Debug, Clone)]
pub struct JobFilter {
    /// Those of these tenants.
    pub tenants: Tenants,
    /// Those of this project, which belongs to that tenant.
    pub project: Option<Project>,
    /// Those for this environment.
    pub environment: Option<EnvironmentName>,
}

/// Lists jobs. Needs `dynamodb:Query`.
#[async_trait]
pub trait ListJobs: Send + Sync {
    /// A page of jobs by tenant, project and id; may miss edits of the last second.
    async fn list_jobs(&self, filter: &JobFilter, page: &PageRequest) -> Result<Page<Job>, ListError>;
}

/// Finds jobs by what they point at. Needs `dynamodb:Query`.
#[async_trait]
pub trait FindJobsByTarget: Send + Sync {
    /// The jobs that point at `target` at `provider`, whatever their instance variables.
    async fn jobs_with_target(
        &self,
        provider: &ProviderName,
        target: &Target,
    ) -> Result<Vec<Job>, StoreError>;
}

/// One job to be saved.
#[derive(Debug, Clone)]
pub struct JobEdit {
    /// As it is to stand.
    pub job: Job,
    /// As it stands now.
    pub previous: Option<Job>,
    /// Its project, when that did not exist; another edit may create it first.
    pub new_project: Option<Project>,
    /// What the trail says of it.
    pub entries: Vec<Entry>,
}

/// The most writes of one transaction.
pub(super) const MAX_WRITES: usize = 100;

impl JobEdit {
    /// How many writes it takes, without those of its project: the job, pointers from what it points at, and two for
    /// each entry.
    pub(super) fn writes(&self) -> usize {
        let points_at = |job: &Job| (job.spec.provider.clone(), job.spec.target.clone());
        let pointers = match &self.previous {
            None => 1,
            Some(previous) if points_at(previous) == points_at(&self.job) => 0,
            Some(_) => 2,
        };
        1 + pointers + 2 * self.entries.len()
    }
}

/// Saves jobs. Needs `dynamodb:PutItem` and `dynamodb:DeleteItem`.
#[async_trait]
pub trait SaveJobs: Send + Sync {
    /// Makes all of these edits or none, where every `previous` still stands, with their entries of the trail. At most
    /// 100 writes at once.
    async fn save_jobs(&self, edits: &[JobEdit]) -> Result<EditOutcome, StoreError>;
}

/// Deletes jobs. Needs `dynamodb:DeleteItem` and `dynamodb:PutItem`.
#[async_trait]
pub trait DeleteJob: Send + Sync {
    /// Deletes the job where its revision still stands, with the entry of the trail.
    async fn delete_job(&self, job: &Job, entry: &Entry) -> Result<EditOutcome, StoreError>;
}
