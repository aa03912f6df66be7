//! Changing an operation's record, and delivering the signal that the change leaves for its workflow.

use std::convert::Infallible;

use super::{
    Effects, FindOperation, Listing, Operation, SaveOperation, Signal,
    lifecycle::Changed,
    news::news,
    workflow::{AnswerTask, OverseeWorkflow, StartWorkflow, WorkflowError},
};
use crate::{audit::Entry, clock::Clock, id::OperationId, revision::EditOutcome, store::StoreError};

/// How often a change is tried that other writers overtake. A worker, a state machine, a person and the janitor
/// may write at the same time, and each of them only a few times; who loses this often meets a loop.
const TRIES: usize = 12;

/// How a workflow is reached. A function has those calls that its role in AWS allows; a signal that needs
/// another one stays pending for the janitor, which has all of them.
#[derive(Clone, Copy, Default)]
pub struct WorkflowPorts<'a> {
    pub start: Option<&'a dyn StartWorkflow>,
    pub answer: Option<&'a dyn AnswerTask>,
    pub oversee: Option<&'a dyn OverseeWorkflow>,
}

/// A change was refused, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError<E> {
    /// There is no such operation.
    #[error("there is no such operation")]
    NotFound,
    #[error(transparent)]
    Refused(E),
    #[error("could not change the operation")]
    Store(#[from] StoreError),
}

/// Changes the operation by `rule`, which sees the record as it stands, and may see it several times: it must
/// have no effect but on the record that it is given.
///
/// # Errors
///
/// What the rule refused, or why the change could not be made. Nothing was changed then, unless the store
/// failed: a write whose answer was lost may have been made.
pub async fn change<S, E>(
    store: &S,
    clock: &dyn Clock,
    id: &OperationId,
    entry: Option<&Entry>,
    mut rule: impl FnMut(&mut Operation) -> Result<Changed, E>,
) -> Result<Operation, ChangeError<E>>
where
    S: FindOperation + SaveOperation,
{
    for _ in 0..TRIES {
        let mut operation = store.find_operation(id).await?.ok_or(ChangeError::NotFound)?;
        let was = operation.standing();
        let changed = rule(&mut operation).map_err(ChangeError::Refused)?;
        let settled = match changed {
            Changed::Nothing => return Ok(operation),
            Changed::Record => None,
            Changed::Ended(settled) => Some(settled),
        };
        operation.version += 1;
        operation.updated_at = clock.now();
        let settled = settled.as_deref();
        let (listing, announcements) = (relist(&mut operation), news(&operation, was, settled));
        let effects = Effects { settled, entry, listing, announcements };
        match store.save_operation(&operation, &effects).await? {
            EditOutcome::Done => return Ok(operation),
            // Another writer was faster: the rule decides anew on what stands there now.
            EditOutcome::Conflict => {}
        }
    }
    let busy = "others changed the operation each time it was to be changed";
    Err(StoreError::Unavailable(busy.into()).into())
}

/// Notes how lists show the operation from now on. Only a change of that costs the writes that it takes.
fn relist(operation: &mut Operation) -> Listing {
    let standing = Some(operation.standing());
    if operation.listed_as == standing {
        return Listing::Kept;
    }
    Listing::Moved { from: std::mem::replace(&mut operation.listed_as, standing) }
}

/// Delivers the operation's pending signal to its workflow, then acknowledges it in the record. Returns whether
/// a signal was delivered; one that was not stays pending, and the janitor delivers it.
///
/// The order matters: a signal acknowledged first would be lost with the process. Delivered twice, it does no
/// harm.
///
/// # Errors
///
/// When it could not be delivered, or that could not be recorded.
pub async fn deliver_pending<S>(
    store: &S,
    clock: &dyn Clock,
    workflow: WorkflowPorts<'_>,
    operation: &Operation,
) -> Result<bool, DeliveryError>
where
    S: FindOperation + SaveOperation,
{
    let Some(signal) = &operation.pending_signal else { return Ok(false) };
    if !deliver(workflow, operation, signal).await? {
        return Ok(false);
    }
    let acknowledged = change(store, clock, &operation.id, None, |operation| {
        // Another signal may be pending by now, since the workflow went ahead when it got this one.
        Ok::<_, Infallible>(if operation.acknowledge(signal) { Changed::Record } else { Changed::Nothing })
    });
    match acknowledged.await {
        // A record that has expired meanwhile has nothing pending either.
        Ok(_) | Err(ChangeError::NotFound) => Ok(true),
        Err(ChangeError::Store(error)) => Err(error.into()),
    }
}

/// Why a pending signal did not reach its workflow.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The workflow engine failed.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Delivers `signal`, where this function may. The answers that a task no longer waits, or that an execution
/// exists already, are as good as a success: an earlier delivery arrived, or the workflow has moved past the
/// point and its record says how it stands.
async fn deliver(
    workflow: WorkflowPorts<'_>,
    operation: &Operation,
    signal: &Signal,
) -> Result<bool, WorkflowError> {
    match (signal, workflow) {
        (Signal::Start, WorkflowPorts { start: Some(engine), .. }) => {
            engine.start(operation.workflow(), &operation.id).await?;
        }
        (Signal::Succeed { token, output }, WorkflowPorts { answer: Some(engine), .. }) => {
            engine.succeed(token, output).await?;
        }
        (Signal::Fail { token, error, cause }, WorkflowPorts { answer: Some(engine), .. }) => {
            engine.fail(token, error, cause).await?;
        }
        (Signal::Stop, WorkflowPorts { oversee: Some(engine), .. }) => {
            engine.stop(operation.workflow(), &operation.id, "the operation has ended").await?;
        }
        (Signal::Start | Signal::Succeed { .. } | Signal::Fail { .. } | Signal::Stop, _) => return Ok(false),
    }
    Ok(true)
}
