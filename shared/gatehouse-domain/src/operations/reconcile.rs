//! What the janitor does for operations: it tells workflows what they are still owed, ends what is open for
//! too long or whose workflow has ended without a word, and deprovisions environments whose time is over.

use std::{convert::Infallible, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Operation, State,
    change::{ChangeError, ChangePorts, DeliveryError, WorkflowPorts, change, deliver_pending},
    lifecycle::Changed,
    request::{RequestError, RequestPorts, expire},
    workflow::WorkflowError,
};
use crate::{
    id::{OperationId, ServiceId},
    name::EnvironmentName,
    paging::{ListError, Page, PageRequest},
    store::StoreError,
};

/// How long after the last change of an operation its workflow is looked at.
const QUIET: Duration = Duration::from_mins(5);

/// How long after the last change of one that waits for approval its workflow is looked at.
const PATIENT: Duration = Duration::from_hours(1);

/// Lists what is open. Needs `dynamodb:Query` and `dynamodb:BatchGetItem`.
#[async_trait]
pub trait ListOpenOperations: Send + Sync {
    /// A page of the operations that have not ended, or whose workflow is owed something. Strongly
    /// consistent.
    async fn open_operations(&self, page: &PageRequest) -> Result<Page<Operation>, ListError>;

    /// A page of the environments that are to be deprovisioned at `now`, those first whose time was over
    /// first.
    async fn ended_environments(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<(ServiceId, EnvironmentName)>, ListError>;
}

/// What looking after operations needs.
#[derive(Clone, Copy)]
pub struct ReconcilePorts<'a> {
    /// Lists what is open.
    pub open: &'a dyn ListOpenOperations,
    /// Changes operations.
    pub change: ChangePorts<'a>,
    /// Tells workflows, and looks at them.
    pub workflow: WorkflowPorts<'a>,
    /// Begins operations.
    pub request: RequestPorts<'a>,
}

/// An operation could not be looked after. The next sweep tries again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The workflow engine failed.
    #[error("could not look after operation {0}")]
    Workflow(OperationId, #[source] WorkflowError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A list could not be read.
    #[error("could not read the list")]
    List(#[from] ListError),
    /// An environment whose time is over is not deprovisioned.
    #[error("environment {environment} of service {service} is not deprovisioned, although its time is over")]
    Expire {
        /// The service.
        service: ServiceId,
        /// The environment.
        environment: EnvironmentName,
        /// Why not.
        #[source]
        source: RequestError,
    },
}

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// Nothing had to be done.
    Fine,
    /// A pending signal reached its workflow.
    Delivered,
    /// It was ended.
    Ended,
}

/// Looks after one operation, as far as there are lines to its workflow.
pub async fn reconcile(
    ports: &ReconcilePorts<'_>,
    operation: &Operation,
) -> Result<Reconciled, ReconcileError> {
    let now = ports.change.clock.now();
    let was_open = operation.is_open();
    let mut current = operation.clone();
    if current.end_overdue(now) != Changed::Nothing {
        let ended = change_or_forget(ports, operation, |operation| operation.end_overdue(now));
        let Some(ended) = ended.await? else { return Ok(Reconciled::Fine) };
        current = ended;
    }
    if let Some(line) = ports.workflow.oversee
        && current.pending_signal.is_none()
        && is_quiet(&current, now)
    {
        let execution = line.describe(current.workflow(), &current.id).await;
        let execution = execution.map_err(|error| ReconcileError::Workflow(current.id.clone(), error))?;
        let seen = current.version;
        let noted = change_or_forget(ports, &current, |operation| {
            // What has moved on since it was looked at is not abandoned.
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
    let told =
        deliver_pending(&ports.change, ports.workflow, &current).await.map_err(|error| match error {
            DeliveryError::Workflow(error) => ReconcileError::Workflow(current.id.clone(), error),
            DeliveryError::Store(error) => error.into(),
        })?;
    Ok(match (was_open && !current.is_open(), told) {
        (true, _) => Reconciled::Ended,
        (false, true) => Reconciled::Delivered,
        (false, false) => Reconciled::Fine,
    })
}

/// Changes the operation; `None` when it is gone.
async fn change_or_forget(
    ports: &ReconcilePorts<'_>,
    operation: &Operation,
    mut rule: impl FnMut(&mut Operation) -> Changed,
) -> Result<Option<Operation>, StoreError> {
    let changed =
        change(&ports.change, &operation.id, None, |operation| Ok::<_, Infallible>(rule(operation)));
    match changed.await {
        Ok(operation) => Ok(Some(operation)),
        Err(ChangeError::NotFound) => Ok(None),
        Err(ChangeError::Store(error)) => Err(error),
    }
}

fn is_quiet(operation: &Operation, now: Timestamp) -> bool {
    let quiet = match operation.state {
        State::Requested | State::Running(_) => QUIET,
        State::AwaitingApproval { .. } => PATIENT,
        State::Ended { .. } => return false,
    };
    operation.updated_at + quiet <= now
}

/// Deprovisions an environment whose time is over. Whether that was begun.
pub async fn expire_environment(
    ports: &ReconcilePorts<'_>,
    service: &ServiceId,
    environment: &EnvironmentName,
) -> Result<bool, ReconcileError> {
    match expire(&ports.request, service, environment).await {
        Ok(requested) => Ok(requested.is_some()),
        // What goes on there ends, and then it is looked at again.
        Err(RequestError::Busy { .. }) => Ok(false),
        Err(source) => {
            Err(ReconcileError::Expire { service: service.clone(), environment: environment.clone(), source })
        }
    }
}
