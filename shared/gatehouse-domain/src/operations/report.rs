//! What workers report: by callback, with the token of their attempt.

use super::{
    Operation,
    attempt::{CallbackClaims, CallbackKey, CallbackTokenError},
    change::{ChangeError, DeliveryError, WorkflowPorts, change, deliver_pending},
    lifecycle::Changed,
    store::{FindOperation, SaveOperation},
    workflow::{AnswerTask, TaskAnswer, Workflow, WorkflowError},
};
use crate::{clock::Clock, id::OperationId, store::StoreError};

pub use super::lifecycle::{Message, Progress, Report, ReportRefused, Success};

/// A report, with what it claims to be about.
#[derive(Debug, Clone)]
pub struct Callback {
    /// The operation that it names.
    pub operation: OperationId,
    /// The workflow whose address it came to.
    pub workflow: Workflow,
    pub message: Message,
}

/// Why a report is refused.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Its token is not valid, or has expired.
    #[error(transparent)]
    Token(#[from] CallbackTokenError),
    /// Its token is for another operation or attempt than it names.
    #[error("the callback token is for another operation or attempt")]
    Mismatch,
    /// There is no such operation any more.
    #[error("there is no such operation")]
    NotFound,
    /// The operation does not take it.
    #[error(transparent)]
    Refused(#[from] ReportRefused),
    /// It is recorded, but its signal did not reach the workflow; the same report again delivers it.
    #[error("the signal to the workflow could not be delivered")]
    Workflow(#[from] WorkflowError),
    #[error("could not record the report")]
    Store(#[from] StoreError),
}

impl From<DeliveryError> for ReportError {
    fn from(error: DeliveryError) -> Self {
        match error {
            DeliveryError::Workflow(error) => error.into(),
            DeliveryError::Store(error) => error.into(),
        }
    }
}

/// A report was taken.
#[derive(Debug)]
pub struct Taken {
    /// The operation as it stands now.
    pub operation: Operation,
    /// Whether the report was news: its repetition is not.
    pub applied: bool,
    /// Whether the worker is asked to stop.
    pub cancel: bool,
}

/// Takes a worker's report and signals its workflow. The token is checked before anything is read, so that
/// whoever guesses tokens costs no call.
///
/// # Errors
///
/// Why the report is refused, or that its workflow could not be signalled: then it was recorded nevertheless.
pub async fn report<S>(
    store: &S,
    clock: &dyn Clock,
    workflow: WorkflowPorts<'_>,
    key: &CallbackKey,
    token: &str,
    callback: &Callback,
) -> Result<Taken, ReportError>
where
    S: FindOperation + SaveOperation,
{
    let now = clock.now();
    let claims = key.verify(token, now)?;
    matches(&claims, callback)?;
    let mut applied = false;
    let changed = change(store, clock, &claims.operation, None, |operation| {
        // A token of one workflow opens nothing at the other one's address.
        if operation.workflow() != callback.workflow {
            return Err(ReportError::Mismatch);
        }
        let changed = operation.report(callback.message.clone(), now)?;
        applied = changed != Changed::Nothing;
        Ok(changed)
    });
    let operation = changed.await.map_err(|error| match error {
        ChangeError::NotFound => ReportError::NotFound,
        ChangeError::Refused(refused) => refused,
        ChangeError::Store(error) => error.into(),
    })?;
    // Also for a repetition: the process that took the first one may have died before it delivered.
    deliver_pending(store, clock, workflow, &operation).await?;
    // Also for a repetition: the answer to the first one, and with it the wish to stop, may have been lost.
    let unwanted = match workflow.answer {
        Some(engine) if operation.is_open() => !is_awaited(engine, &operation).await?,
        Some(_) | None => false,
    };
    let cancel = unwanted || operation.cancel.is_some();
    Ok(Taken { operation, applied, cancel })
}

fn matches(claims: &CallbackClaims, callback: &Callback) -> Result<(), ReportError> {
    let same = claims.operation == callback.operation && claims.attempt == callback.message.attempt;
    if same { Ok(()) } else { Err(ReportError::Mismatch) }
}

/// Sends the workflow a heartbeat. Returns whether it still waits for this worker: after a timeout it does not,
/// and the worker would continue something whose outcome nobody takes.
async fn is_awaited(engine: &dyn AnswerTask, operation: &Operation) -> Result<bool, WorkflowError> {
    let attempt = operation.attempt.as_ref().filter(|attempt| !attempt.reported);
    let Some(token) = attempt.and_then(|attempt| attempt.token.as_ref()) else { return Ok(true) };
    Ok(engine.heartbeat(token).await? == TaskAnswer::Accepted)
}
