//! Creating, replacing and deleting services.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::{
    DriftScheduleEdits, EnvironmentState, FindService, Infrastructure, KeptSecrets, Registered, SealError,
    SealInputs, Service, ServiceSpec, ShowServiceError,
    diff::diff,
    files::{DescribedAnew, SeenComponent, describe_new, keep_described},
    kept_secrets::{check_kept, forgotten, seal_inputs},
    protection::{protected, weakened},
    service::audit_target,
    show,
};
use crate::{
    access::{CREATE_SERVICE, DELETE_SERVICE, PUT_SERVICE},
    audit::{Action, AuditContext, AuditTarget, Entry, Outcome},
    caller::Caller,
    clock::System,
    entities::FindEntity,
    id::{OperationId, ServiceId},
    idempotency::{Fingerprint, IdempotencyKey, RequestKey},
    jobs::FindForEdit,
    modules::{FindModule, KnownModules},
    name::{EnvironmentName, JobId, ProjectName, ServiceName, TenantId},
    project::FindDefaultProject,
    revision::{EditOutcome, Precondition, PreconditionError, Revision},
    store::StoreError,
    validation::FieldError,
};

/// Whether a service was created.
#[derive(Debug)]
pub enum CreateService {
    Created,
    /// There is one of this id, as it stands now.
    Exists(Box<Service>),
    /// Another service of the tenant has the name.
    NameTaken(ServiceId),
    /// The component of its name is not as it was seen.
    ComponentChanged,
}

/// What an edit of a service does to its environments' states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvironmentEdits {
    /// Those that it takes away. None of them may be in use when the edit is written.
    pub removed: BTreeSet<EnvironmentName>,
    /// Those that do not end by themselves any more, with the operation that provisioned what is there. That must still
    /// stand when the edit is written.
    pub endless: BTreeMap<EnvironmentName, OperationId>,
    /// When they are looked at for drift.
    pub schedules: DriftScheduleEdits,
}

/// Writes services. Needs `dynamodb:PutItem`, `DeleteItem` and `GetItem`.
#[async_trait]
pub trait SaveService: Send + Sync {
    /// Writes a new service with its [schedules](Service::drift_schedules), and takes its name, in one transaction, where
    /// the component of the name still stands as it was seen.
    async fn create_service(
        &self,
        service: &Service,
        component: Option<&SeenComponent>,
        entry: &Entry,
    ) -> Result<CreateService, StoreError>;

    /// Replaces a service where `previous` still stands, and forgets the states of the environments that
    /// go, where nothing is provisioned in them and no operation is open: one transaction. One without a state is fine.
    /// Forgets in the same when those end that do not end any more, and writes when they are looked at for drift.
    async fn replace_service(
        &self,
        service: &Service,
        previous: &Revision,
        environments: &EnvironmentEdits,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError>;

    /// Deletes a service and its schedules where its revision still stands, gives its name back, and forgets these
    /// states, where they still are as given and no operation is open in them: one transaction. An environment of the
    /// service that is not among them must still have none.
    async fn delete_service(
        &self,
        service: &Service,
        states: &[EnvironmentState],
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError>;
}

/// What a caller wants a service to be.
#[derive(Debug, Clone)]
pub struct ServiceDraft {
    /// Whose it is to be; the caller's only tenant without it. It cannot be changed.
    pub tenant: Option<TenantId>,
    /// Its name. It cannot be changed.
    pub name: ServiceName,
    /// What is decided about it. Without a project a new service gets its tenant's default one, and one that is replaced
    /// keeps its own.
    pub spec: ServiceSpec<Option<ProjectName>>,
    /// Which secret inputs stay as they are. Others are forgotten, unless a new value is among the inputs.
    pub kept_secrets: KeptSecrets,
}

/// Why a service cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditServiceError {
    /// There is none, or it belongs to a tenant that the caller is not in.
    #[error("there is no such service")]
    NotFound,
    #[error("the service is not valid")]
    Invalid(Vec<FieldError>),
    /// The caller's role in this tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    /// Only an admin of this tenant deletes by force.
    #[error("only an admin of tenant `{0}` deletes a service by force")]
    ForceForbidden(TenantId),
    /// Only an admin of this tenant takes this protection away.
    #[error("only an admin of tenant `{tenant}` takes away what protects an environment: {}", .lost.join(", "))]
    Protected { tenant: TenantId, lost: Vec<String> },
    /// Another service of the tenant has the name.
    #[error("another service of this tenant has this name")]
    NameTaken(ServiceId),
    /// The component that describes the service, or is to, was written or deleted since it was read.
    #[error("the component of the service's name was changed at the same moment; repeat the request")]
    ComponentChanged,
    /// The key was used for another request.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// It is not as the caller expects.
    #[error(transparent)]
    Precondition(#[from] PreconditionError),
    /// Something is still provisioned in these environments.
    #[error("something is still provisioned in: {}; deprovision it first", names(.0))]
    StillProvisioned(Vec<EnvironmentName>),
    /// An operation is still open in these environments.
    #[error("an operation is still open in: {}; wait for its end or cancel it", names(.0))]
    Busy(Vec<EnvironmentName>),
    #[error(transparent)]
    Sealing(#[from] SealError),
    #[error("could not change the service")]
    Store(#[from] StoreError),
}

fn names(environments: &[EnvironmentName]) -> String {
    environments.iter().map(EnvironmentName::as_str).collect::<Vec<_>>().join(", ")
}

impl From<ShowServiceError> for EditServiceError {
    fn from(error: ShowServiceError) -> Self {
        match error {
            ShowServiceError::NotFound => Self::NotFound,
            ShowServiceError::Store(error) => error.into(),
        }
    }
}

/// A service was created.
#[derive(Debug)]
pub struct CreatedService {
    /// As it stands now.
    pub service: Service,
    /// Whether an earlier request with the same key created it.
    pub replayed: bool,
    /// What will be in the way of its provisioning.
    pub warnings: Vec<FieldError>,
}

/// A service was replaced.
#[derive(Debug)]
pub struct ReplacedService {
    /// As it stands now.
    pub service: Service,
    /// What will be in the way of its provisioning.
    pub warnings: Vec<FieldError>,
}

/// Creates a service. What the tenant's component of its name says of it counts before the draft. The `fingerprint` tells
/// a repetition of the request from another one with its key. Inputs that their module calls sensitive are sealed.
///
/// # Errors
///
/// Why it is refused, or that the store failed.
pub async fn create<S>(
    store: &S,
    seal: &dyn SealInputs,
    system: &dyn System,
    audit: &AuditContext<'_>,
    draft: ServiceDraft,
    key: Option<&IdempotencyKey>,
    mut fingerprint: Fingerprint,
) -> Result<CreatedService, EditServiceError>
where
    S: FindForEdit + FindEntity + FindModule + SaveService + FindDefaultProject,
{
    let tenant = tenant_of(audit.caller, &draft)?;
    if !audit.caller.may_in(&CREATE_SERVICE, &tenant) {
        return Err(refused(audit.caller, tenant));
    }
    let (project, if_missing) = match &draft.spec.project {
        Some(project) => (project.clone(), NO_SUCH_PROJECT.to_owned()),
        None => default_project(store, &tenant).await?,
    };
    let spec = draft.spec.in_project(project);
    let modules = check(store, &spec, &draft.kept_secrets, None, &tenant, &if_missing).await?;
    let DescribedAnew { mut spec, described, component } =
        describe_new(store, &tenant, &draft.name, spec).await?;
    let audit_target = audit_target(&draft.name, &tenant);
    let entry = audit.entry(system, Action::CreateService, Outcome::Done, audit_target);
    let id = match key {
        // The key makes the id, so that a repetition meets the service itself and no second record is needed.
        Some(key) => ServiceId::of_key(&RequestKey::of(&audit.caller.actor(), key)),
        None => ServiceId::new(system),
    };
    if seal_inputs(seal, &modules, &id, &mut spec, &draft.kept_secrets, None).await? {
        fingerprint = seal.blind(&fingerprint).await?;
    }
    spec.check_size().map_err(EditServiceError::Invalid)?;
    let warnings = spec.missing_inputs(&modules);
    let actor = audit.caller.actor();
    let service = Service {
        id,
        tenant,
        name: draft.name,
        spec,
        described,
        fingerprint,
        revision: Revision::new(system),
        created_at: entry.at,
        created_by: actor.clone(),
        updated_at: entry.at,
        updated_by: actor,
    };
    match store.create_service(&service, component.as_ref(), &entry).await? {
        CreateService::Created => Ok(CreatedService { service, replayed: false, warnings }),
        // Whoever has left a tenant is not answered with what they created there.
        CreateService::Exists(existing)
            if existing.fingerprint == service.fingerprint && existing.tenant == service.tenant =>
        {
            Ok(CreatedService { service: *existing, replayed: true, warnings })
        }
        CreateService::Exists(_) => Err(EditServiceError::KeyReused),
        CreateService::NameTaken(by) => Err(EditServiceError::NameTaken(by)),
        CreateService::ComponentChanged => Err(EditServiceError::ComponentChanged),
    }
}

/// A tenant that the caller is not in is refused as one that does not exist: whether it does is not for them.
fn refused(caller: &Caller, tenant: TenantId) -> EditServiceError {
    if caller.sees(&tenant) {
        return EditServiceError::Forbidden(tenant);
    }
    EditServiceError::Invalid(vec![FieldError::new("/tenant", "you are in no such tenant")])
}

fn tenant_of(caller: &Caller, draft: &ServiceDraft) -> Result<TenantId, EditServiceError> {
    let own = caller.tenants_for(&CREATE_SERVICE);
    let tenant = draft.tenant.as_ref().or_else(|| own.sole());
    tenant.cloned().ok_or_else(|| {
        let error = FieldError::new("/tenant", "say which tenant the service is to belong to");
        EditServiceError::Invalid(vec![error])
    })
}

/// What is said of a project that the tenant does not have.
const NO_SUCH_PROJECT: &str = "the tenant has no such project";

/// The project of services that say nothing of it, and what is to be said where it is gone.
async fn default_project<S>(store: &S, tenant: &TenantId) -> Result<(ProjectName, String), EditServiceError>
where
    S: FindDefaultProject,
{
    let Some(project) = store.default_project(tenant).await? else {
        let detail = format!(
            "say which project the service belongs to: tenant `{tenant}` has no `default_project`, which a platform \
             admin can give it"
        );
        return Err(EditServiceError::Invalid(vec![FieldError::new("/project", detail)]));
    };
    let if_missing = format!(
        "say which project the service belongs to: the `default_project` of tenant `{tenant}` is `{project}`, which \
         the tenant does not have; a platform admin can give it another one"
    );
    Ok((project, if_missing))
}

/// Refuses what is wrong with a service by itself, or with what it names. `if_missing` is said of a project that the
/// tenant does not have. Returns the modules that it names.
async fn check<S>(
    store: &S,
    spec: &ServiceSpec,
    kept: &KeptSecrets,
    before: Option<&ServiceSpec>,
    tenant: &TenantId,
    if_missing: &str,
) -> Result<KnownModules, EditServiceError>
where
    S: FindForEdit + FindEntity + FindModule,
{
    let modules = KnownModules::find(store, spec.modules()).await?;
    spec.check(&modules, before).map_err(EditServiceError::Invalid)?;
    let jobs = spec.jobs();
    let ids: BTreeSet<JobId> = jobs.iter().map(|(_, id)| (*id).clone()).collect();
    let found = store.find_for_edit(&ids, &[spec.project.clone()].into()).await?;
    let mut errors = check_kept(spec, kept, before);
    if found.projects.get(&spec.project).is_none_or(|project| project.tenant != *tenant) {
        errors.push(FieldError::new("/project", if_missing));
    }
    let missing = |id: &JobId| found.jobs.get(id).is_none_or(|job| job.tenant != *tenant);
    let missing = jobs.into_iter().filter(|(_, id)| missing(id));
    errors.extend(missing.map(|(pointer, _)| FieldError::new(pointer, "the tenant has no such job")));
    let had: BTreeSet<_> =
        before.into_iter().flat_map(ServiceSpec::approval_groups).map(|(_, group)| group).collect();
    // A group that an environment had before may be gone, and the rest can be edited nevertheless.
    for (pointer, group) in spec.approval_groups().into_iter().filter(|(_, group)| !had.contains(group)) {
        if store.find_entity(tenant, group).await?.is_none() {
            errors.push(FieldError::new(pointer, "the tenant has no such group"));
        }
    }
    if errors.is_empty() { Ok(modules) } else { Err(EditServiceError::Invalid(errors)) }
}

/// Replaces a service. Environments that are provisioned, or in which an operation is open, cannot be removed. What
/// protects an environment is taken away by an admin only. What the component of its name says of it stays, and of its
/// secret inputs what the draft keeps.
///
/// # Errors
///
/// Why it is refused, or that the store failed.
pub async fn replace<S>(
    store: &S,
    seal: &dyn SealInputs,
    system: &dyn System,
    audit: &AuditContext<'_>,
    id: &ServiceId,
    draft: ServiceDraft,
    expected: &Precondition,
) -> Result<ReplacedService, EditServiceError>
where
    S: FindService + FindForEdit + FindEntity + FindModule + SaveService,
{
    let Registered { service, environments, .. } = show(store, audit.caller, id).await?;
    if !audit.caller.may_in(&PUT_SERVICE, &service.tenant) {
        return Err(EditServiceError::Forbidden(service.tenant));
    }
    expected.admit(Some(&service.revision))?;
    stays(&service, &draft)?;
    let project = draft.spec.project.clone().unwrap_or_else(|| service.spec.project.clone());
    let mut spec = keep_described(&service, draft.spec.in_project(project));
    let (kept_secrets, before) = (&draft.kept_secrets, Some(&service.spec));
    guard(audit.caller, &service.tenant, weakened(&service.spec, &spec))?;
    let modules = check(store, &spec, kept_secrets, before, &service.tenant, NO_SUCH_PROJECT).await?;
    seal_inputs(seal, &modules, &service.id, &mut spec, kept_secrets, before).await?;
    spec.check_size().map_err(EditServiceError::Invalid)?;
    let mut warnings = forgotten(&spec, &service.spec);
    warnings.extend(spec.missing_inputs(&modules));
    let kept: BTreeSet<_> = spec.environments.iter().map(|environment| &environment.name).collect();
    let endless = endless(&spec, &environments);
    let going: Vec<_> = environments.into_values().filter(|state| !kept.contains(&state.name)).collect();
    refuse_busy(&going)?;
    refuse_provisioned(&going)?;
    // Also those without a state. An operation that began since has made one, without changing the service's
    // revision; the conditions on these environments are what refuses the edit then.
    let before = service.spec.environments.iter().map(|environment| &environment.name);
    let before = before.chain(going.iter().map(|state| &state.name));
    let removed = before.filter(|name| !kept.contains(name)).cloned().collect();
    let detail = diff(&service.spec, &spec);
    let audit_target = AuditTarget { detail, ..audit_target(&service.name, &service.tenant) };
    let entry = audit.entry(system, Action::PutService, Outcome::Done, audit_target);
    let previous = service.revision.clone();
    let before = service.spec.clone();
    let service = Service {
        spec,
        revision: Revision::new(system),
        updated_at: entry.at,
        updated_by: audit.caller.actor(),
        ..service
    };
    let schedules = DriftScheduleEdits::between(&before, &service, entry.at);
    let edits = EnvironmentEdits { removed, endless, schedules };
    match store.replace_service(&service, &previous, &edits, &entry).await? {
        EditOutcome::Done => Ok(ReplacedService { service, warnings }),
        EditOutcome::Conflict => Err(PreconditionError::Failed.into()),
    }
}

/// Those environments that have an end, and no time to live any more.
fn endless(
    spec: &ServiceSpec,
    states: &BTreeMap<EnvironmentName, EnvironmentState>,
) -> BTreeMap<EnvironmentName, OperationId> {
    let lasting = spec.environments.iter().filter(|environment| environment.ttl_hours.is_none());
    let ending = lasting.filter_map(|environment| {
        let provisioned = states.get(&environment.name)?.infrastructure.provisioned()?;
        provisioned.expires_at?;
        Some((environment.name.clone(), provisioned.operation.clone()))
    });
    ending.collect()
}

/// Leaves it to the tenant's admins to take protection away.
fn guard(caller: &Caller, tenant: &TenantId, lost: Vec<String>) -> Result<(), EditServiceError> {
    if lost.is_empty() || caller.is_admin_in(tenant) {
        return Ok(());
    }
    Err(EditServiceError::Protected { tenant: tenant.clone(), lost })
}

/// Refuses another tenant or name.
fn stays(service: &Service, draft: &ServiceDraft) -> Result<(), EditServiceError> {
    let mut errors = Vec::new();
    if draft.tenant.as_ref().is_some_and(|tenant| *tenant != service.tenant) {
        errors
            .push(FieldError::new("/tenant", "a service stays with its tenant; create another one instead"));
    }
    if draft.name != service.name {
        errors.push(FieldError::new("/name", "a service keeps its name; create another one instead"));
    }
    if errors.is_empty() { Ok(()) } else { Err(EditServiceError::Invalid(errors)) }
}

fn refuse_busy(states: &[EnvironmentState]) -> Result<(), EditServiceError> {
    let busy = states.iter().filter(|state| state.running.is_some());
    let busy: Vec<_> = busy.map(|state| state.name.clone()).collect();
    if busy.is_empty() { Ok(()) } else { Err(EditServiceError::Busy(busy)) }
}

fn refuse_provisioned(states: &[EnvironmentState]) -> Result<(), EditServiceError> {
    let left = states.iter().filter(|state| state.infrastructure != Infrastructure::Absent);
    let left: Vec<_> = left.map(|state| state.name.clone()).collect();
    if left.is_empty() { Ok(()) } else { Err(EditServiceError::StillProvisioned(left)) }
}

/// Whether a service is deleted although something of it is provisioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    No,
    /// It is; what is provisioned remains.
    Yes,
}

/// A service was deleted.
#[derive(Debug)]
pub struct DeletedService {
    /// The service as it was.
    pub service: Service,
    /// The environments in which something remains that Gatehouse does not know of any more.
    pub remains: Vec<EnvironmentState>,
}

/// Deletes a service; one with a protected environment only as an admin. The records of its operations stay until they
/// expire.
///
/// # Errors
///
/// Why it is refused, or that the store failed.
pub async fn delete<S>(
    store: &S,
    system: &dyn System,
    audit: &AuditContext<'_>,
    id: &ServiceId,
    expected: &Precondition,
    force: Force,
) -> Result<DeletedService, EditServiceError>
where
    S: FindService + SaveService,
{
    let Registered { service, environments, .. } = show(store, audit.caller, id).await?;
    if !audit.caller.may_in(&DELETE_SERVICE, &service.tenant) {
        return Err(EditServiceError::Forbidden(service.tenant));
    }
    if force == Force::Yes && !audit.caller.is_admin_in(&service.tenant) {
        return Err(EditServiceError::ForceForbidden(service.tenant));
    }
    guard(audit.caller, &service.tenant, protected(&service.spec))?;
    expected.admit(Some(&service.revision))?;
    let states: Vec<_> = environments.into_values().collect();
    // Also by force: the operation's end has to find the environment that it locked.
    refuse_busy(&states)?;
    if force == Force::No {
        refuse_provisioned(&states)?;
    }
    let remains: Vec<_> =
        states.iter().filter(|state| state.infrastructure != Infrastructure::Absent).cloned().collect();
    let left: Vec<_> = remains.iter().map(|state| state.name.clone()).collect();
    let audit_target = AuditTarget {
        detail: (!left.is_empty()).then(|| format!("by force; what remains is in: {}", names(&left))),
        ..audit_target(&service.name, &service.tenant)
    };
    let entry = audit.entry(system, Action::DeleteService, Outcome::Done, audit_target);
    match store.delete_service(&service, &states, &entry).await? {
        EditOutcome::Done => Ok(DeletedService { service, remains }),
        EditOutcome::Conflict => Err(PreconditionError::Failed.into()),
    }
}
