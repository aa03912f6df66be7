//! What a workflow records of itself: the commands that its state machine sends.

use secrecy::SecretString;

use super::{
    Operation, OperationOutcome, Phase, TaskToken,
    attempt::CallbackKey,
    change::{ChangeError, ChangePorts, DeliveryError, WorkflowPorts, change, deliver_pending},
    lifecycle::StepRefused,
};
use crate::{catalog::DeployTarget, id::OperationId};

/// Why a command is refused.
pub type SteerError = ChangeError<StepRefused>;

impl SteerError {
    /// The word that a state machine catches, and tries again by.
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

/// The word for what may be there when it is tried again.
pub const UNAVAILABLE: &str = "Unavailable";

/// An attempt was opened.
#[derive(Debug)]
pub struct BegunAttempt {
    /// The operation.
    pub operation: Operation,
    /// Its number.
    pub attempt: u32,
    /// With which its worker reports.
    pub callback_token: SecretString,
}

/// Opens an attempt on a phase. Each call opens another one, which takes the place of the one before.
pub async fn begin_attempt(
    ports: &ChangePorts<'_>,
    key: &CallbackKey,
    id: &OperationId,
    phase: Phase,
) -> Result<BegunAttempt, SteerError> {
    let operation =
        change(ports, id, None, |operation| operation.begin_attempt(phase, ports.clock.now())).await?;
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

/// Lets a deploy in.
pub async fn admit(ports: &ChangePorts<'_>, id: &OperationId) -> Result<Admitted, SteerError> {
    let operation = change(ports, id, None, Operation::admit).await?;
    let by_job = match &operation.work {
        super::Work::Deploy { target, .. } => matches!(target, DeployTarget::Job(_)),
        super::Work::Provision(_) | super::Work::Deprovision(_) | super::Work::Drift(_) => false,
    };
    Ok(Admitted { approval_required: operation.approval_required, by_job })
}

/// Waits for somebody to agree. Where they have spoken already, the workflow is told at once; what went
/// wrong with that is answered beside it, and left to the janitor.
pub async fn await_approval(
    ports: &ChangePorts<'_>,
    workflow: WorkflowPorts<'_>,
    id: &OperationId,
    token: &TaskToken,
) -> Result<(Operation, Option<DeliveryError>), SteerError> {
    let rule = |operation: &mut Operation| operation.await_approval(token.clone(), ports.clock.now());
    let operation = change(ports, id, None, rule).await?;
    let unsettled = deliver_pending(ports, workflow, &operation).await.err();
    Ok((operation, unsettled))
}

/// Records that what was asked for was done.
pub async fn finish(ports: &ChangePorts<'_>, id: &OperationId) -> Result<Operation, SteerError> {
    change(ports, id, None, |operation| operation.finish(ports.clock.now())).await
}

/// Records that it will not be done. How the operation came out, which may have been recorded before.
pub async fn fail(
    ports: &ChangePorts<'_>,
    id: &OperationId,
    error: &str,
    cause: &str,
) -> Result<OperationOutcome, SteerError> {
    let operation =
        change(ports, id, None, |operation| Ok(operation.fail(error, cause, ports.clock.now()))).await?;
    Ok(operation.ending().unwrap_or(OperationOutcome::Failed))
}
