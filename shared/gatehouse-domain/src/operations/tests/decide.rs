use super::support::{Site, person, token};
use crate::{
    access::Scope,
    announcement::News,
    audit::{Action, AuditContext},
    caller::{Caller, Grant},
    catalog::{EnvironmentSpec, PlanSummary},
    id::OperationId,
    json::Object,
    operations::{
        OperationOutcome, Phase, State,
        attempt::CallbackKey,
        decide::{Answer, DecideError, Decided, Decision, cancel, decide, may_approve},
        request::Ask,
        steer,
    },
};
use futures_util::FutureExt;

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

    /// Edits an environment, as an admin may.
    fn edit(&self, environment: &str, edit: fn(&mut EnvironmentSpec)) {
        let mut items = self.memory.items();
        let service = items.services.get_mut(&self.service).unwrap();
        let specs = &mut service.spec.environments;
        edit(specs.iter_mut().find(|spec| spec.name.as_str() == environment).unwrap());
    }

    /// An operation of ada's that waits for approval.
    fn awaiting(&self) -> OperationId {
        self.awaiting_of(&person("ada", "acme=developer"))
    }

    fn awaiting_of(&self, requester: &Caller) -> OperationId {
        let id = self.asked(requester, "prod", &Ask::Provision(Object::new()), None).unwrap().operation.id;
        let mut items = self.memory.items();
        let operation = items.operations.get_mut(&id).unwrap();
        operation.plan = Some(PlanSummary { add: 1, change: 0, destroy: 0, ..PlanSummary::default() });
        operation.state = State::AwaitingApproval { since: operation.updated_at, token: token("approval") };
        drop(items);
        self.engine.heard();
        id
    }
}

#[test]
fn whoever_may_approve_is_whoever_an_approval_is_taken_from() {
    let key = |scope| Caller {
        subject: "key_1".into(),
        grant: Grant::ApiKey {
            scopes: [scope].into(),
            tenants: "acme".parse().unwrap(),
            expires_at: None,
            minted_by: Some("user:ada".to_owned()),
        },
    };
    let callers = [
        bob(),
        person("ada", "acme=admin"),
        person("eve", "acme=viewer"),
        person("eve", "beta=admin"),
        key(Scope::OperationsApprove),
        key(Scope::OperationsWrite),
    ];
    for requester in [person("ada", "acme=developer"), person("kim", "acme=developer")] {
        for caller in &callers {
            let site = Site::default();
            let id = site.awaiting_of(&requester);
            let operation = site.memory.operation(&id);
            let may = may_approve(caller, &operation.tenant, &operation.requested);
            let approved = site.says(caller, &id, Answer::Approve, None);
            assert_eq!(may, approved.is_ok(), "{caller:?}: {approved:?}");
        }
    }
}

#[test]
fn that_somebody_has_to_agree_is_announced_once() {
    let site = Site::default();
    let id = site.provisioning("prod");
    let plan = PlanSummary { add: 1, change: 0, destroy: 0, ..PlanSummary::default() };
    site.memory.items().operations.get_mut(&id).unwrap().plan = Some(plan);
    let waits = |text: &str| {
        let ports = site.workflow_ports();
        let task = token(text);
        let waiting = steer::await_approval(&site.memory, &site.hand, ports, &id, &task);
        let (operation, unsettled) = waiting.now_or_never().unwrap().unwrap();
        assert!(unsettled.is_none(), "{unsettled:?}");
        assert_eq!(operation.status(), "awaiting_approval");
    };
    waits("first");
    // The state machine repeats a step whose answer was lost.
    waits("again");
    let items = site.memory.items();
    let [announced] = &items.outbox[..] else { panic!("{:?}", items.outbox) };
    assert_eq!(announced.id, format!("{id}:approval:awaiting_approval"));
    assert_eq!(announced.news, News::OperationAwaitingApproval);
    assert_eq!(announced.service_id.as_ref(), Some(&site.service));
}

#[test]
fn what_fails_is_announced_once() {
    let site = Site::default();
    let id = site.awaiting();
    let waiting = site.memory.operation(&id);
    let announced = || -> Vec<String> {
        site.memory.items().outbox.iter().map(|announcement| announcement.id.clone()).collect()
    };
    assert_eq!(announced(), [""; 0], "the test put it there");
    let failed = steer::fail(&site.memory, &site.hand, &id, "States.Timeout", "the worker's text");
    failed.now_or_never().unwrap().unwrap();
    let status = site.memory.operation(&id).status();
    assert_eq!(announced(), [format!("{id}:failed:{status}")]);
    let again = steer::fail(&site.memory, &site.hand, &id, "States.Timeout", "");
    again.now_or_never().unwrap().unwrap();
    assert_eq!(announced().len(), 1);
    let told = serde_json::to_string(&site.memory.items().outbox[0]).unwrap();
    assert!(told.contains(waiting.service.as_str()) && !told.contains("the worker's text"), "{told}");
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

/// The environment `prod` asks for the approval of these people, or of a group that is not there.
fn asking_for(members: Option<&[&str]>) -> Site {
    let site = Site::default();
    site.edit("prod", |spec| spec.approval_group = Some("group:leads".parse().unwrap()));
    if let Some(members) = members {
        site.memory.items().add_group("leads", members);
    }
    site
}

#[test]
fn where_a_group_is_asked_for_who_is_in_it_approves_and_nobody_else() {
    let minted_by = |name: Option<&str>| {
        let grant = Grant::ApiKey {
            scopes: [Scope::OperationsApprove].into(),
            tenants: "acme".parse().unwrap(),
            expires_at: None,
            minted_by: name.map(|name| format!("user:{name}")),
        };
        Caller { subject: "key_1".into(), grant }
    };
    let callers = [
        ("a member", bob(), true),
        ("a key of a member", minted_by(Some("bob")), true),
        ("somebody else", person("carl", "acme=developer"), false),
        ("an admin who is no member", person("root", "*=admin"), false),
        ("a key of somebody else", minted_by(Some("carl")), false),
        ("a key of nobody", minted_by(None), false),
        ("somebody whose name begins so", person("bobby", "acme=developer"), false),
    ];
    for members in [None, Some(&[][..]), Some(&["bob", "ada"][..])] {
        for (who, caller, is_member) in &callers {
            let site = asking_for(members);
            let id = site.awaiting();
            let decided = site.says(caller, &id, Answer::Approve, None);
            if *is_member && members.is_some_and(|members| !members.is_empty()) {
                decided.unwrap_or_else(|error| panic!("{who} of {members:?}: {error}"));
                continue;
            }
            let refused = matches!(decided, Err(DecideError::NotInGroup { .. }));
            assert!(refused, "{who} of {members:?}: {decided:?}");
            assert_eq!(site.memory.operation(&id).status(), "awaiting_approval");
            assert_eq!(site.actions(), [Action::ProvisionService]);
            // Rejecting protects, and is open to them.
            site.says(caller, &id, Answer::Reject, None).unwrap();
        }
    }
}

#[test]
fn being_in_the_group_gives_no_right() {
    let site = asking_for(Some(&["ada", "vera"]));
    let id = site.awaiting();
    let own = site.says(&person("ada", "acme=admin"), &id, Answer::Approve, None);
    assert!(matches!(own, Err(DecideError::OwnRequest)), "{own:?}");
    let viewer = site.says(&person("vera", "acme=viewer"), &id, Answer::Approve, None);
    assert!(matches!(viewer, Err(DecideError::Forbidden(_))), "{viewer:?}");
}

#[test]
fn who_is_in_the_group_counts_when_it_is_decided() {
    let site = asking_for(Some(&["bob"]));
    let id = site.awaiting();
    site.memory.items().add_group("leads", &["carl"]);
    assert!(matches!(site.says(&bob(), &id, Answer::Approve, None), Err(DecideError::NotInGroup { .. })));
    site.says(&person("carl", "acme=developer"), &id, Answer::Approve, None).unwrap();
    // Said again, it is said: whoever has left by now said it when they were in it.
    site.memory.items().add_group("leads", &[]);
    site.says(&person("carl", "acme=developer"), &id, Answer::Approve, None).unwrap();
}

#[test]
fn a_group_that_was_asked_for_is_asked_for_still_and_so_is_another_one_by_now() {
    let others = |spec: &mut EnvironmentSpec| spec.approval_group = Some("group:others".parse().unwrap());
    let carl = person("carl", "acme=developer");
    let site = asking_for(Some(&["bob"]));
    site.memory.items().add_group("others", &["carl"]);
    let id = site.awaiting();
    site.edit("prod", others);
    for who in [&bob(), &carl] {
        let refused = site.says(who, &id, Answer::Approve, None);
        assert!(matches!(refused, Err(DecideError::NotInGroup { .. })), "{refused:?}");
    }
    site.memory.items().add_group("others", &["carl", "bob"]);
    site.says(&bob(), &id, Answer::Approve, None).unwrap();
    let counts_for = site.memory.operation(&id).approval_group;
    assert_eq!(counts_for, Some("group:others".parse().unwrap()));
    // Taken away, the group of the record is asked for all the same.
    let site = asking_for(Some(&["bob"]));
    let id = site.awaiting();
    site.edit("prod", |spec| spec.approval_group = None);
    let refused = site.says(&carl, &id, Answer::Approve, None);
    assert!(matches!(refused, Err(DecideError::NotInGroup { .. })), "{refused:?}");
    site.says(&bob(), &id, Answer::Approve, None).unwrap();
}

#[test]
fn an_approval_does_not_count_for_a_group_that_is_asked_for_later() {
    let key = CallbackKey::new(&"k".repeat(32).into()).unwrap();
    let apply = |site: &Site, id: &OperationId| {
        let begun = steer::begin_attempt(&site.memory, &site.hand, &key, id, Phase::Apply);
        begun.now_or_never().unwrap().map(drop)
    };
    let edits: [Edit; 3] = [
        ("the same group", |_| {}, true),
        ("another group", |it| it.approval_group = Some("group:others".parse().unwrap()), false),
        ("no group", |it| it.approval_group = None, true),
    ];
    for (what, edit, goes) in edits {
        let site = asking_for(Some(&["bob"]));
        let id = site.awaiting();
        site.says(&bob(), &id, Answer::Approve, None).unwrap();
        site.edit("prod", edit);
        let begun = apply(&site, &id);
        assert_eq!(begun.is_ok(), goes, "{what}: {begun:?}");
    }
    let site = Site::default();
    let id = site.awaiting();
    site.says(&bob(), &id, Answer::Approve, None).unwrap();
    site.edit("prod", |spec| spec.approval_group = Some("group:leads".parse().unwrap()));
    site.memory.items().add_group("leads", &["bob"]);
    let refused = apply(&site, &id).unwrap_err();
    assert!(refused.to_string().contains("the approval of a group by now"), "{refused}");
    // Given while the group is asked for, it counts for it.
    let site = Site::default();
    let id = site.awaiting();
    site.edit("prod", |spec| spec.approval_group = Some("group:leads".parse().unwrap()));
    site.memory.items().add_group("leads", &["bob"]);
    site.says(&bob(), &id, Answer::Approve, None).unwrap();
    apply(&site, &id).unwrap();
}

/// An edit of an environment while an operation is open, and whether the operation may go on.
type Edit = (&'static str, fn(&mut EnvironmentSpec), bool);

/// A session of somebody's, a key that they minted, and a key that was minted with that one.
fn callers_of(name: &str) -> Vec<Caller> {
    let key = |id: &str| {
        let grant = Grant::ApiKey {
            scopes: [Scope::OperationsWrite, Scope::OperationsApprove, Scope::CatalogRead].into(),
            tenants: "acme".parse().unwrap(),
            expires_at: None,
            minted_by: Some(format!("user:{name}")),
        };
        Caller { subject: format!("key_{id}_of_{name}"), grant }
    };
    vec![person(name, "acme=developer"), key("a"), key("b")]
}

#[test]
fn one_hand_does_not_approve_what_it_asked_for_by_whatever_session_or_key() {
    let all: Vec<_> = ["ada", "bob"].into_iter().flat_map(callers_of).collect();
    for requester in &all {
        for approver in &all {
            for answer in [Answer::Approve, Answer::Reject] {
                let site = Site::default();
                let id = site.awaiting_of(requester);
                let decided = site.says(approver, &id, answer, None);
                let (first, second) = (requester.actor(), approver.actor());
                if requester.hand() == approver.hand() {
                    let refused = matches!(decided, Err(DecideError::OwnRequest));
                    assert!(refused, "{second} decided about what {first} asked for: {decided:?}");
                    assert_eq!(site.actions(), [Action::ProvisionService]);
                } else {
                    assert!(decided.is_ok(), "{second} could not decide about what {first} asked for");
                    let items = site.memory.items();
                    let [requested, decision] = &items.trail[..] else { panic!("{:?}", items.trail) };
                    for (entry, caller) in [(requested, requester), (decision, approver)] {
                        let behind = entry.on_behalf_of.as_ref().unwrap_or(&entry.actor);
                        assert_eq!((&entry.actor, behind), (&caller.actor(), &caller.hand()));
                    }
                }
            }
        }
    }
}

#[test]
fn a_key_that_came_with_the_installation_is_a_hand_of_its_own() {
    let key = |subject: &str, minted_by: Option<&str>| {
        let (scopes, tenants) = ([Scope::All].into(), "*".parse().unwrap());
        let minted_by = minted_by.map(str::to_owned);
        Caller {
            subject: subject.into(),
            grant: Grant::ApiKey { scopes, tenants, expires_at: None, minted_by },
        }
    };
    let (first, other) = (key("key_1", None), key("key_2", None));
    let minted = key("key_3", Some("api_key:key_1"));
    for (requester, approver, is_one) in
        [(&first, &first, true), (&first, &minted, true), (&minted, &first, true), (&first, &other, false)]
    {
        let site = Site::default();
        let id = site.awaiting_of(requester);
        let decided = site.says(approver, &id, Answer::Approve, None);
        assert_eq!(decided.is_err(), is_one, "{} and {}", requester.subject, approver.subject);
    }
}

#[test]
fn nothing_is_approved_that_something_else_would_do_by_now() {
    let edits: [Edit; 4] = [
        ("another module", |it| it.module = Some("static".parse().unwrap()), false),
        ("no module", |it| it.module = None, false),
        ("other inputs", |it| it.inputs.clear(), true),
        ("another category", |it| it.category = crate::catalog::Category::Staging, true),
    ];
    for (what, edit, goes) in edits {
        let site = Site::default();
        let id = site.awaiting();
        site.edit("prod", edit);
        let decided = site.says(&bob(), &id, Answer::Approve, None);
        assert_eq!(decided.is_ok(), goes, "{what}: {decided:?}");
        assert_eq!(site.memory.operation(&id).verdict.is_some(), goes, "{what}");
        if !goes {
            assert!(matches!(decided, Err(DecideError::Superseded(_))), "{what}: {decided:?}");
            assert!(site.says(&bob(), &id, Answer::Reject, None).is_ok(), "{what}: it can be rejected");
        }
    }
}

#[test]
fn a_decision_that_took_effect_is_repeated_whatever_was_edited_since() {
    let site = Site::default();
    let id = site.awaiting();
    site.says(&bob(), &id, Answer::Approve, None).unwrap();
    site.edit("prod", |it| it.module = Some("static".parse().unwrap()));
    site.says(&bob(), &id, Answer::Approve, None).unwrap();
}

#[test]
fn nothing_is_applied_under_a_weaker_rule_than_holds_now() {
    let key = CallbackKey::new(&"k".repeat(32).into()).unwrap();
    let apply = |site: &Site, id: &OperationId| {
        let begun = steer::begin_attempt(&site.memory, &site.hand, &key, id, Phase::Apply);
        begun.now_or_never().unwrap().map(drop)
    };
    let edits: [Edit; 4] = [
        ("nothing", |_| {}, true),
        ("approval", |it| it.approval_required = true, false),
        ("another module, unprotected", |it| it.module = Some("static".parse().unwrap()), true),
        (
            "another module, in prod",
            |it| {
                it.module = Some("static".parse().unwrap());
                it.category = crate::catalog::Category::Prod;
            },
            false,
        ),
    ];
    for (what, edit, goes) in edits {
        let site = Site::default();
        let id = site.provisioning("dev");
        site.memory.items().operations.get_mut(&id).unwrap().plan =
            Some(PlanSummary { add: 1, change: 0, destroy: 0, ..PlanSummary::default() });
        site.memory.items().operations.get_mut(&id).unwrap().state = State::Running { phase: Phase::Plan };
        site.edit("dev", edit);
        let begun = apply(&site, &id);
        assert_eq!(begun.is_ok(), goes, "{what}: {begun:?}");
        if let Err(error) = begun {
            assert_eq!(error.word(), "OutOfPlace", "{what}: {error}");
            assert_eq!(site.memory.operation(&id).attempt, None, "{what}");
        }
    }
    // What was approved stays so, and a rule that was loosened since does not loosen what was asked for before.
    let site = Site::default();
    let id = site.awaiting();
    site.edit("prod", |it| it.approval_required = false);
    let early = apply(&site, &id);
    assert!(early.is_err(), "an apply began before anybody approved");
    site.says(&bob(), &id, Answer::Approve, None).unwrap();
    site.edit("prod", |it| it.approval_required = true);
    apply(&site, &id).unwrap();
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
