use futures_util::FutureExt;

use super::support::{Site, person, token};
use crate::{
    audit::{Action, AuditContext},
    caller::Caller,
    catalog::PlanSummary,
    id::OperationId,
    operations::{
        OperationOutcome, State,
        decide::{Answer, DecideError, Decided, Decision, cancel, decide},
    },
};

impl Site {
    fn says(
        &self,
        who: &Caller,
        id: &OperationId,
        answer: Answer,
        comment: Option<&str>,
    ) -> Result<Decided, DecideError> {
        let audit = AuditContext { caller: who, origin: &self.origin };
        let decision = Decision { answer, comment: comment.map(str::to_owned) };
        let (workflow, service) = (self.workflow_ports(), &self.service);
        let decided = decide(&self.memory, workflow, &self.hand, &audit, service, id, &decision);
        decided.now_or_never().unwrap()
    }

    fn cancels(&self, who: &Caller, id: &OperationId) -> Result<Decided, DecideError> {
        let audit = AuditContext { caller: who, origin: &self.origin };
        let (workflow, service) = (self.workflow_ports(), &self.service);
        cancel(&self.memory, workflow, &self.hand, &audit, service, id).now_or_never().unwrap()
    }

    /// An operation of ada's that waits for approval.
    fn awaiting(&self) -> OperationId {
        let id = self.provisioning("prod");
        let mut items = self.memory.items();
        let operation = items.operations.get_mut(&id).unwrap();
        operation.plan = Some(PlanSummary { add: 1, change: 0, destroy: 0 });
        operation.state = State::AwaitingApproval { since: operation.updated_at, token: token("approval") };
        drop(items);
        self.engine.heard();
        id
    }

    fn actions(&self) -> Vec<Action> {
        self.memory.items().trail.iter().map(|entry| entry.action).collect()
    }
}

fn bob() -> Caller {
    person("bob", "acme=developer")
}

#[test]
fn somebody_else_approves_and_the_workflow_goes_on() {
    let site = Site::default();
    let id = site.awaiting();
    let decided = site.says(&bob(), &id, Answer::Approve, Some("go")).unwrap();
    assert!(decided.unsettled.is_none());
    assert_eq!(site.engine.heard(), [r#"succeed approval {"approved_by":"user:bob"}"#]);
    assert_eq!(site.memory.operation(&id).pending_signal, None);
    assert_eq!(site.actions(), [Action::ProvisionService, Action::ApproveOperation]);
}

#[test]
fn a_rejection_ends_the_operation_and_says_why() {
    let site = Site::default();
    let id = site.awaiting();
    site.says(&bob(), &id, Answer::Reject, Some("too dear")).unwrap();
    let operation = site.memory.operation(&id);
    let State::Ended { ending: OperationOutcome::Rejected, reason: Some(reason), .. } = operation.state
    else {
        panic!("{operation:?}")
    };
    assert_eq!(reason, "rejected by user:bob: too dear");
    assert_eq!(site.engine.heard(), ["fail approval Rejected: rejected by user:bob: too dear"]);
    assert_eq!(site.memory.environment(&site.service, "prod").running, None);
}

#[test]
fn nobody_decides_about_what_they_asked_for() {
    let site = Site::default();
    let id = site.awaiting();
    for answer in [Answer::Approve, Answer::Reject] {
        let refused = site.says(&person("ada", "acme=admin"), &id, answer, None);
        assert!(matches!(refused, Err(DecideError::OwnRequest)));
    }
    assert_eq!(site.actions(), [Action::ProvisionService]);
}

#[test]
fn the_same_decision_again_changes_nothing_and_another_one_is_refused() {
    let site = Site::default();
    let id = site.awaiting();
    site.says(&bob(), &id, Answer::Approve, None).unwrap();
    let version = site.memory.operation(&id).version;
    site.says(&bob(), &id, Answer::Approve, None).unwrap();
    assert_eq!(site.memory.operation(&id).version, version);
    assert_eq!(site.actions().len(), 2);
    let refused = site.says(&bob(), &id, Answer::Reject, None);
    assert!(matches!(refused, Err(DecideError::NotAsked("applying"))), "{refused:?}");
    let late = site.says(&person("cleo", "acme=admin"), &id, Answer::Approve, None);
    assert!(matches!(late, Err(DecideError::NotAsked("applying"))), "{late:?}");
}

#[test]
fn a_decision_that_the_workflow_did_not_hear_of_is_told_when_it_is_repeated() {
    let site = Site::default();
    let id = site.awaiting();
    site.engine.state().is_down = true;
    assert!(site.says(&bob(), &id, Answer::Approve, None).unwrap().unsettled.is_some());
    site.engine.state().is_down = false;
    site.engine.heard();
    assert!(site.says(&bob(), &id, Answer::Approve, None).unwrap().unsettled.is_none());
    assert_eq!(site.engine.heard().len(), 1);
}

#[test]
fn who_may_not_decide_is_told_no_more_than_they_may_know() {
    let site = Site::default();
    let id = site.awaiting();
    let refused = site.says(&person("vic", "acme=viewer"), &id, Answer::Approve, None);
    assert!(matches!(refused, Err(DecideError::Forbidden(_))));
    let foreign = site.says(&person("eve", "beta=admin"), &id, Answer::Approve, None);
    let missing = site.says(&bob(), &"op_none".parse().unwrap(), Answer::Approve, None);
    assert_eq!(foreign.unwrap_err().to_string(), missing.unwrap_err().to_string());
    let long = site.says(&bob(), &id, Answer::Approve, Some(&"x".repeat(1001)));
    assert!(matches!(long, Err(DecideError::Invalid(_))));
    let viewer = site.cancels(&person("vic", "acme=viewer"), &id);
    assert!(matches!(viewer, Err(DecideError::Forbidden(_))));
    assert_eq!(site.actions(), [Action::ProvisionService]);
}

#[test]
fn what_waits_is_cancelled_at_once_and_once() {
    let site = Site::default();
    let id = site.awaiting();
    site.cancels(&bob(), &id).unwrap();
    assert_eq!(site.engine.heard(), ["fail approval Cancelled: cancelled by user:bob"]);
    assert_eq!(site.memory.operation(&id).ending(), Some(OperationOutcome::Cancelled));
    site.cancels(&bob(), &id).unwrap();
    assert_eq!(site.actions(), [Action::ProvisionService, Action::CancelOperation]);
    let late = site.says(&bob(), &id, Answer::Approve, None);
    assert!(matches!(late, Err(DecideError::NotAsked("cancelled"))), "{late:?}");
}

#[test]
fn what_ended_otherwise_is_not_cancelled() {
    let site = Site::default();
    let id = site.awaiting();
    site.says(&bob(), &id, Answer::Reject, None).unwrap();
    let refused = site.cancels(&bob(), &id);
    assert!(matches!(refused, Err(DecideError::Ended("rejected"))), "{refused:?}");
}
