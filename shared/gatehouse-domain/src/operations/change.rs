//! Changing an operation's record, and telling its workflow what the change owes it.

use super::{
    FindOperation, Operation, SaveOperation, Signal,
    lifecycle::Changed,
    workflow::{AnswerTask, OverseeWorkflow, StartWorkflow, WorkflowError},
};
use crate::{audit::Entry, clock::Clock, id::OperationId, revision::EditOutcome, store::StoreError};

/// How often a change is tried that others' changes came before.
const TRIES: usize = 12;

/// What changing an operation needs.
#[derive(Clone, Copy)]
pub struct ChangePorts<'a> {
    /// Reads the record.
    pub find: &'a dyn FindOperation,
    /// Writes it.
    pub save: &'a dyn SaveOperation,
    /// Tells the time.
    pub clock: &'a dyn Clock,
}

/// Whom an operation's workflow is told through. A function has those that it may use.
#[derive(Clone, Copy, Default)]
pub struct WorkflowPorts<'a> {
    /// Begins it.
    pub start: Option<&'a dyn StartWorkflow>,
    /// Tells it while it waits.
    pub answer: Option<&'a dyn AnswerTask>,
    /// Stops it.
    pub oversee: Option<&'a dyn OverseeWorkflow>,
}

/// A change was refused, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError<E> {
    /// There is no such operation.
    #[error("there is no such operation")]
    NotFound,
    /// The rule refused.
    #[error(transparent)]
    Refused(E),
    /// The store failed.
    #[error("could not change the operation")]
    Store(#[from] StoreError),
}

/// Changes the operation by `rule`, which sees it as it stands, and may see it several times.
///
/// # Errors
///
/// What the rule refused, or why the change could not be made. Nothing was changed then.
pub async fn change<E>(
    ports: &ChangePorts<'_>,
    id: &OperationId,
    entry: Option<&Entry>,
    mut rule: impl FnMut(&mut Operation) -> Result<Changed, E>,
) -> Result<Operation, ChangeError<E>> {
    for _ in 0..TRIES {
        let found = ports.find.find_operation(id).await?.ok_or(ChangeError::NotFound)?;
        let mut operation = found;
        let changed = rule(&mut operation).map_err(ChangeError::Refused)?;
        let settled = match changed {
            Changed::Nothing => return Ok(operation),
            Changed::Record => None,
            Changed::Ended(settled) => Some(settled),
        };
        operation.version += 1;
        operation.updated_at = ports.clock.now();
        match ports.save.save_operation(&operation, settled.as_deref(), entry).await? {
            EditOutcome::Done => return Ok(operation),
            EditOutcome::Conflict => {}
        }
    }
    let busy = "others changed the operation each time it was to be changed";
    Err(StoreError::Unavailable(busy.into()).into())
}

/// Tells the operation's workflow what it is owed, and crosses that out. Whether it was told something: what
/// it was not stays owed, and the janitor tells it.
///
/// # Errors
///
/// When it could not be told, or that could not be recorded.
pub async fn deliver_pending(
    ports: &ChangePorts<'_>,
    workflow: WorkflowPorts<'_>,
    operation: &Operation,
) -> Result<bool, DeliveryError> {
    let Some(signal) = &operation.pending_signal else { return Ok(false) };
    if !tell(workflow, operation, signal).await? {
        return Ok(false);
    }
    let crossed = change(ports, &operation.id, None, |operation| {
        Ok::<_, std::convert::Infallible>(if operation.acknowledge(signal) {
            Changed::Record
        } else {
            Changed::Nothing
        })
    });
    match crossed.await {
        Ok(_) | Err(ChangeError::NotFound) => Ok(true),
        Err(ChangeError::Store(error)) => Err(error.into()),
    }
}

/// Why a workflow was not told what it is owed.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The workflow engine failed.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Tells it, where there is a line for that. That a workflow does not wait any more means that it was told
/// before, or is beyond telling: then its record says how it stands.
async fn tell(
    workflow: WorkflowPorts<'_>,
    operation: &Operation,
    signal: &Signal,
) -> Result<bool, WorkflowError> {
    match (signal, workflow) {
        (Signal::Start, WorkflowPorts { start: Some(line), .. }) => {
            line.start(operation.workflow(), &operation.id).await?;
        }
        (Signal::Succeed { token, output }, WorkflowPorts { answer: Some(line), .. }) => {
            line.succeed(token, output).await?;
        }
        (Signal::Fail { token, error, cause }, WorkflowPorts { answer: Some(line), .. }) => {
            line.fail(token, error, cause).await?;
        }
        (Signal::Stop, WorkflowPorts { oversee: Some(line), .. }) => {
            line.stop(operation.workflow(), &operation.id, "the operation has ended").await?;
        }
        (Signal::Start | Signal::Succeed { .. } | Signal::Fail { .. } | Signal::Stop, _) => return Ok(false),
    }
    Ok(true)
}
