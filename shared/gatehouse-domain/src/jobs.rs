//! Jobs: what can be run, where it runs, and the rules for keeping the list.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    access::{DELETE_JOB, PUT_JOB},
    caller::{Caller, Tenants},
    ci::{ProviderKind, Target},
    clock::{Clock, IdSource},
    name::{EnvironmentName, JobId, ProjectName, ProviderName, TenantId},
    paging::{ListError, Page, PageRequest},
    parameter::{ParameterSpec, check_specs},
    project::{FindProject, Project, is_reserved},
    revision::{EditOutcome, Precondition, PreconditionError, Revision},
    store::StoreError,
    validation::FieldError,
};

/// What people decide about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSpec {
    /// The project it belongs to.
    pub project: ProjectName,
    /// A name for people.
    pub display_name: String,
    /// What it does, for people.
    pub description: Option<String>,
    /// The environment that it serves.
    pub environment: Option<EnvironmentName>,
    /// The provider that runs it.
    pub provider: ProviderName,
    /// What it points at there.
    pub target: Target,
    /// The parameters that it takes.
    pub parameters: Vec<ParameterSpec>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Unique in the installation.
    pub id: JobId,
    /// The tenant that owns its project.
    pub tenant: TenantId,
    /// What people decided.
    pub spec: JobSpec,
    /// Changes with every edit.
    pub revision: Revision,
    /// When it was first saved.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: String,
}

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
}

/// Saves jobs. Needs `dynamodb:PutItem` and `dynamodb:DeleteItem`.
#[async_trait]
pub trait SaveJobs: Send + Sync {
    /// Makes all of these edits or none, where every `previous` still stands. At most
    /// [`MAX_ATOMIC_IMPORT`] at once.
    async fn save_jobs(&self, edits: &[JobEdit]) -> Result<EditOutcome, StoreError>;
}

/// Deletes jobs. Needs `dynamodb:DeleteItem`.
#[async_trait]
pub trait DeleteJob: Send + Sync {
    /// Deletes the job where its revision still stands.
    async fn delete_job(&self, job: &Job) -> Result<EditOutcome, StoreError>;
}

/// Why a job cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowJobError {
    /// There is none, or it belongs to a tenant that the caller is not in.
    #[error("there is no such job")]
    NotFound,
    /// The store failed.
    #[error("could not read the job")]
    Store(#[from] StoreError),
}

/// Shows one job.
pub async fn show(jobs: &dyn FindJob, caller: &Caller, id: &JobId) -> Result<Job, ShowJobError> {
    let job = jobs.find_job(id).await?;
    job.filter(|job| caller.sees(&job.tenant)).ok_or(ShowJobError::NotFound)
}

/// Lists the jobs that the caller may see. A project of another tenant has none.
pub async fn list(
    jobs: &dyn ListJobs,
    projects: &dyn FindProject,
    caller: &Caller,
    project: Option<&ProjectName>,
    environment: Option<EnvironmentName>,
    page: &PageRequest,
) -> Result<Page<Job>, ListError> {
    let project = match project {
        None => None,
        Some(name) => match projects.find_project(name).await? {
            Some(project) if caller.sees(&project.tenant) => Some(project),
            _ => return Ok(Page { items: Vec::new(), next: None }),
        },
    };
    jobs.list_jobs(&JobFilter { tenants: caller.tenants(), project, environment }, page).await
}

/// What a caller wants a job to be.
#[derive(Debug, Clone)]
pub struct JobDraft {
    /// The job's id.
    pub id: JobId,
    /// The rest.
    pub spec: JobSpec,
}

/// What editing jobs needs.
pub struct EditPorts<'a> {
    /// Reads what is there.
    pub find: &'a dyn FindForEdit,
    /// Writes it.
    pub save: &'a dyn SaveJobs,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Makes revisions.
    pub ids: &'a dyn IdSource,
    /// The kinds of provider that this deployment has.
    pub kinds: &'a BTreeSet<ProviderKind>,
}

/// Why one job is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fields were refused.
    #[error("the job is not valid")]
    Invalid(Vec<FieldError>),
    /// The project is new, and which tenant it is for is not clear.
    #[error("project `{0}` does not exist yet: say with ?tenant= which tenant it is to belong to")]
    TenantUnclear(ProjectName),
    /// The project's name is taken by a tenant that the caller is not in.
    #[error("project `{0}` is not yours to use")]
    ProjectTaken(ProjectName),
    /// The id is taken by a job of a tenant that the caller is not in.
    #[error("job id `{0}` is not yours to use")]
    IdTaken(JobId),
    /// The caller is not in the tenant they named.
    #[error("tenant `{0}` is not one of yours")]
    TenantForeign(TenantId),
    /// The caller's role in the tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
}

/// Why a job cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum PutJobError {
    /// It was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is not as the caller expects.
    #[error(transparent)]
    Precondition(#[from] PreconditionError),
    /// The store failed.
    #[error("could not save the job")]
    Store(#[from] StoreError),
}

/// A job was saved.
#[derive(Debug)]
pub struct PutJob {
    /// As it stands now.
    pub job: Job,
    /// Whether there was none before.
    pub created: bool,
}

/// Creates or replaces one job. A project that does not exist yet is created for `tenant`, or for the
/// caller's only tenant.
pub async fn put(
    ports: &EditPorts<'_>,
    caller: &Caller,
    draft: JobDraft,
    tenant: Option<&TenantId>,
    expected: &Precondition,
) -> Result<PutJob, PutJobError> {
    let jobs = BTreeSet::from([draft.id.clone()]);
    let projects = BTreeSet::from([draft.spec.project.clone()]);
    let existing = ports.find.find_for_edit(&jobs, &projects).await?;
    let current = existing.jobs.get(&draft.id);
    if current.is_none_or(|job| caller.sees(&job.tenant)) {
        expected.admit(current.map(|job| &job.revision))?;
    }
    let edit = plan_edit(ports, caller, &existing, draft, tenant)?;
    let created = edit.previous.is_none();
    let job = edit.job.clone();
    match ports.save.save_jobs(&[edit]).await? {
        EditOutcome::Done => Ok(PutJob { job, created }),
        EditOutcome::Conflict => Err(PreconditionError::Failed.into()),
    }
}

/// Decides what saving `draft` would mean.
fn plan_edit(
    ports: &EditPorts<'_>,
    caller: &Caller,
    existing: &Existing,
    draft: JobDraft,
    tenant: Option<&TenantId>,
) -> Result<JobEdit, Refusal> {
    let errors = check(&draft.spec, ports.kinds);
    if !errors.is_empty() {
        return Err(Refusal::Invalid(errors));
    }
    let previous = existing.jobs.get(&draft.id).cloned();
    if previous.as_ref().is_some_and(|job| !caller.sees(&job.tenant)) {
        return Err(Refusal::IdTaken(draft.id));
    }
    let (project, is_new) = owner(ports, caller, existing, &draft.spec.project, tenant)?;
    let touched = previous.iter().map(|job| &job.tenant).chain([&project.tenant]);
    if let Some(tenant) = touched.into_iter().find(|tenant| !caller.may_in(&PUT_JOB, tenant)) {
        return Err(Refusal::Forbidden(tenant.clone()));
    }
    let now = ports.clock.now();
    let job = Job {
        id: draft.id,
        tenant: project.tenant.clone(),
        spec: draft.spec,
        revision: Revision::new(ports.ids),
        created_at: previous.as_ref().map_or(now, |job| job.created_at),
        updated_at: now,
        updated_by: caller.actor(),
    };
    Ok(JobEdit { job, previous, new_project: is_new.then_some(project) })
}

/// The project that a job is for, and whether it is to be created.
fn owner(
    ports: &EditPorts<'_>,
    caller: &Caller,
    existing: &Existing,
    name: &ProjectName,
    tenant: Option<&TenantId>,
) -> Result<(Project, bool), Refusal> {
    if let Some(project) = existing.projects.get(name) {
        let known = caller.sees(&project.tenant);
        return if known { Ok((project.clone(), false)) } else { Err(Refusal::ProjectTaken(name.clone())) };
    }
    if is_reserved(name) {
        let detail = "is reserved: it is a first path segment of the API";
        return Err(Refusal::Invalid(vec![FieldError::new("/project", detail)]));
    }
    let own = caller.tenants_for(&PUT_JOB);
    let tenant = tenant.or_else(|| own.sole()).ok_or_else(|| Refusal::TenantUnclear(name.clone()))?;
    if !caller.sees(tenant) {
        return Err(Refusal::TenantForeign(tenant.clone()));
    }
    let (revision, now) = (Revision::new(ports.ids), ports.clock.now());
    Ok((Project::new(name.clone(), tenant.clone(), revision, now), true))
}

fn check(spec: &JobSpec, kinds: &BTreeSet<ProviderKind>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let too_long = |text: &str, max: usize| text.trim().is_empty() || text.len() > max || text.contains('\0');
    if too_long(&spec.display_name, 200) {
        errors.push(FieldError::new("/display_name", "must be 1 to 200 bytes of text"));
    }
    if spec.description.as_deref().is_some_and(|text| text.len() > 4000) {
        errors.push(FieldError::new("/description", "must be at most 4,000 bytes"));
    }
    if !kinds.contains(&spec.target.kind()) {
        errors.push(FieldError::new("/provider/kind", "this deployment does not have this kind of provider"));
    }
    let inside =
        |error: FieldError| FieldError { pointer: format!("/provider/ref{}", error.pointer), ..error };
    errors.extend(spec.target.check().into_iter().map(inside));
    errors.extend(check_specs(&spec.parameters, spec.target.kind()));
    errors
}

/// Deletes a job. Its runs stay until their time ends.
pub async fn delete(
    find: &dyn FindJob,
    jobs: &dyn DeleteJob,
    caller: &Caller,
    id: &JobId,
    expected: &Precondition,
) -> Result<(), DeleteJobError> {
    let job = show(find, caller, id).await.map_err(|error| match error {
        ShowJobError::NotFound => DeleteJobError::NotFound,
        ShowJobError::Store(error) => error.into(),
    })?;
    if !caller.may_in(&DELETE_JOB, &job.tenant) {
        return Err(DeleteJobError::Forbidden(job.tenant));
    }
    expected.admit(Some(&job.revision))?;
    match jobs.delete_job(&job).await? {
        EditOutcome::Done => Ok(()),
        EditOutcome::Conflict => Err(PreconditionError::Failed.into()),
    }
}

/// Why a job cannot be deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteJobError {
    /// There is none, or it is not the caller's.
    #[error("there is no such job")]
    NotFound,
    /// The caller's role in the tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    /// It is not as the caller expects.
    #[error(transparent)]
    Precondition(#[from] PreconditionError),
    /// The store failed.
    #[error("could not delete the job")]
    Store(#[from] StoreError),
}

/// What became of one entry of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// There is a new job.
    Created,
    /// A job is different now.
    Changed,
    /// The job was already so.
    Unchanged,
    /// Nothing was done, and why.
    Refused(ImportRefusal),
    /// It would have been done, but another entry of an all-or-nothing import was refused.
    Skipped,
}

/// Why an entry was not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportRefusal {
    /// The entry itself cannot be read.
    Unreadable(FieldError),
    /// The job is refused.
    Job(Refusal),
    /// An earlier entry has the same id.
    Duplicate,
    /// Somebody edited the job at the same moment.
    Conflict,
}

/// One entry of a jobs file, as far as it could be read.
#[derive(Debug, Clone)]
pub struct ImportEntry {
    /// The id that was written, readable or not.
    pub written_id: String,
    /// The job, or what could not be read.
    pub draft: Result<JobDraft, FieldError>,
}

/// Whether one refused entry stops the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportMode {
    /// Import what can be.
    EachOnItsOwn,
    /// Import everything or nothing.
    AllOrNothing,
}

/// The most jobs that are imported all or nothing: a transaction holds 100 items, a job up to four.
pub const MAX_ATOMIC_IMPORT: usize = 25;

/// The most jobs in one import.
pub const MAX_IMPORT: usize = 500;

/// Why an import did not start.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file has more entries than an import takes.
    #[error("at most {max} jobs can be imported at once, this file has {found}")]
    TooMany {
        /// How many it has.
        found: usize,
        /// How many it may have.
        max: usize,
    },
    /// The store failed before anything, or everything, was written.
    #[error("could not import the jobs")]
    Store(#[from] StoreError),
}

/// Imports entries of a jobs file: what became of each, in their order.
pub async fn import(
    ports: &EditPorts<'_>,
    caller: &Caller,
    entries: Vec<ImportEntry>,
    tenant: Option<&TenantId>,
    mode: ImportMode,
) -> Result<Vec<Imported>, ImportError> {
    let max = if mode == ImportMode::AllOrNothing { MAX_ATOMIC_IMPORT } else { MAX_IMPORT };
    if entries.len() > max {
        return Err(ImportError::TooMany { found: entries.len(), max });
    }
    let drafts = || entries.iter().filter_map(|entry| entry.draft.as_ref().ok());
    let ids = drafts().map(|draft| draft.id.clone()).collect();
    let projects = drafts().map(|draft| draft.spec.project.clone()).collect();
    let existing = ports.find.find_for_edit(&ids, &projects).await?;
    let mut plan = Vec::with_capacity(entries.len());
    let mut seen = BTreeSet::new();
    for entry in entries {
        plan.push(plan_entry(ports, caller, &existing, &mut seen, entry, tenant));
    }
    match mode {
        ImportMode::EachOnItsOwn => import_each(ports, plan).await,
        ImportMode::AllOrNothing => import_all(ports, plan).await,
    }
}

enum Planned {
    Edit(Box<JobEdit>),
    Nothing(Imported),
}

fn plan_entry(
    ports: &EditPorts<'_>,
    caller: &Caller,
    existing: &Existing,
    seen: &mut BTreeSet<JobId>,
    entry: ImportEntry,
    tenant: Option<&TenantId>,
) -> Planned {
    let refused = |why| Planned::Nothing(Imported::Refused(why));
    let draft = match entry.draft {
        Ok(draft) => draft,
        Err(error) => return refused(ImportRefusal::Unreadable(error)),
    };
    if !seen.insert(draft.id.clone()) {
        return refused(ImportRefusal::Duplicate);
    }
    match plan_edit(ports, caller, existing, draft, tenant) {
        Err(refusal) => refused(ImportRefusal::Job(refusal)),
        Ok(edit) if edit.previous.as_ref().is_some_and(|old| old.spec == edit.job.spec) => {
            Planned::Nothing(Imported::Unchanged)
        }
        Ok(edit) => Planned::Edit(Box::new(edit)),
    }
}

fn done(edit: &JobEdit) -> Imported {
    if edit.previous.is_some() { Imported::Changed } else { Imported::Created }
}

async fn import_each(ports: &EditPorts<'_>, plan: Vec<Planned>) -> Result<Vec<Imported>, ImportError> {
    let mut report = Vec::with_capacity(plan.len());
    for planned in plan {
        report.push(match planned {
            Planned::Nothing(outcome) => outcome,
            Planned::Edit(edit) => match ports.save.save_jobs(std::slice::from_ref(&*edit)).await? {
                EditOutcome::Done => done(&edit),
                EditOutcome::Conflict => Imported::Refused(ImportRefusal::Conflict),
            },
        });
    }
    Ok(report)
}

async fn import_all(ports: &EditPorts<'_>, plan: Vec<Planned>) -> Result<Vec<Imported>, ImportError> {
    let is_refused = |planned: &Planned| matches!(planned, Planned::Nothing(Imported::Refused(_)));
    let hindered = plan.iter().any(is_refused);
    let edits: Vec<JobEdit> = plan
        .iter()
        .filter_map(|planned| match planned {
            Planned::Edit(edit) if !hindered => Some((**edit).clone()),
            _ => None,
        })
        .collect();
    let outcome = if edits.is_empty() { EditOutcome::Done } else { ports.save.save_jobs(&edits).await? };
    let report = plan.into_iter().map(|planned| match (planned, outcome) {
        (Planned::Nothing(outcome), _) => outcome,
        (Planned::Edit(_), _) if hindered => Imported::Skipped,
        (Planned::Edit(edit), EditOutcome::Done) => done(&edit),
        (Planned::Edit(_), EditOutcome::Conflict) => Imported::Refused(ImportRefusal::Conflict),
    });
    Ok(report.collect())
}
