//! `provision.asl.json`: plan, approval, apply, report.

use std::collections::VecDeque;

use gatehouse_local::step_functions::TaskError;
use serde_json::{Value, json};

use crate::{
    functions::{
        Conduct::{self, Endless, Fails, Refuses, Silent, Succeeds},
        Script,
        Trouble::{self, Hangs},
    },
    world::{PROVISION, World},
};

/// A worker whose plan is followed by `next`.
pub fn plans(next: &str) -> Conduct {
    Succeeds(50, json!({ "next": next }))
}

/// A worker that applies.
pub fn applies() -> Conduct {
    Succeeds(300, json!({}))
}

pub fn script(workers: impl Into<VecDeque<Conduct>>) -> Script {
    Script { workers: workers.into(), ..Script::default() }
}

pub fn error(name: &str) -> TaskError {
    TaskError::new(name, "because")
}

fn world(workers: impl Into<VecDeque<Conduct>>) -> World {
    World::start(PROVISION, script(workers))
}

fn troubled(command: &'static str, troubles: Vec<Trouble>) -> World {
    let mut script = script([plans("apply"), applies()]);
    script.troubles.insert(command, troubles.into());
    World::start(PROVISION, script)
}

fn approved_by(approver: Conduct) -> World {
    World::start(PROVISION, Script { approver: Some(approver), ..script([plans("approve"), applies()]) })
}

/// Plays it to its end, and says how that was told, recorded, and got to.
async fn ending(world: &World) -> (&'static str, Option<&'static str>, String) {
    let ended = world.play().await;
    (ended.status, world.outcome(), world.asked().join(", "))
}

#[tokio::test]
async fn a_plan_with_changes_is_applied() {
    let world = world([plans("apply"), applies()]);
    let steps = "begin_attempt plan, worker plan 1, begin_attempt apply, worker apply 2, finish";
    assert_eq!(ending(&world).await, ("SUCCEEDED", Some("succeeded"), steps.to_owned()));
    assert_eq!(world.elapsed(), 350);
}

#[tokio::test]
async fn a_plan_without_changes_ends_it() {
    let world = world([plans("finish")]);
    let steps = "begin_attempt plan, worker plan 1, finish";
    assert_eq!(ending(&world).await, ("SUCCEEDED", Some("succeeded"), steps.to_owned()));
}

#[tokio::test]
async fn a_plan_that_does_not_say_what_comes_next_fails() {
    let world = world([plans("dance")]);
    let steps = "begin_attempt plan, worker plan 1, fail UnknownPlan";
    assert_eq!(ending(&world).await, ("FAILED", Some("failed"), steps.to_owned()));
}

#[tokio::test]
async fn a_worker_that_fails_is_not_replaced() {
    for (workers, steps) in [
        (vec![Fails(30, error("PlanFailed"))], "begin_attempt plan, worker plan 1, fail PlanFailed"),
        (
            vec![plans("apply"), Fails(30, error("ApplyFailed"))],
            "begin_attempt plan, worker plan 1, begin_attempt apply, worker apply 2, fail ApplyFailed",
        ),
    ] {
        let world = world(workers);
        assert_eq!(ending(&world).await, ("FAILED", Some("failed"), steps.to_owned()));
        assert_eq!(world.describe().error.as_deref(), Some("OperationNotDone"));
    }
}

#[tokio::test]
async fn a_silent_plan_is_made_again_by_a_new_attempt() {
    let world = world([Silent, plans("finish")]);
    let steps = "begin_attempt plan, worker plan 1, begin_attempt plan, worker plan 2, finish";
    assert_eq!(ending(&world).await, ("SUCCEEDED", Some("succeeded"), steps.to_owned()));
    assert_eq!(world.elapsed(), 180 + 15 + 50);
}

#[tokio::test]
async fn a_plan_is_made_at_most_three_times() {
    let world = world([Silent, Endless, Silent]);
    let steps = "begin_attempt plan, worker plan 1, begin_attempt plan, worker plan 2, \
                 begin_attempt plan, worker plan 3, fail States.HeartbeatTimeout";
    assert_eq!(ending(&world).await, ("FAILED", Some("timed_out"), steps.to_owned()));
    assert_eq!(world.elapsed(), 180 + 15 + 3600 + 15 + 180);
    assert_eq!(world.functions.script().refused, ["TaskTimedOut"], "the second was told that it is over");
}

#[tokio::test]
async fn a_silent_apply_is_never_made_again() {
    for (worker, error, seconds) in
        [(Silent, "States.HeartbeatTimeout", 180), (Endless, "States.Timeout", 7200)]
    {
        let world = world([plans("apply"), worker]);
        let steps = "begin_attempt plan, worker plan 1, begin_attempt apply, worker apply 2, fail ";
        assert_eq!(ending(&world).await, ("FAILED", Some("timed_out"), format!("{steps}{error}")));
        assert_eq!(world.elapsed(), 50 + seconds);
    }
}

#[tokio::test]
async fn a_worker_that_reports_too_late_is_refused() {
    let world = world([plans("apply"), Succeeds(7201, json!({}))]);
    assert_eq!(ending(&world).await.1, Some("timed_out"));
    world.play_out().await;
    assert_eq!(world.functions.script().refused, ["TaskTimedOut"]);
    assert_eq!(world.describe().status, "FAILED");
}

#[tokio::test]
async fn a_worker_that_ecs_does_not_start_is_started_again() {
    let world = world([
        Refuses(error("ECS.ThrottlingException")),
        plans("apply"),
        Refuses(error("AmazonECS.Unknown")),
        applies(),
    ]);
    let steps = "begin_attempt plan, worker plan 1, worker plan 1, \
                 begin_attempt apply, worker apply 2, worker apply 2, finish";
    assert_eq!(ending(&world).await, ("SUCCEEDED", Some("succeeded"), steps.to_owned()));
}

#[tokio::test]
async fn a_worker_that_ecs_never_starts_is_given_up() {
    let world = world(vec![Refuses(error("ECS.ServerException")); 6]);
    let (status, outcome, steps) = ending(&world).await;
    assert_eq!((status, outcome), ("FAILED", Some("failed")));
    assert_eq!(steps.matches("worker plan 1").count(), 6);
    assert!(steps.ends_with("fail ECS.ServerException"), "{steps}");
}

#[tokio::test]
async fn a_plan_that_needs_approval_waits_for_it() {
    let world = approved_by(Succeeds(500_000, json!({"approved_by": "user:ada"})));
    let steps =
        "begin_attempt plan, worker plan 1, await_approval, begin_attempt apply, worker apply 2, finish";
    assert_eq!(ending(&world).await, ("SUCCEEDED", Some("succeeded"), steps.to_owned()));
    assert_eq!(world.elapsed(), 50 + 500_000 + 300);
}

#[tokio::test]
async fn what_is_not_approved_is_not_applied() {
    for (approver, error, outcome) in [
        (Fails(60, error("Rejected")), "Rejected", "rejected"),
        (Fails(60, error("Cancelled")), "Cancelled", "cancelled"),
        (Silent, "States.Timeout", "timed_out"),
    ] {
        let world = approved_by(approver);
        let steps = format!("begin_attempt plan, worker plan 1, await_approval, fail {error}");
        assert_eq!(ending(&world).await, ("FAILED", Some(outcome), steps));
    }
}

#[tokio::test]
async fn an_approval_is_waited_for_for_a_week() {
    let world = approved_by(Silent);
    world.play().await;
    assert_eq!(world.elapsed(), 50 + 604_800);
}

#[tokio::test]
async fn an_approval_that_could_not_be_asked_for_is_asked_for_again_with_another_token() {
    let mut script =
        Script { approver: Some(Succeeds(60, json!({}))), ..script([plans("approve"), applies()]) };
    script.troubles.insert("await_approval", [Trouble::Fails("Lambda.ServiceException")].into());
    let world = World::start(PROVISION, script);
    let (status, _, steps) = ending(&world).await;
    assert_eq!(status, "SUCCEEDED");
    assert!(steps.contains("await_approval, await_approval, begin_attempt apply"), "{steps}");
}

#[tokio::test]
async fn a_worker_that_was_cancelled_ends_it_as_cancelled() {
    let world = world([plans("apply"), Fails(100, error("Cancelled"))]);
    let steps = "begin_attempt plan, worker plan 1, begin_attempt apply, worker apply 2, fail Cancelled";
    assert_eq!(ending(&world).await, ("FAILED", Some("cancelled"), steps.to_owned()));
}

#[tokio::test]
async fn a_stop_ends_it_without_another_step() {
    let world = world([plans("apply"), applies()]);
    world.play_until("worker apply 2").await;
    world.stop();
    let before = world.asked();
    world.play_out().await;
    assert_eq!((world.describe().status, world.outcome()), ("ABORTED", None));
    assert_eq!(world.asked(), before);
    assert_eq!(world.functions.script().refused, ["TaskTimedOut"], "the worker was told");
}

#[tokio::test]
async fn a_function_that_is_away_is_asked_again() {
    for command in ["begin_attempt", "finish"] {
        for trouble in
            [Trouble::Fails("Unavailable"), Trouble::Fails("Lambda.TooManyRequestsException"), Hangs]
        {
            let world = troubled(command, vec![trouble; 3]);
            let (status, outcome, steps) = ending(&world).await;
            assert_eq!((status, outcome), ("SUCCEEDED", Some("succeeded")), "{command}");
            assert_eq!(steps.matches("worker apply 2").count(), 1, "{steps}");
        }
    }
}

#[tokio::test]
async fn a_function_that_stays_away_is_given_up() {
    let world = troubled("begin_attempt", vec![Trouble::Fails("Unavailable"); 7]);
    let (status, outcome, steps) = ending(&world).await;
    assert_eq!((status, outcome), ("FAILED", Some("failed")));
    assert_eq!(steps, format!("{}fail Unavailable", "begin_attempt plan, ".repeat(7)));
}

#[tokio::test]
async fn a_function_that_refuses_is_not_asked_again() {
    for refusal in ["OperationNotFound", "OperationEnded", "CancelRequested", "InvalidCommand"] {
        let world = troubled("begin_attempt", vec![Trouble::Fails(refusal)]);
        let steps = format!("begin_attempt plan, fail {refusal}");
        assert_eq!(ending(&world).await, ("FAILED", Some("failed"), steps));
    }
}

#[tokio::test]
async fn a_success_that_cannot_be_recorded_is_recorded_as_failure() {
    let world = troubled("finish", vec![Trouble::Fails("InvalidCommand")]);
    let (status, outcome, steps) = ending(&world).await;
    assert_eq!((status, outcome), ("FAILED", Some("failed")));
    assert!(steps.ends_with("finish, fail InvalidCommand"), "{steps}");
}

#[tokio::test]
async fn a_failure_that_cannot_be_recorded_ends_it_all_the_same() {
    let mut script = script([Fails(30, error("PlanFailed"))]);
    script.troubles.insert("fail", vec![Trouble::Fails("Unavailable"); 11].into());
    let world = World::start(PROVISION, script);
    let (status, outcome, steps) = ending(&world).await;
    assert_eq!((status, outcome), ("FAILED", None));
    assert_eq!(world.describe().error.as_deref(), Some("OutcomeNotRecorded"));
    assert_eq!(steps.matches("fail PlanFailed").count(), 11);
}

#[tokio::test]
async fn nothing_of_the_worker_but_its_result_is_needed() {
    let world = world([Succeeds(5, json!({ "next": "finish", "add": 0, "more": [Value::Null] }))]);
    assert_eq!(ending(&world).await.0, "SUCCEEDED");
}
