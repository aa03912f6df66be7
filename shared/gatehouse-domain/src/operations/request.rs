//! Asking for an operation.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::{
    access::{self, CHECK_DRIFT, DEPLOY_SERVICE, DEPROVISION_SERVICE, PROVISION_SERVICE},
    audit::{Action, AuditContext, Entry, JANITOR, Origin, Outcome},
    caller::Caller,
    catalog::{
        DriftState, EnvironmentSpec, EnvironmentState, FindService, Infrastructure, Registered, SealError,
        SealInputs, Service, ShowServiceError, check_inputs, secret_inputs::secret_names,
    },
    clock::{Clock, System},
    id::{OperationId, ServiceId},
    idempotency::{Fingerprint, IdempotencyKey, RequestKey},
    json::Object,
    modules::{FindModule, check_given, check_missing},
    name::{EnvironmentName, TenantId},
    operations::{
        Asked, BeginOutcome, Configuration, FindOperation, Operation, OperationKind, OperationOutcome,
        OperationStatus, SaveOperation, Signal, State, Work,
        change::{DeliveryError, WorkflowPorts, deliver_pending},
        operation::{OPEN_AT_MOST, audit_target},
        workflow::{NotReady, StartWorkflow, Workflow},
    },
    store::StoreError,
    text::quoted,
    validation::FieldError,
};

/// How much longer an operation is open that somebody has to approve: as long as its workflow waits for that.
const APPROVAL: Duration = Duration::from_hours(7 * 24);

/// The longest version, in bytes.
const MAX_VERSION: usize = 200;

/// How long to leave an environment alone whose deprovisioning came to nothing: a cause that lasts would
/// otherwise make a failed operation, with its entry in the trail, at every sweep.
const PAUSE: Duration = Duration::from_hours(1);

/// How often a request is tried whose service was edited meanwhile.
const TRIES: usize = 4;

/// What somebody asks for.
#[derive(Debug)]
pub struct OperationRequest<'a> {
    pub service: &'a ServiceId,
    /// The service's only one without it.
    pub environment: Option<&'a EnvironmentName>,
    pub ask: &'a Ask,
    /// Makes repetitions of the request the same operation.
    pub key: Option<&'a IdempotencyKey>,
}

/// What is to be done in the environment.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Provision, with these inputs over those of the environment.
    Provision(Object),
    Deprovision,
    Drift,
    Deploy(String),
}

impl Ask {
    fn kind(&self) -> OperationKind {
        match self {
            Self::Provision(_) => OperationKind::Provision,
            Self::Deprovision => OperationKind::Deprovision,
            Self::Drift => OperationKind::Drift,
            Self::Deploy(_) => OperationKind::Deploy,
        }
    }

    fn operation(&self) -> &'static access::Endpoint {
        match self {
            Self::Provision(_) => &PROVISION_SERVICE,
            Self::Deprovision => &DEPROVISION_SERVICE,
            Self::Drift => &CHECK_DRIFT,
            Self::Deploy(_) => &DEPLOY_SERVICE,
        }
    }

    fn action(&self) -> Action {
        match self {
            Self::Provision(_) => Action::ProvisionService,
            Self::Deprovision => Action::DeprovisionService,
            Self::Drift => Action::CheckDrift,
            Self::Deploy(_) => Action::DeployService,
        }
    }

    pub(super) fn fingerprint(&self, service: &ServiceId, environment: &EnvironmentName) -> Fingerprint {
        let given = match self {
            Self::Provision(inputs) => serde_json::to_string(inputs).unwrap_or_default(),
            Self::Deploy(version) => version.clone(),
            Self::Deprovision | Self::Drift => String::new(),
        };
        Fingerprint::of(&[self.kind().as_str(), service.as_str(), environment.as_str(), &given])
    }
}

/// Why an operation is not begun.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There is no such service, or it belongs to a tenant that the caller is not in.
    #[error("there is no such service")]
    NotFound,
    /// The caller's role in the service's tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    #[error("the request is not valid")]
    Invalid(Vec<FieldError>),
    /// Another operation is open in the environment.
    #[error("another operation is open in this environment; wait for its end or cancel it")]
    Busy {
        /// The service of that environment.
        service: ServiceId,
        /// The one that is open.
        operation: OperationId,
    },
    /// The environment is not such that this could be done.
    #[error("{0}")]
    NotPossible(&'static str),
    /// The key was used for another request.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// Operations of this kind cannot be begun here.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    #[error(transparent)]
    Sealing(#[from] SealError),
    #[error("could not record the operation")]
    Store(#[from] StoreError),
}

impl From<ShowServiceError> for RequestError {
    fn from(error: ShowServiceError) -> Self {
        match error {
            ShowServiceError::NotFound => Self::NotFound,
            ShowServiceError::Store(error) => error.into(),
        }
    }
}

/// An operation was recorded.
#[derive(Debug)]
pub struct Requested {
    /// The operation as it was recorded, or as it stands now where it is a repetition.
    pub operation: Operation,
    /// Whether an earlier request with the same key asked for it.
    pub replayed: bool,
    /// Why its workflow was not started yet, if so; the janitor starts it.
    pub unsettled: Option<DeliveryError>,
}

/// Records an operation and starts its workflow.
///
/// # Errors
///
/// Why it is refused, or that the store failed. A workflow that could not be started is no error: the operation
/// is recorded, and the janitor starts it.
pub async fn request<S>(
    store: &S,
    seal: &dyn SealInputs,
    start: &dyn StartWorkflow,
    system: &dyn System,
    audit: &AuditContext<'_>,
    request: &OperationRequest<'_>,
) -> Result<Requested, RequestError>
where
    S: FindService + FindModule + FindOperation + SaveOperation,
{
    let OperationRequest { service, environment, ask, key } = *request;
    for _ in 0..TRIES {
        let found = crate::catalog::show(store, audit.caller, service).await?;
        admit(audit.caller, ask, &found.service)?;
        let actor = audit.caller.actor();
        let id = match key {
            Some(key) => OperationId::of_key(&RequestKey::of(&actor, key)),
            None => OperationId::new(system, system.now()),
        };
        // Before the request is judged: what it changed may make the same request impossible by now, such as a
        // second deprovisioning, and its repetition has to find the first one nevertheless.
        if key.is_some()
            && let Some(existing) = store.find_operation(&id).await?
        {
            let meant = environment.unwrap_or(&existing.environment);
            let mut fingerprint = ask.fingerprint(service, meant);
            if existing.fingerprint != fingerprint && has_secrets(&existing) {
                fingerprint = seal.blind(&fingerprint).await?;
            }
            let wanted = (&found.service.tenant, &fingerprint);
            return replay(store, start, system, existing, wanted).await;
        }
        let asked = Asked::new(audit.caller, system.now());
        let environment = match environment {
            Some(environment) => environment,
            None => only_environment(&found.service)?,
        };
        let spec = environment_of(&found.service, environment)?;
        let mut fingerprint = ask.fingerprint(service, environment);
        let work = match ask {
            Ask::Provision(given) => {
                let provision = provision(store, seal, service, spec, given).await?;
                if provision.sealed_any {
                    fingerprint = seal.blind(&fingerprint).await?;
                }
                Work::Provision(provision.configuration)
            }
            Ask::Deprovision => Work::Deprovision(applied(&found, spec)?),
            Ask::Drift => Work::Drift(applied(&found, spec)?),
            Ask::Deploy(version) => deploy(&found, spec, version)?,
        };
        let operation = draft(&found, spec, work, fingerprint, id, asked);
        start.ready(operation.workflow())?;
        let entry = audit.entry(system, ask.action(), Outcome::Requested, audit_target(&operation));
        if let Some(requested) = begin(store, start, system, &found.service, operation, &entry).await? {
            return Ok(requested);
        }
        // The service was edited since it was read: the environment may have another module now, or be gone.
    }
    let busy = "the service was edited each time an operation was to begin";
    Err(StoreError::Unavailable(busy.into()).into())
}

fn has_secrets(operation: &Operation) -> bool {
    operation.work.configuration().is_some_and(|given| !given.secret_inputs.is_empty())
}

fn admit(caller: &Caller, ask: &Ask, service: &Service) -> Result<(), RequestError> {
    let allowed = caller.may_in(ask.operation(), &service.tenant);
    if allowed { Ok(()) } else { Err(RequestError::Forbidden(service.tenant.clone())) }
}

/// Asks for the deprovisioning of an environment whose time to live is over. Nobody has to approve it: whoever
/// approved the provisioning approved its end with it. `None` where nothing has to be done, or not yet.
///
/// # Errors
///
/// Why it could not be begun.
pub async fn expire<S>(
    store: &S,
    start: &dyn StartWorkflow,
    system: &dyn System,
    service: &ServiceId,
    environment: &EnvironmentName,
) -> Result<Option<Requested>, RequestError>
where
    S: FindService + FindOperation + SaveOperation,
{
    let now = system.now();
    // The list that named the environment is an index, and may be a second behind.
    let Some(found) = store.find_service(service).await? else { return Ok(None) };
    let Some(state) = found.environments.get(environment) else { return Ok(None) };
    // An operation that was open when its time to live was taken away has set an end nevertheless.
    let spec = found.service.environment(environment).filter(|spec| spec.ttl_hours.is_some());
    let Some(spec) = spec else { return Ok(None) };
    if !is_over(&state.infrastructure, now) || state.running.is_some() || was_tried(store, state, now).await?
    {
        return Ok(None);
    }
    start.ready(Workflow::Provision)?;
    let asked = Asked::by(JANITOR, now);
    let id = OperationId::new(system, now);
    let fingerprint = Ask::Deprovision.fingerprint(service, environment);
    let work = Work::Deprovision(applied(&found, spec)?);
    let operation = draft(&found, spec, work, fingerprint, id, asked);
    let operation = Operation {
        approval_required: false,
        approval_group: None,
        deadline: now + OPEN_AT_MOST,
        ..operation
    };
    let entry = janitors_entry(system, &Ask::Deprovision, &operation);
    begin(store, start, system, &found.service, operation, &entry).await
}

/// Whether what is provisioned was to live until `now` at the latest.
pub(super) fn is_over(infrastructure: &Infrastructure, now: Timestamp) -> bool {
    let end = infrastructure.provisioned().and_then(|provisioned| provisioned.expires_at);
    end.is_some_and(|end| end <= now)
}

/// What the trail says of an operation that the janitor asks for.
pub(super) fn janitors_entry(system: &dyn System, ask: &Ask, operation: &Operation) -> Entry {
    let (origin, target) = (Origin::default(), audit_target(operation));
    Entry::new(system, JANITOR.to_owned(), &origin, ask.action(), Outcome::Requested, target)
}

/// Whether the environment was to be changed a short while ago, and that came to nothing. That a look for drift failed
/// says nothing of that.
async fn was_tried<S>(store: &S, state: &EnvironmentState, now: Timestamp) -> Result<bool, StoreError>
where
    S: FindOperation,
{
    let Some(last) = &state.last_provisioning else { return Ok(false) };
    let found = store.find_operation(last).await?;
    let found = found.filter(|operation| operation.work.kind() != OperationKind::Drift);
    Ok(found.is_some_and(|operation| match operation.state {
        State::Ended { ending, at, .. } => ending != OperationOutcome::Succeeded && now < at + PAUSE,
        State::Requested | State::Running { .. } | State::AwaitingApproval { .. } => true,
    }))
}

/// Answers a repetition, and starts the workflow where the first request died before it could.
async fn replay<S>(
    store: &S,
    start: &dyn StartWorkflow,
    clock: &dyn Clock,
    existing: Operation,
    (tenant, fingerprint): (&TenantId, &Fingerprint),
) -> Result<Requested, RequestError>
where
    S: FindOperation + SaveOperation,
{
    // The operation outlives its service, whose id another tenant's service may have by now.
    if existing.fingerprint != *fingerprint || existing.tenant != *tenant {
        return Err(RequestError::KeyReused);
    }
    let unsettled = start_workflow(store, start, clock, &existing).await.err();
    Ok(Requested { operation: existing, replayed: true, unsettled })
}

/// Records the operation and starts its workflow; `None` when the service was edited meanwhile, or its environment
/// extended that was to expire.
pub(super) async fn begin<S>(
    store: &S,
    start: &dyn StartWorkflow,
    clock: &dyn Clock,
    service: &Service,
    operation: Operation,
    entry: &Entry,
) -> Result<Option<Requested>, RequestError>
where
    S: FindOperation + SaveOperation,
{
    match store.begin_operation(&operation, &service.revision, entry).await? {
        BeginOutcome::Begun => {
            let unsettled = start_workflow(store, start, clock, &operation).await.err();
            Ok(Some(Requested { operation, replayed: false, unsettled }))
        }
        // The same request at the same time, or this one, whose answer from the table was lost.
        BeginOutcome::Exists(existing) => {
            let wanted = (&operation.tenant, &operation.fingerprint);
            replay(store, start, clock, *existing, wanted).await.map(Some)
        }
        BeginOutcome::Busy(operation) => Err(RequestError::Busy { service: service.id.clone(), operation }),
        // Only the janitor's own expire an environment, and it has nothing to do then.
        BeginOutcome::ServiceChanged | BeginOutcome::NotExpired => Ok(None),
    }
}

async fn start_workflow<S>(
    store: &S,
    start: &dyn StartWorkflow,
    clock: &dyn Clock,
    operation: &Operation,
) -> Result<(), DeliveryError>
where
    S: FindOperation + SaveOperation,
{
    let workflow = WorkflowPorts { start: Some(start), answer: None, oversee: None };
    deliver_pending(store, clock, workflow, operation).await.map(drop)
}

/// The record of the operation that is asked for.
pub(super) fn draft(
    found: &Registered,
    spec: &EnvironmentSpec,
    work: Work,
    fingerprint: Fingerprint,
    id: OperationId,
    requested: Asked,
) -> Operation {
    let service = &found.service;
    let state = found.environments.get(&spec.name);
    let kind = work.kind();
    let approval_required = spec.approval_required && kind != OperationKind::Drift;
    let limit = if approval_required { OPEN_AT_MOST + APPROVAL } else { OPEN_AT_MOST };
    // A plan that changes nothing ends the operation without an apply. What came out before is still true then, should
    // its worker not say what the state has.
    let before = state.and_then(|state| state.infrastructure.provisioned());
    let outputs = before.map(|provisioned| provisioned.outputs.clone()).unwrap_or_default();
    let known_drift = state.and_then(|state| state.drift.as_ref());
    let known_drift = known_drift.filter(|drift| drift.state == DriftState::Detected);
    Operation {
        id,
        service: service.id.clone(),
        service_name: service.name.clone(),
        tenant: service.tenant.clone(),
        project: service.spec.project.clone(),
        environment: spec.name.clone(),
        fingerprint,
        work,
        approval_required,
        approval_group: spec.approval_group.clone().filter(|_| approval_required),
        deadline: requested.at + limit,
        state: State::Requested,
        cancel: None,
        verdict: None,
        attempt: None,
        known_drift: known_drift.filter(|_| kind == OperationKind::Drift).map(|drift| drift.summary),
        plan: None,
        outputs: if kind == OperationKind::Deploy { BTreeMap::new() } else { outputs },
        steps: Vec::new(),
        log: Vec::new(),
        links: Vec::new(),
        run: None,
        failure: None,
        unchanged: false,
        pending_signal: Some(Signal::Start),
        listed_as: Some(OperationStatus::Queued),
        updated_at: requested.at,
        requested,
        version: 1,
    }
}

pub(super) fn environment_of<'a>(
    service: &'a Service,
    name: &EnvironmentName,
) -> Result<&'a EnvironmentSpec, RequestError> {
    service.environment(name).ok_or_else(|| {
        let known: Vec<_> = service.spec.environments.iter().map(|spec| spec.name.as_str()).collect();
        invalid("/environment", format!("the service has no such environment; it has: {}", known.join(", ")))
    })
}

fn only_environment(service: &Service) -> Result<&EnvironmentName, RequestError> {
    match &service.spec.environments[..] {
        [only] => Ok(&only.name),
        [] => Err(invalid("/environment", "the service has no environment")),
        several => {
            let names: Vec<_> = several.iter().map(|spec| spec.name.as_str()).collect();
            Err(invalid("/environment", format!("say which of the service's: {}", names.join(", "))))
        }
    }
}

fn invalid(pointer: &str, detail: impl Into<String>) -> RequestError {
    RequestError::Invalid(vec![FieldError::new(pointer, detail)])
}

/// What exists in the environment was made with this, and can only be taken away or compared so, whatever the service says
/// now.
pub(super) fn applied(found: &Registered, spec: &EnvironmentSpec) -> Result<Configuration, RequestError> {
    let state = found.environments.get(&spec.name);
    let provisioned = state.and_then(|state| state.infrastructure.provisioned());
    let provisioned =
        provisioned.ok_or(RequestError::NotPossible("nothing is provisioned in this environment"))?;
    Ok(Configuration {
        module: provisioned.module.clone(),
        artifact: provisioned.artifact.clone(),
        inputs: provisioned.inputs.clone(),
        secret_inputs: provisioned.secret_inputs.clone(),
        ttl_hours: spec.ttl_hours,
    })
}

fn deploy(found: &Registered, spec: &EnvironmentSpec, version: &str) -> Result<Work, RequestError> {
    check_version(version)?;
    let state = found.environments.get(&spec.name);
    let is_present = state.is_some_and(|state| matches!(state.infrastructure, Infrastructure::Present(_)));
    if spec.module.is_some() && !is_present {
        return Err(RequestError::NotPossible("the environment is not provisioned; provision it first"));
    }
    let target = spec.deploy.as_ref().or(found.service.spec.deploy.as_ref()).cloned();
    let target = target.ok_or(RequestError::NotPossible(
        "nothing deploys this service: give it a deploy job or a webhook first",
    ))?;
    Ok(Work::Deploy { version: version.to_owned(), target })
}

/// What is to be provisioned.
struct Provision {
    configuration: Configuration,
    /// Whether the request gave a secret.
    sealed_any: bool,
}

/// The environment's inputs with those of the request over them, as its module takes them.
async fn provision<S: FindModule>(
    store: &S,
    seal: &dyn SealInputs,
    service: &ServiceId,
    spec: &EnvironmentSpec,
    given: &Object,
) -> Result<Provision, RequestError> {
    let module = spec.module.clone().ok_or(RequestError::NotPossible(
        "the environment has no module, so there is nothing to provision; give it one first",
    ))?;
    let mut inputs = spec.inputs.clone();
    inputs.extend(given.clone());
    check_inputs(&inputs).map_err(|detail| invalid("/inputs", detail))?;
    let published = store.find_module(&module).await?;
    let interface = published.as_ref().map(|module| &module.interface);
    let mut secret_inputs = spec.secret_inputs.clone();
    if let Some(interface) = interface {
        let mut errors = check_given(interface, "/inputs", &inputs);
        let missing =
            check_missing(interface, |name| inputs.contains_key(name) || secret_inputs.contains(name));
        if !missing.is_empty() {
            let detail = format!("the module `{module}` needs {}", quoted(&missing));
            errors.push(FieldError::new("/inputs", detail));
        }
        if !errors.is_empty() {
            return Err(RequestError::Invalid(errors));
        }
    }
    let secret = secret_names(interface, &secret_inputs);
    let sealed_any = secret_inputs.take(seal, (service, &spec.name), &secret, &mut inputs).await?;
    let ttl_hours = spec.ttl_hours;
    let configuration = Configuration { module, artifact: None, inputs, secret_inputs, ttl_hours };
    Ok(Provision { configuration, sealed_any })
}

fn check_version(version: &str) -> Result<(), RequestError> {
    let valid =
        (1..=MAX_VERSION).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_graphic());
    if valid { Ok(()) } else { Err(invalid("/version", "must be 1 to 200 visible ASCII characters")) }
}
