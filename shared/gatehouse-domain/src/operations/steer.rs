//! What a workflow records of itself: the commands that its state machine sends.
//!
//! Step Functions retries a command whose answer was lost, so each of these may come again after it was done.

use secrecy::SecretString;

use super::{
    Operation, OperationOutcome, Phase, TaskToken,
    attempt::CallbackKey,
    change::{ChangeError, DeliveryError, WorkflowPorts, change, deliver_pending},
    lifecycle::StepRefused,
    store::{FindOperation, SaveOperation},
};
use crate::{
    catalog::{DeployTarget, FindService},
    clock::Clock,
    id::OperationId,
};

/// Why a command is refused.
pub type SteerError = ChangeError<StepRefused>;

impl SteerError {
    /// The word that a state machine catches, and retries by. `infra/state-machines` names each of them.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotFound => "OperationNotFound",
            Self::Refused(StepRefused::Ended(_)) => "OperationEnded",
            Self::Refused(StepRefused::CancelRequested) => "CancelRequested",
            Self::Refused(StepRefused::OutOfPlace(_)) => "OutOfPlace",
            Self::Store(_) => UNAVAILABLE,
        }
    }
}

/// The word for what may work when it is tried again: the only one of ours that the state machines retry.
pub const UNAVAILABLE: &str = "Unavailable";

/// An attempt was opened.
#[derive(Debug)]
pub struct BegunAttempt {
    pub operation: Operation,
    /// Its number: 1, 2, 3 … in the operation.
    pub attempt: u32,
    /// The credential of its worker, for reports on this attempt alone.
    pub callback_token: SecretString,
}

/// Opens an attempt on a phase. Each call opens another one, which supersedes the one before: the state machine
/// retries only after it has given up on the worker of that one, which may still be alive.
///
/// # Errors
///
/// When the operation has ended, is to stop, is not at this phase, or would change something under a weaker rule than
/// holds now.
pub async fn begin_attempt<S>(
    store: &S,
    clock: &dyn Clock,
    key: &CallbackKey,
    id: &OperationId,
    phase: Phase,
) -> Result<BegunAttempt, SteerError>
where
    S: FindOperation + SaveOperation + FindService,
{
    if phase == Phase::Apply {
        let operation = store.find_operation(id).await?.ok_or(ChangeError::NotFound)?;
        let found = store.find_service(&operation.service).await?.map(|found| found.service);
        operation.going_on().map_err(ChangeError::Refused)?;
        operation
            .keeps_to(found.as_ref())
            .map_err(|why| ChangeError::Refused(StepRefused::OutOfPlace(why)))?;
    }
    let rule = |operation: &mut Operation| operation.begin_attempt(phase, clock.now());
    let operation = change(store, clock, id, None, rule).await?;
    let Some(attempt) = &operation.attempt else {
        return Err(ChangeError::Refused(StepRefused::OutOfPlace("the attempt is gone")));
    };
    let callback_token = key.mint(&attempt.claims(&operation.id));
    Ok(BegunAttempt { attempt: attempt.number, callback_token, operation })
}

/// What deploys, and whether somebody has to agree first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// Whether somebody has to agree.
    pub approval_required: bool,
    /// Whether a job deploys; a webhook otherwise.
    pub by_job: bool,
}

/// Admits a deploy: the first thing that its workflow does.
///
/// # Errors
///
/// When the operation has ended, is to stop, or is no deploy.
pub async fn admit<S>(store: &S, clock: &dyn Clock, id: &OperationId) -> Result<Admitted, SteerError>
where
    S: FindOperation + SaveOperation,
{
    let operation = change(store, clock, id, None, Operation::admit).await?;
    let by_job = match &operation.work {
        super::Work::Deploy { target, .. } => matches!(target, DeployTarget::Job(_)),
        super::Work::Provision(_) | super::Work::Deprovision(_) | super::Work::Drift(_) => false,
    };
    Ok(Admitted { approval_required: operation.approval_required, by_job })
}

/// Waits for somebody to agree. Where nobody has to, or somebody has agreed already, the workflow gets its answer
/// at once. A failure to deliver that is returned beside the operation and left to the janitor.
///
/// # Errors
///
/// When the operation has ended, is to stop, or has nothing to agree to.
pub async fn await_approval<S>(
    store: &S,
    clock: &dyn Clock,
    workflow: WorkflowPorts<'_>,
    id: &OperationId,
    token: &TaskToken,
) -> Result<(Operation, Option<DeliveryError>), SteerError>
where
    S: FindOperation + SaveOperation,
{
    let rule = |operation: &mut Operation| operation.await_approval(token.clone(), clock.now());
    let operation = change(store, clock, id, None, rule).await?;
    let unsettled = deliver_pending(store, clock, workflow, &operation).await.err();
    Ok((operation, unsettled))
}

/// Records that the operation succeeded.
///
/// # Errors
///
/// When it has ended otherwise, or something of it was not reported as done.
pub async fn finish<S>(store: &S, clock: &dyn Clock, id: &OperationId) -> Result<Operation, SteerError>
where
    S: FindOperation + SaveOperation,
{
    change(store, clock, id, None, |operation| operation.finish(clock.now())).await
}

/// Records that the operation will not be done, with the error that its state machine caught. Returns its
/// outcome, which may have been recorded before, and may even be a success that the workflow did not learn of.
///
/// # Errors
///
/// When there is no such operation, or the store failed.
pub async fn fail<S>(
    store: &S,
    clock: &dyn Clock,
    id: &OperationId,
    error: &str,
    cause: &str,
) -> Result<OperationOutcome, SteerError>
where
    S: FindOperation + SaveOperation,
{
    let rule = |operation: &mut Operation| Ok(operation.fail(error, cause, clock.now()));
    let operation = change(store, clock, id, None, rule).await?;
    Ok(operation.ending().unwrap_or(OperationOutcome::Failed))
}
