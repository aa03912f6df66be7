//! What people decide about an open operation: to approve it, to reject it, to stop it.

use crate::{
    access::{self, APPROVE_OPERATION, CANCEL_OPERATION, REJECT_OPERATION},
    audit::{Action, AuditContext, AuditTarget, Outcome},
    caller::Caller,
    catalog::FindService,
    clock::{Clock, System},
    entities::{EntityRef, FindEntity},
    id::{OperationId, ServiceId},
    name::TenantId,
    operations::{
        Asked, FindOperation, Operation, SaveOperation, Verdict,
        change::{ChangeError, DeliveryError, WorkflowPorts, change, deliver_pending},
        lifecycle::Changed,
        operation::audit_target,
        show::{ShowOperationError, show},
    },
    store::StoreError,
    validation::FieldError,
};

/// The longest comment, in bytes.
const MAX_COMMENT: usize = 1000;

/// Why a decision is refused.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The operation cannot be shown either.
    #[error(transparent)]
    Show(#[from] ShowOperationError),
    /// The caller's role in the service's tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    /// The caller asked for the operation, or the same person did.
    #[error(
        "you asked for this operation, yourself or with a key of yours; somebody else has to decide about it"
    )]
    OwnRequest,
    /// The environment asks for the approval of a group that whoever decides is not in.
    #[error(
        "this environment asks for the approval of somebody in `{}`, and {} is not; an admin of the tenant says who is \
         in it", .group.short(), .hand
    )]
    NotInGroup { group: EntityRef, hand: String },
    #[error("the decision is not valid")]
    Invalid(Vec<FieldError>),
    /// What it was asked for under is not so any more.
    #[error("{0}")]
    Superseded(&'static str),
    #[error("the operation does not wait for approval: it is {0}")]
    NotAsked(&'static str),
    /// It has ended already.
    #[error("the operation has ended already: it {0}")]
    Ended(&'static str),
    #[error("could not record the decision")]
    Store(#[from] StoreError),
}

/// A decision was recorded.
#[derive(Debug)]
pub struct Decided {
    /// The operation as it stands now.
    pub operation: Operation,
    /// Why its workflow did not get the decision yet, if so; the janitor delivers it.
    pub unsettled: Option<DeliveryError>,
}

/// What somebody answers to an operation that waits for approval.
#[derive(Debug, Clone)]
pub struct Decision {
    pub answer: Answer,
    /// For those who read the operation later; at most 1,000 bytes.
    pub comment: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Approve,
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

/// Approves or rejects an operation that waits for it. Where its environment asks for a group, or did when it was asked
/// for, only who is in it approves; everybody who may, rejects. Nobody decides about what they asked for, whichever session or
/// key of theirs asked, and whichever decides. Deciding the same again changes nothing.
///
/// # Errors
///
/// Why the decision is refused, or that the store failed. A workflow that could not be signalled is no error: the
/// decision is recorded, and the janitor delivers it.
pub async fn decide<S>(
    store: &S,
    workflow: WorkflowPorts<'_>,
    system: &dyn System,
    audit: &AuditContext<'_>,
    service: &ServiceId,
    id: &OperationId,
    decision: &Decision,
) -> Result<Decided, DecideError>
where
    S: FindOperation + SaveOperation + FindService + FindEntity,
{
    let Decision { answer, comment } = decision;
    let operation = show(store, audit.caller, service, id).await?;
    admit(audit.caller, *answer, &operation.tenant, &operation.requested)?;
    if comment.as_deref().is_some_and(|text| text.len() > MAX_COMMENT) {
        let error = FieldError::new("/comment", "must be at most 1,000 bytes");
        return Err(DecideError::Invalid(vec![error]));
    }
    let actor = audit.caller.actor();
    let approved = *answer == Answer::Approve;
    let mut asks_for: Option<EntityRef> = None;
    if approved && operation.is_open() && operation.verdict.is_none() {
        let found = store.find_service(service).await?.map(|found| found.service);
        let spec = found.as_ref().and_then(|service| service.environment(&operation.environment));
        let Some((found, spec)) = found.as_ref().zip(spec) else {
            return Err(DecideError::Superseded("the environment does not exist any more"));
        };
        operation.is_up_to_date(found, spec).map_err(DecideError::Superseded)?;
        // The rule that held when it was asked for, and the one that holds now: neither replaces the other.
        let mut groups = vec![&operation.approval_group];
        if spec.approval_group != operation.approval_group {
            groups.push(&spec.approval_group);
        }
        for group in groups.into_iter().flatten() {
            admit_member(store, audit.caller, &operation.tenant, group).await?;
        }
        asks_for.clone_from(&spec.approval_group);
    }
    // The same decision again is fine also after it took effect, when nothing waits any more: the answer to the
    // first one may have been lost.
    let repeated = |operation: &Operation| {
        operation
            .verdict
            .as_ref()
            .is_some_and(|verdict| verdict.approved == approved && verdict.asked.by == actor)
    };
    let audit_target = AuditTarget { detail: comment.clone(), ..audit_target(&operation) };
    let entry = audit.entry(system, answer.action(), Outcome::Done, audit_target);
    let changed = change(store, system, id, Some(&entry), |operation| {
        if repeated(operation) {
            return Ok(Changed::Nothing);
        }
        let asked = Asked::new(audit.caller, entry.at);
        let verdict = Verdict { approved, asked, comment: comment.clone() };
        let changed = operation.decide(verdict, entry.at);
        // So that the record says which group this approval counts for.
        if changed.is_some() && asks_for.is_some() {
            operation.approval_group.clone_from(&asks_for);
        }
        changed.ok_or_else(|| DecideError::NotAsked(operation.status()))
    });
    decided(store, workflow, system, changed.await).await
}

/// Refuses whoever is not in a group that is asked for. Read now and strongly consistent: who was taken out of it a moment
/// ago decides nothing. A group that is gone has nobody in it.
async fn admit_member<S>(
    store: &S,
    caller: &Caller,
    tenant: &TenantId,
    reference: &EntityRef,
) -> Result<(), DecideError>
where
    S: FindEntity,
{
    let group = store.find_entity(tenant, reference).await?;
    // The hand and not the actor: a key is in the groups of whoever minted it.
    let hand = caller.hand();
    if group.is_some_and(|group| group.has_member(&hand)) {
        return Ok(());
    }
    Err(DecideError::NotInGroup { group: reference.clone(), hand })
}

/// Refuses whoever may not decide about what somebody `asked` for in `tenant`.
fn admit(caller: &Caller, answer: Answer, tenant: &TenantId, asked: &Asked) -> Result<(), DecideError> {
    if !caller.may_in(answer.operation(), tenant) {
        return Err(DecideError::Forbidden(tenant.clone()));
    }
    // The hand and not the actor: a key decides for whoever minted it.
    if asked.hand() == caller.hand() {
        return Err(DecideError::OwnRequest);
    }
    Ok(())
}

/// Whether the caller may approve what somebody `asked` for in `tenant`, as far as no group is asked for.
pub(super) fn may_approve(caller: &Caller, tenant: &TenantId, asked: &Asked) -> bool {
    admit(caller, Answer::Approve, tenant, asked).is_ok()
}

/// Asks an operation to stop. One that nothing works on ends at once; a worker learns of the wish with the answer
/// to its next report, and a CI run is cancelled by the deployer.
///
/// # Errors
///
/// Why that is refused, or that the store failed.
pub async fn cancel<S>(
    store: &S,
    workflow: WorkflowPorts<'_>,
    system: &dyn System,
    audit: &AuditContext<'_>,
    service: &ServiceId,
    id: &OperationId,
) -> Result<Decided, DecideError>
where
    S: FindOperation + SaveOperation,
{
    let operation = show(store, audit.caller, service, id).await?;
    if !audit.caller.may_in(&CANCEL_OPERATION, &operation.tenant) {
        return Err(DecideError::Forbidden(operation.tenant));
    }
    let entry = audit.entry(system, Action::CancelOperation, Outcome::Requested, audit_target(&operation));
    let changed = change(store, system, id, Some(&entry), |operation| {
        if operation.ending() == Some(super::OperationOutcome::Cancelled) {
            return Ok(Changed::Nothing);
        }
        let asked = Asked::new(audit.caller, entry.at);
        operation.ask_to_stop(asked).ok_or_else(|| DecideError::Ended(operation.status()))
    });
    decided(store, workflow, system, changed.await).await
}

async fn decided<S>(
    store: &S,
    workflow: WorkflowPorts<'_>,
    clock: &dyn Clock,
    changed: Result<Operation, ChangeError<DecideError>>,
) -> Result<Decided, DecideError>
where
    S: FindOperation + SaveOperation,
{
    let operation = changed.map_err(|error| match error {
        ChangeError::NotFound => ShowOperationError::NotFound.into(),
        ChangeError::Refused(refused) => refused,
        ChangeError::Store(error) => error.into(),
    })?;
    let unsettled = deliver_pending(store, clock, workflow, &operation).await.err();
    Ok(Decided { operation, unsettled })
}
