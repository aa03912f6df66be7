//! Creating, replacing and deleting jobs.

use std::collections::BTreeSet;

use super::{
    job::{DeleteJob, Existing, FindForEdit, FindJob, Job, JobEdit, JobSpec, SaveJobs},
    show::{ShowJobError, show},
};
use crate::{
    access::{DELETE_JOB, PUT_JOB},
    audit::{Action, AuditContext, AuditTarget, Entry, Outcome},
    caller::{Caller, Tenants},
    ci::ProviderKind,
    clock::System,
    name::{JobId, ProjectName, TenantId},
    parameter::check_specs,
    project::{FindTenant, Project, TenantStanding, is_reserved},
    providers::FindProvider,
    revision::{EditOutcome, Precondition, PreconditionError, Revision},
    scopes::{ScopeClosed, Shares, Use},
    store::StoreError,
    tenant::{CountTenants, Population},
    validation::FieldError,
};

/// What a caller wants a job to be.
#[derive(Debug, Clone)]
pub struct JobDraft {
    pub id: JobId,
    pub spec: JobSpec,
}

/// Why one job is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the job is not valid")]
    Invalid(Vec<FieldError>),
    /// The project is new, and which tenant it is for is not clear.
    #[error("project `{0}` does not exist yet: say with ?tenant= which tenant it is to belong to")]
    TenantUnclear(ProjectName),
    /// The project is new, and is to belong to a tenant that there is not, or not any more.
    #[error("there is no tenant `{0}`; create it first")]
    NoTenant(TenantId),
    /// The project's name is taken by a tenant that the caller is not in.
    #[error("project `{0}` cannot be used; choose another name")]
    ProjectTaken(ProjectName),
    /// The id is taken by a job of a tenant that the caller is not in.
    #[error("job id `{0}` cannot be used; choose another")]
    IdTaken(JobId),
    /// The caller is not in the tenant they named.
    #[error("tenant `{0}` is not one of yours")]
    TenantForeign(TenantId),
    /// The caller's role in the tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    /// The job's tenant may not use what it points into.
    #[error(transparent)]
    Scope(#[from] ScopeClosed),
}

/// Why a job cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum PutJobError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is not as the caller expects.
    #[error(transparent)]
    Precondition(#[from] PreconditionError),
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

/// Creates or replaces one job. A project that does not exist yet is created for `tenant`, for the caller's only
/// tenant, or for the only one there is. `kinds` are the kinds of provider that this deployment has.
pub async fn put<S: FindForEdit + SaveJobs + FindProvider + CountTenants + FindTenant>(
    store: &S,
    system: &dyn System,
    kinds: &BTreeSet<ProviderKind>,
    audit: &AuditContext<'_>,
    draft: JobDraft,
    tenant: Option<&TenantId>,
    expected: &Precondition,
) -> Result<PutJob, PutJobError> {
    let jobs = BTreeSet::from([draft.id.clone()]);
    let projects = BTreeSet::from([draft.spec.project.clone()]);
    let existing = store.find_for_edit(&jobs, &projects).await?;
    let current = existing.jobs.get(&draft.id);
    // A job that the caller may not see is none: only where one would be created, the refusal below says that this id
    // cannot be had, and no more.
    let seen = current.filter(|job| audit.caller.sees(&job.tenant));
    expected.admit(seen.map(|job| &job.revision))?;
    let shares = Shares::of(store, &draft.spec.provider).await?;
    let is_new = !existing.projects.contains_key(&draft.spec.project);
    let new_owner = NewOwner::find(store, audit.caller, tenant, is_new).await?;
    let planner = Planner { system, kinds, audit, existing: &existing, shares: &shares, new_owner };
    let edit = planner.plan(draft)?;
    let created = edit.previous.is_none();
    let job = edit.job.clone();
    match store.save_jobs(&[edit]).await? {
        EditOutcome::Done => Ok(PutJob { job, created }),
        EditOutcome::Conflict => Err(PreconditionError::Failed.into()),
    }
}

/// For whom projects are that do not exist yet.
#[derive(Debug)]
pub(super) enum NewOwner {
    Tenant(TenantId),
    /// There is no such tenant, or not any more.
    Missing(TenantId),
    Unclear,
}

impl NewOwner {
    /// The tenant that the caller names, their only one, or the only one there is. One that was deleted gets nothing
    /// more: keys of it may still be valid. Nothing is read where no project is new.
    pub(super) async fn find<S: CountTenants + FindTenant>(
        store: &S,
        caller: &Caller,
        named: Option<&TenantId>,
        is_any_new: bool,
    ) -> Result<Self, StoreError> {
        let own = caller.tenants_for(&PUT_JOB);
        let owner = match (named, own.sole()) {
            _ if !is_any_new => Self::Unclear,
            // Whether there is a tenant that is none of the caller's is not theirs to know.
            (Some(named), _) if !caller.sees(named) => Self::Tenant(named.clone()),
            (Some(named), _) => match store.standing(named).await? {
                TenantStanding::Created => Self::Tenant(named.clone()),
                TenantStanding::Uncreated | TenantStanding::Deleted => Self::Missing(named.clone()),
            },
            (None, Some(own)) => Self::unless_deleted(store, own.clone()).await?,
            (None, None) if own == Tenants::All => match store.population().await? {
                Population::One(only) => Self::unless_deleted(store, only).await?,
                Population::Nobody | Population::Several => Self::Unclear,
            },
            (None, None) => Self::Unclear,
        };
        Ok(owner)
    }

    /// A tenant that nobody named, and that need not have been created.
    async fn unless_deleted<S: FindTenant>(store: &S, tenant: TenantId) -> Result<Self, StoreError> {
        Ok(match store.standing(&tenant).await? {
            TenantStanding::Created | TenantStanding::Uncreated => Self::Tenant(tenant),
            TenantStanding::Deleted => Self::Missing(tenant),
        })
    }
}

/// Decides what saving drafts of one request would mean.
pub(super) struct Planner<'a> {
    pub(super) system: &'a dyn System,
    pub(super) kinds: &'a BTreeSet<ProviderKind>,
    pub(super) audit: &'a AuditContext<'a>,
    pub(super) existing: &'a Existing,
    /// Which tenants may use what.
    pub(super) shares: &'a Shares,
    pub(super) new_owner: NewOwner,
}

impl Planner<'_> {
    pub(super) fn plan(&self, draft: JobDraft) -> Result<JobEdit, Refusal> {
        let errors = check(&draft.spec, self.kinds);
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors));
        }
        let previous = self.existing.jobs.get(&draft.id).cloned();
        if previous.as_ref().is_some_and(|job| !self.audit.caller.sees(&job.tenant)) {
            return Err(Refusal::IdTaken(draft.id));
        }
        let (project, is_new) = self.owner(&draft.spec.project)?;
        // Both tenants: a job that moves to another project is taken from one and given to the other.
        let touched = previous.iter().map(|job| &job.tenant).chain([&project.tenant]);
        if let Some(tenant) = touched.into_iter().find(|tenant| !self.audit.caller.may_in(&PUT_JOB, tenant)) {
            return Err(Refusal::Forbidden(tenant.clone()));
        }
        self.admit_target(&draft.spec, previous.as_ref(), &project.tenant)?;
        let now = self.system.now();
        let job = Job {
            id: draft.id,
            tenant: project.tenant.clone(),
            spec: draft.spec,
            revision: Revision::new(self.system),
            created_at: previous.as_ref().map_or(now, |job| job.created_at),
            updated_at: now,
            updated_by: self.audit.caller.actor(),
        };
        let entries = self.entries(&job, previous.as_ref(), is_new);
        Ok(JobEdit { job, previous, new_project: is_new.then_some(project), entries })
    }

    /// What the trail says of it: one entry for each tenant that is touched.
    fn entries(&self, job: &Job, previous: Option<&Job>, creates_project: bool) -> Vec<Entry> {
        let moved_from = previous.map(|old| &old.tenant).filter(|tenant| **tenant != job.tenant);
        let done = if previous.is_some() { "changed" } else { "created" };
        let project = creates_project.then(|| format!("creates project {}", job.spec.project));
        let moved = moved_from.map(|tenant| format!("moved from tenant {tenant} to {}", job.tenant));
        let detail: Vec<_> = std::iter::once(done.to_owned()).chain(project).chain(moved).collect();
        let detail = detail.join("; ");
        let entry = |tenant: &TenantId| {
            self.audit.entry(
                self.system,
                Action::PutJob,
                Outcome::Done,
                target(job, tenant, Some(detail.clone())),
            )
        };
        std::iter::once(&job.tenant).chain(moved_from).map(entry).collect()
    }

    /// Refuses a target that the tenant may not use.
    fn admit_target(
        &self,
        spec: &JobSpec,
        previous: Option<&Job>,
        tenant: &TenantId,
    ) -> Result<(), ScopeClosed> {
        let stays = |old: &Job| {
            let scope = |spec: &JobSpec| (spec.provider.clone(), spec.target.scope().map(str::to_owned));
            old.tenant == *tenant && scope(&old.spec) == scope(spec)
        };
        let purpose = if previous.is_some_and(stays) { Use::GoOn } else { Use::Begin };
        self.shares.admit_target(&spec.provider, tenant, &spec.target, purpose)
    }

    /// The project that a job is for, and whether it is to be created.
    fn owner(&self, name: &ProjectName) -> Result<(Project, bool), Refusal> {
        if let Some(project) = self.existing.projects.get(name) {
            let known = self.audit.caller.sees(&project.tenant);
            return if known {
                Ok((project.clone(), false))
            } else {
                Err(Refusal::ProjectTaken(name.clone()))
            };
        }
        if is_reserved(name) {
            let detail = "is reserved: it is a first path segment of the API";
            return Err(Refusal::Invalid(vec![FieldError::new("/project", detail)]));
        }
        let tenant = match &self.new_owner {
            NewOwner::Tenant(tenant) => tenant,
            NewOwner::Missing(tenant) => return Err(Refusal::NoTenant(tenant.clone())),
            NewOwner::Unclear => return Err(Refusal::TenantUnclear(name.clone())),
        };
        if !self.audit.caller.sees(tenant) {
            return Err(Refusal::TenantForeign(tenant.clone()));
        }
        let (revision, now) = (Revision::new(self.system), self.system.now());
        Ok((Project::new(name.clone(), tenant.clone(), revision, now), true))
    }
}

fn target(job: &Job, tenant: &TenantId, detail: Option<String>) -> AuditTarget {
    AuditTarget { target: format!("job:{}", job.id), tenant: Some(tenant.clone()), detail }
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
pub async fn delete<S: FindJob + DeleteJob>(
    store: &S,
    system: &dyn System,
    audit: &AuditContext<'_>,
    id: &JobId,
    expected: &Precondition,
) -> Result<(), DeleteJobError> {
    let job = show(store, audit.caller, id).await.map_err(|error| match error {
        ShowJobError::NotFound => DeleteJobError::NotFound,
        ShowJobError::Store(error) => error.into(),
    })?;
    if !audit.caller.may_in(&DELETE_JOB, &job.tenant) {
        return Err(DeleteJobError::Forbidden(job.tenant));
    }
    expected.admit(Some(&job.revision))?;
    let entry = audit.entry(system, Action::DeleteJob, Outcome::Done, target(&job, &job.tenant, None));
    match store.delete_job(&job, &entry).await? {
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
    #[error("could not delete the job")]
    Store(#[from] StoreError),
}
