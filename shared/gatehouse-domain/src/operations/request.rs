//! Asking for an operation.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    access::{self, CHECK_DRIFT, DEPLOY_SERVICE, DEPROVISION_SERVICE, PROVISION_SERVICE},
    audit::{Action, AuditContext, Entry, JANITOR, Origin, Outcome},
    caller::Caller,
    catalog::{
        EnvironmentSpec, EnvironmentState, FindService, Infrastructure, Registered, Service,
        ShowServiceError, check_inputs,
    },
    clock::{Clock, IdSource},
    id::{OperationId, ServiceId},
    idempotency::{Fingerprint, IdempotencyKey, RequestKey},
    name::{EnvironmentName, TenantId},
    operations::{
        Asked, BeginOutcome, Configuration, FindOperation, Operation, OperationKind, OperationOutcome,
        SaveOperation, Signal, State, Work,
        change::{ChangePorts, DeliveryError, WorkflowPorts, deliver_pending},
        operation::audit_target,
        workflow::{NotReady, StartWorkflow, Workflow},
    },
    store::StoreError,
    validation::FieldError,
};

/// How long an operation that nobody has to approve is open at most.
const LIMIT: Duration = Duration::from_hours(8);

/// How much longer one is that somebody has to approve: longer than its workflow waits for that.
const APPROVAL: Duration = Duration::from_hours(7 * 24);

/// The longest version, in bytes.
const MAX_VERSION: usize = 200;

/// How long to leave an environment alone whose deprovisioning came to nothing.
const PAUSE: Duration = Duration::from_hours(1);

/// How often a request is tried whose service was edited meanwhile.
const TRIES: usize = 4;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Provision, with these inputs over those of the environment.
    Provision(Map<String, Value>),
    /// Deprovision.
    Deprovision,
    /// Look for drift.
    Drift,
    /// Deploy this version.
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

    fn fingerprint(&self, service: &ServiceId, environment: &EnvironmentName) -> Fingerprint {
        let given = match self {
            Self::Provision(inputs) => serde_json::to_string(inputs).unwrap_or_default(),
            Self::Deploy(version) => version.clone(),
            Self::Deprovision | Self::Drift => String::new(),
        };
        Fingerprint::of(&[self.kind().as_str(), service.as_str(), environment.as_str(), &given])
    }
}

/// What asking for an operation needs.
#[derive(Clone, Copy)]
pub struct RequestPorts<'a> {
    /// Reads the service.
    pub services: &'a dyn FindService,
    /// Reads operations.
    pub find: &'a dyn FindOperation,
    /// Records them.
    pub save: &'a dyn SaveOperation,
    /// Begins workflows.
    pub start: &'a dyn StartWorkflow,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Makes ids.
    pub ids: &'a dyn IdSource,
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
    /// Fields were refused.
    #[error("the request is not valid")]
    Invalid(Vec<FieldError>),
    /// Another operation is open in the environment.
    #[error("another operation is open in this environment; wait for its end or cancel it")]
    Busy {
        /// Whose environment.
        service: ServiceId,
        /// Which operation.
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
    /// The store failed.
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
    /// The operation as it stood then.
    pub operation: Operation,
    /// Whether an earlier request with the same key asked for it.
    pub replayed: bool,
    /// Why its workflow was not begun yet, if so; the janitor begins it.
    pub unsettled: Option<DeliveryError>,
}

/// Asks for an operation, and begins its workflow.
pub async fn request(
    ports: &RequestPorts<'_>,
    audit: &AuditContext<'_>,
    service: &ServiceId,
    environment: &EnvironmentName,
    ask: &Ask,
    key: Option<&IdempotencyKey>,
) -> Result<Requested, RequestError> {
    for _ in 0..TRIES {
        let found = crate::catalog::show(ports.services, audit.caller, service).await?;
        admit(audit.caller, ask, &found.service)?;
        let actor = audit.caller.actor();
        let id = match key {
            Some(key) => OperationId::of_key(&RequestKey::of(&actor, key)),
            None => OperationId::new(ports.ids, ports.clock.now()),
        };
        if key.is_some()
            && let Some(existing) = ports.find.find_operation(&id).await?
        {
            return replay(ports, existing, &ask.fingerprint(service, environment)).await;
        }
        let asked = Asked { by: actor, at: ports.clock.now() };
        let operation = draft(&found, environment, ask, id, asked)?;
        ports.start.ready(operation.workflow())?;
        let entry =
            audit.entry(ports.clock, ports.ids, ask.action(), Outcome::Requested, audit_target(&operation));
        if let Some(requested) = begin(ports, &found.service, operation, &entry).await? {
            return Ok(requested);
        }
    }
    let busy = "the service was edited each time an operation was to begin";
    Err(StoreError::Unavailable(busy.into()).into())
}

fn admit(caller: &Caller, ask: &Ask, service: &Service) -> Result<(), RequestError> {
    let allowed = caller.may_in(ask.operation(), &service.tenant);
    if allowed { Ok(()) } else { Err(RequestError::Forbidden(service.tenant.clone())) }
}

/// Asks for the deprovisioning of an environment whose time is over. It was agreed to with its time.
/// `None` when it is not so any more.
pub async fn expire(
    ports: &RequestPorts<'_>,
    service: &ServiceId,
    environment: &EnvironmentName,
) -> Result<Option<Requested>, RequestError> {
    let now = ports.clock.now();
    let Some(found) = ports.services.find_service(service).await? else { return Ok(None) };
    let Some(state) = found.environments.get(environment) else { return Ok(None) };
    let provisioned = state.infrastructure.provisioned();
    let over = provisioned.and_then(|provisioned| provisioned.ends_at).is_some_and(|ends_at| ends_at <= now);
    if !over || state.running.is_some() || was_tried(ports, state, now).await? {
        return Ok(None);
    }
    ports.start.ready(Workflow::Provision)?;
    let asked = Asked { by: JANITOR.to_owned(), at: now };
    let id = OperationId::new(ports.ids, now);
    let operation = draft(&found, environment, &Ask::Deprovision, id, asked)?;
    let operation = Operation { approval_required: false, deadline: now + LIMIT, ..operation };
    let entry = Entry::new(
        ports.clock,
        ports.ids,
        JANITOR.to_owned(),
        &Origin::default(),
        Action::DeprovisionService,
        Outcome::Requested,
        audit_target(&operation),
    );
    begin(ports, &found.service, operation, &entry).await
}

/// Whether something was tried in the environment a short while ago, and came to nothing.
async fn was_tried(
    ports: &RequestPorts<'_>,
    state: &EnvironmentState,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(last) = &state.last_provisioning else { return Ok(false) };
    let found = ports.find.find_operation(last).await?;
    Ok(found.is_some_and(|operation| match operation.state {
        State::Ended { ending, at, .. } => ending != OperationOutcome::Succeeded && now < at + PAUSE,
        State::Requested | State::Running(_) | State::AwaitingApproval { .. } => true,
    }))
}

/// Answers a repetition, and begins the workflow where the first request died before it could.
async fn replay(
    ports: &RequestPorts<'_>,
    existing: Operation,
    fingerprint: &Fingerprint,
) -> Result<Requested, RequestError> {
    if existing.fingerprint != *fingerprint {
        return Err(RequestError::KeyReused);
    }
    let unsettled = start(ports, &existing).await.err();
    Ok(Requested { operation: existing, replayed: true, unsettled })
}

/// Records the operation and begins its workflow; `None` when the service was edited meanwhile.
async fn begin(
    ports: &RequestPorts<'_>,
    service: &Service,
    operation: Operation,
    entry: &Entry,
) -> Result<Option<Requested>, RequestError> {
    match ports.save.begin_operation(&operation, &service.revision, entry).await? {
        BeginOutcome::Begun => {
            let unsettled = start(ports, &operation).await.err();
            Ok(Some(Requested { operation, replayed: false, unsettled }))
        }
        BeginOutcome::Exists(existing) => replay(ports, *existing, &operation.fingerprint).await.map(Some),
        BeginOutcome::Busy(operation) => Err(RequestError::Busy { service: service.id.clone(), operation }),
        BeginOutcome::ServiceChanged => Ok(None),
    }
}

async fn start(ports: &RequestPorts<'_>, operation: &Operation) -> Result<(), DeliveryError> {
    let change = ChangePorts { find: ports.find, save: ports.save, clock: ports.clock };
    let lines = WorkflowPorts { start: Some(ports.start), answer: None, oversee: None };
    deliver_pending(&change, lines, operation).await.map(drop)
}

/// The operation that is asked for.
fn draft(
    found: &Registered,
    environment: &EnvironmentName,
    ask: &Ask,
    id: OperationId,
    requested: Asked,
) -> Result<Operation, RequestError> {
    let service = &found.service;
    let spec = service.environment(environment).ok_or_else(|| {
        let known: Vec<_> = service.spec.environments.iter().map(|spec| spec.name.as_str()).collect();
        invalid("/environment", format!("the service has no such environment; it has: {}", known.join(", ")))
    })?;
    let state = found.environments.get(environment);
    let work = work(service, spec, state, ask)?;
    let approval_required = spec.approval_required && ask.kind() != OperationKind::Drift;
    let limit = if approval_required { LIMIT + APPROVAL } else { LIMIT };
    // A plan that changes nothing leaves what came out before.
    let before = state.and_then(|state| state.infrastructure.provisioned());
    let outputs = before.map(|provisioned| provisioned.outputs.clone()).unwrap_or_default();
    Ok(Operation {
        id,
        service: service.id.clone(),
        service_name: service.name.clone(),
        tenant: service.tenant.clone(),
        project: service.spec.project.clone(),
        environment: environment.clone(),
        fingerprint: ask.fingerprint(&service.id, environment),
        work,
        approval_required,
        deadline: requested.at + limit,
        state: State::Requested,
        cancel: None,
        verdict: None,
        attempt: None,
        plan: None,
        outputs: if ask.kind() == OperationKind::Deploy { BTreeMap::new() } else { outputs },
        steps: Vec::new(),
        log: Vec::new(),
        links: Vec::new(),
        run: None,
        failure: None,
        pending_signal: Some(Signal::Start),
        updated_at: requested.at,
        requested,
        version: 1,
    })
}

fn invalid(pointer: &str, detail: impl Into<String>) -> RequestError {
    RequestError::Invalid(vec![FieldError::new(pointer, detail)])
}

/// What is to be done, where that can be done.
fn work(
    service: &Service,
    spec: &EnvironmentSpec,
    state: Option<&EnvironmentState>,
    ask: &Ask,
) -> Result<Work, RequestError> {
    let infrastructure = state.map_or(&Infrastructure::Absent, |state| &state.infrastructure);
    let before = infrastructure.provisioned().map(|provisioned| Configuration {
        module: provisioned.module.clone(),
        inputs: provisioned.inputs.clone(),
        ttl_hours: spec.ttl_hours,
    });
    match ask {
        Ask::Provision(inputs) => provision(spec, inputs).map(Work::Provision),
        Ask::Deprovision => before.map(Work::Deprovision).ok_or(NOTHING_PROVISIONED),
        Ask::Drift => before.map(Work::Drift).ok_or(NOTHING_PROVISIONED),
        Ask::Deploy(version) => {
            check_version(version)?;
            if spec.module.is_some() && !matches!(infrastructure, Infrastructure::Present(_)) {
                return Err(RequestError::NotPossible(
                    "the environment is not provisioned; provision it first",
                ));
            }
            let target = spec.deploy.as_ref().or(service.spec.deploy.as_ref()).cloned();
            let target = target.ok_or(RequestError::NotPossible(
                "nothing deploys this service: give it a deploy job or a webhook first",
            ))?;
            Ok(Work::Deploy { version: version.clone(), target })
        }
    }
}

const NOTHING_PROVISIONED: RequestError =
    RequestError::NotPossible("nothing is provisioned in this environment");

/// The environment's inputs with those of the request over them.
fn provision(spec: &EnvironmentSpec, given: &Map<String, Value>) -> Result<Configuration, RequestError> {
    let module = spec.module.clone().ok_or(RequestError::NotPossible(
        "the environment has no module, so there is nothing to provision; give it one first",
    ))?;
    let mut inputs = spec.inputs.clone();
    inputs.extend(given.clone());
    check_inputs(&inputs).map_err(|detail| invalid("/inputs", detail))?;
    Ok(Configuration { module, inputs, ttl_hours: spec.ttl_hours })
}

fn check_version(version: &str) -> Result<(), RequestError> {
    let valid =
        (1..=MAX_VERSION).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_graphic());
    if valid { Ok(()) } else { Err(invalid("/version", "must be 1 to 200 visible ASCII characters")) }
}
