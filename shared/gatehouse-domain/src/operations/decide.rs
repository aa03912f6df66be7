//! What people decide about an operation that goes on: to approve it, to reject it, to stop it.

use crate::{
    access::{self, APPROVE_OPERATION, CANCEL_OPERATION, REJECT_OPERATION},
    audit::{Action, AuditContext, AuditTarget, Outcome},
    clock::IdSource,
    id::{OperationId, ServiceId},
    name::TenantId,
    operations::{
        Asked, Operation, State, Verdict,
        change::{ChangeError, ChangePorts, DeliveryError, WorkflowPorts, change, deliver_pending},
        lifecycle::Changed,
        operation::audit_target,
        show::{ShowOperationError, ShowPorts, show},
    },
    store::StoreError,
    validation::FieldError,
};

/// The longest comment, in bytes.
const MAX_COMMENT: usize = 1000;

/// What deciding needs.
pub struct DecidePorts<'a> {
    /// Shows the operation.
    pub show: ShowPorts<'a>,
    /// Changes it.
    pub change: ChangePorts<'a>,
    /// Tells its workflow.
    pub workflow: WorkflowPorts<'a>,
    /// Makes ids.
    pub ids: &'a dyn IdSource,
}

/// Why a decision is refused.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The operation cannot be shown either.
    #[error(transparent)]
    Show(#[from] ShowOperationError),
    /// The caller's role in the service's tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    /// The caller asked for the operation.
    #[error("you asked for this operation; somebody else has to decide about it")]
    OwnRequest,
    /// Fields were refused.
    #[error("the decision is not valid")]
    Invalid(Vec<FieldError>),
    /// Nobody is asked.
    #[error("the operation does not wait for approval: it is {0}")]
    NotAsked(&'static str),
    /// It has ended already.
    #[error("the operation has ended already: it {0}")]
    Ended(&'static str),
    /// The store failed.
    #[error("could not record the decision")]
    Store(#[from] StoreError),
}

/// A decision was recorded.
#[derive(Debug)]
pub struct Decided {
    /// The operation as it stands now.
    pub operation: Operation,
    /// Why its workflow was not told yet, if so; the janitor tells it.
    pub unsettled: Option<DeliveryError>,
}

/// Whether somebody agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// They do.
    Approve,
    /// They do not.
    Reject,
}

impl Answer {
    fn operation(self) -> &'static access::Endpoint {
        match self {
            Self::Approve => &APPROVE_OPERATION,
            Self::Reject => &REJECT_OPERATION,
        }
    }

    fn action(self) -> Action {
        match self {
            Self::Approve => Action::ApproveOperation,
            Self::Reject => Action::RejectOperation,
        }
    }
}

/// Approves or rejects an operation that waits for it. Nobody decides about what they asked for. Deciding
/// the same again changes nothing.
pub async fn decide(
    ports: &DecidePorts<'_>,
    audit: &AuditContext<'_>,
    service: &ServiceId,
    id: &OperationId,
    answer: Answer,
    comment: Option<String>,
) -> Result<Decided, DecideError> {
    let operation = show(&ports.show, audit.caller, service, id).await?;
    if !audit.caller.may_in(answer.operation(), &operation.tenant) {
        return Err(DecideError::Forbidden(operation.tenant));
    }
    if comment.as_deref().is_some_and(|text| text.len() > MAX_COMMENT) {
        let error = FieldError::new("/comment", "must be at most 1,000 bytes");
        return Err(DecideError::Invalid(vec![error]));
    }
    let actor = audit.caller.actor();
    if operation.requested.by == actor {
        return Err(DecideError::OwnRequest);
    }
    let approved = answer == Answer::Approve;
    let repeated = |operation: &Operation| {
        operation.verdict.as_ref().is_some_and(|said| said.approved == approved && said.asked.by == actor)
    };
    let audit_target = AuditTarget { detail: comment.clone(), ..audit_target(&operation) };
    let entry = audit.entry(ports.change.clock, ports.ids, answer.action(), Outcome::Done, audit_target);
    let changed = change(&ports.change, id, Some(&entry), |operation| {
        if repeated(operation) {
            return Ok(Changed::Nothing);
        }
        let asked = Asked { by: actor.clone(), at: entry.at };
        let verdict = Verdict { approved, asked, comment: comment.clone() };
        operation.decide(verdict, entry.at).ok_or_else(|| DecideError::NotAsked(operation.status()))
    });
    decided(ports, changed.await).await
}

/// Asks an operation to stop.
pub async fn cancel(
    ports: &DecidePorts<'_>,
    audit: &AuditContext<'_>,
    service: &ServiceId,
    id: &OperationId,
) -> Result<Decided, DecideError> {
    let operation = show(&ports.show, audit.caller, service, id).await?;
    if !audit.caller.may_in(&CANCEL_OPERATION, &operation.tenant) {
        return Err(DecideError::Forbidden(operation.tenant));
    }
    let entry = audit.entry(
        ports.change.clock,
        ports.ids,
        Action::CancelOperation,
        Outcome::Requested,
        audit_target(&operation),
    );
    let changed = change(&ports.change, id, Some(&entry), |operation| {
        if operation.ending() == Some(super::OperationOutcome::Cancelled) {
            return Ok(Changed::Nothing);
        }
        let asked = Asked { by: audit.caller.actor(), at: entry.at };
        operation.ask_to_stop(asked).ok_or_else(|| DecideError::Ended(operation.status()))
    });
    decided(ports, changed.await).await
}

async fn decided(
    ports: &DecidePorts<'_>,
    changed: Result<Operation, ChangeError<DecideError>>,
) -> Result<Decided, DecideError> {
    let operation = changed.map_err(|error| match error {
        ChangeError::NotFound => ShowOperationError::NotFound.into(),
        ChangeError::Refused(refused) => refused,
        ChangeError::Store(error) => error.into(),
    })?;
    let unsettled = deliver_pending(&ports.change, ports.workflow, &operation).await.err();
    Ok(Decided { operation, unsettled })
}

impl Operation {
    /// How it stands, in one word for callers.
    pub fn status(&self) -> &'static str {
        let cancelling = self.cancel.is_some();
        match &self.state {
            State::Ended { ending, .. } => ending.as_str(),
            _ if cancelling => "cancelling",
            State::Requested => "queued",
            State::AwaitingApproval { .. } => "awaiting_approval",
            State::Running(phase) => match phase {
                super::Phase::Plan => "planning",
                super::Phase::Apply => "applying",
                super::Phase::Deploy => "deploying",
            },
        }
    }
}
