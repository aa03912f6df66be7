//! What the janitor does for operations: it delivers pending signals, ends operations that are overdue or whose
//! workflow has ended without recording an outcome, and deprovisions environments whose time to live is over.
//!
//! Every other caller may die between two of its calls. The janitor makes whatever they left undone happen
//! later, so none of them has to hold out until it is done.

use std::{convert::Infallible, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Operation, State,
    change::{ChangeError, DeliveryError, WorkflowPorts, change, deliver_pending},
    lifecycle::Changed,
    request::{RequestError, expire},
    store::{FindOperation, SaveOperation},
    workflow::{StartWorkflow, WorkflowError},
};
use crate::{
    catalog::FindService,
    clock::{Clock, System},
    id::{OperationId, ServiceId},
    name::EnvironmentName,
    paging::{ListError, Page, PageRequest},
    store::StoreError,
};

/// How long after the last change of an operation its execution is described. Between two changes of one that
/// works pass seconds, or minutes where Terraform is silent, so describing it sooner would only cost calls.
const QUIET: Duration = Duration::from_mins(5);

/// The same for one that waits for approval, which may take a week without anything to see.
const PATIENT: Duration = Duration::from_hours(1);

/// Lists what is open. Needs `dynamodb:Query` and `dynamodb:BatchGetItem`.
#[async_trait]
pub trait ListOpenOperations: Send + Sync {
    /// A page of the operations that have not ended, or have a signal pending. Strongly consistent.
    async fn open_operations(&self, page: &PageRequest) -> Result<Page<Operation>, ListError>;

    /// A page of the environments that are to be deprovisioned at `now`, those first whose time was over
    /// first.
    async fn ended_environments(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<(ServiceId, EnvironmentName)>, ListError>;
}

/// An operation could not be reconciled. The next sweep tries again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The workflow engine failed.
    #[error("could not look after operation {0}")]
    Workflow(OperationId, #[source] WorkflowError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A list could not be read.
    #[error("could not read the list")]
    List(#[from] ListError),
    /// An environment whose time is over is not deprovisioned.
    #[error("environment {environment} of service {service} is not deprovisioned, although its time is over")]
    Expire {
        service: ServiceId,
        environment: EnvironmentName,
        #[source]
        source: RequestError,
    },
}

/// What a sweep did for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// Nothing had to be done.
    Fine,
    /// A pending signal reached its workflow.
    Delivered,
    Ended,
}

/// Reconciles one operation with its workflow, as far as `workflow` reaches it: without, only what the record
/// and the clock decide is done.
///
/// # Errors
///
/// When the store or the workflow engine failed. What was done before that stays done.
pub async fn reconcile<S>(
    store: &S,
    workflow: WorkflowPorts<'_>,
    clock: &dyn Clock,
    operation: &Operation,
) -> Result<Reconciled, ReconcileError>
where
    S: FindOperation + SaveOperation,
{
    let now = clock.now();
    let was_open = operation.is_open();
    let mut current = operation.clone();
    // Before the engine is asked anything: an engine that is down must not keep an environment locked.
    if current.end_overdue(now) != Changed::Nothing {
        let ended = change_or_forget(store, clock, operation, |operation| operation.end_overdue(now));
        let Some(ended) = ended.await? else { return Ok(Reconciled::Fine) };
        current = ended;
    }
    // While a signal is pending, the execution may well stand still for want of it: deliver that first, and
    // describe the execution in a later sweep.
    if let Some(engine) = workflow.oversee
        && current.pending_signal.is_none()
        && is_quiet(&current, now)
    {
        let execution = engine.describe(current.workflow(), &current.id).await;
        let execution = execution.map_err(|error| ReconcileError::Workflow(current.id.clone(), error))?;
        let seen = current.version;
        let noted = change_or_forget(store, clock, &current, |operation| {
            // The description is older than this read. Where the record has changed since, the execution was
            // alive, and what was described of it may no longer be so.
            if operation.version == seen {
                operation.end_abandoned(execution.as_ref(), now)
            } else {
                Changed::Nothing
            }
        });
        match noted.await? {
            Some(noted) => current = noted,
            None => return Ok(Reconciled::Fine),
        }
    }
    let delivered = deliver_pending(store, clock, workflow, &current).await;
    let delivered = delivered.map_err(|error| match error {
        DeliveryError::Workflow(error) => ReconcileError::Workflow(current.id.clone(), error),
        DeliveryError::Store(error) => error.into(),
    })?;
    Ok(match (was_open && !current.is_open(), delivered) {
        (true, _) => Reconciled::Ended,
        (false, true) => Reconciled::Delivered,
        (false, false) => Reconciled::Fine,
    })
}

/// Changes the operation; `None` when its record has expired since it was listed.
async fn change_or_forget<S>(
    store: &S,
    clock: &dyn Clock,
    operation: &Operation,
    mut rule: impl FnMut(&mut Operation) -> Changed,
) -> Result<Option<Operation>, StoreError>
where
    S: FindOperation + SaveOperation,
{
    let changed = change(store, clock, &operation.id, None, |operation| Ok::<_, Infallible>(rule(operation)));
    match changed.await {
        Ok(operation) => Ok(Some(operation)),
        Err(ChangeError::NotFound) => Ok(None),
        Err(ChangeError::Store(error)) => Err(error),
    }
}

fn is_quiet(operation: &Operation, now: Timestamp) -> bool {
    let quiet = match operation.state {
        State::Requested | State::Running { .. } => QUIET,
        State::AwaitingApproval { .. } => PATIENT,
        State::Ended { .. } => return false,
    };
    operation.updated_at + quiet <= now
}

/// Begins to deprovision an environment whose time to live is over. Returns whether it was begun.
///
/// # Errors
///
/// Why it could not be begun, unless another operation is open in the environment.
pub async fn expire_environment<S>(
    store: &S,
    start: &dyn StartWorkflow,
    system: &dyn System,
    service: &ServiceId,
    environment: &EnvironmentName,
) -> Result<bool, ReconcileError>
where
    S: FindService + FindOperation + SaveOperation,
{
    match expire(store, start, system, service, environment).await {
        Ok(requested) => Ok(requested.is_some()),
        // Somebody began an operation since the environment was listed. Its end leaves the environment listed,
        // so that a later sweep tries again.
        Err(RequestError::Busy { .. }) => Ok(false),
        Err(source) => {
            Err(ReconcileError::Expire { service: service.clone(), environment: environment.clone(), source })
        }
    }
}
