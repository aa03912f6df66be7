//! `deploy.asl.json`: admission, approval, then a CI job or a webhook, report.

use serde_json::{Value, json};

use crate::{
    functions::{
        Conduct::{self, Endless, Fails, Silent, Succeeds},
        Script,
        Trouble::{self, Hangs},
    },
    provision::error,
    world::{DEPLOY, World},
};

/// A deploy by a CI job, of whose run these are the answers.
pub fn by_job(run: &[Value]) -> Script {
    let admitted = json!({ "approval_required": false, "by": "job" });
    Script { admitted, run: run.iter().cloned().map(Ok).collect(), ..Script::default() }
}

/// A deploy by a webhook.
pub fn by_webhook(conduct: Conduct) -> Script {
    let admitted = json!({ "approval_required": false, "by": "webhook" });
    Script { admitted, workers: [conduct].into(), ..Script::default() }
}

/// What is seen of a run that goes on.
pub fn going() -> Value {
    json!({ "ended": false, "succeeded": false, "wait_seconds": 10 })
}

/// What is seen of a run that has ended.
pub fn ended(succeeded: bool) -> Value {
    json!({ "ended": true, "succeeded": succeeded, "wait_seconds": 10 })
}

async fn ending(script: Script) -> (&'static str, Option<&'static str>, String, i64) {
    let world = World::start(DEPLOY, script);
    let status = world.play().await.status;
    (status, world.outcome(), world.asked().join(", "), world.elapsed())
}

#[tokio::test]
async fn a_job_is_followed_to_its_end() {
    let steps = "admit, trigger_run, follow_run, follow_run, follow_run, finish";
    let wanted = ("SUCCEEDED", Some("succeeded"), steps.to_owned(), 5 + 10 + 10);
    assert_eq!(ending(by_job(&[going(), going(), ended(true)])).await, wanted);
}

#[tokio::test]
async fn a_run_that_fails_fails_the_deploy() {
    let steps = "admit, trigger_run, follow_run, fail RunFailed";
    assert_eq!(ending(by_job(&[ended(false)])).await, ("FAILED", Some("failed"), steps.to_owned(), 5));
}

#[tokio::test]
async fn the_end_of_the_operations_time_ends_the_following() {
    let steps = "admit, trigger_run, follow_run, follow_run, fail Overdue";
    let mut script = by_job(&[going()]);
    script.run.push_back(Err(error("Overdue")));
    assert_eq!(ending(script).await, ("FAILED", Some("failed"), steps.to_owned(), 15));
}

#[tokio::test]
async fn a_webhook_reports_by_token() {
    let steps = "admit, call_webhook, finish";
    let wanted = ("SUCCEEDED", Some("succeeded"), steps.to_owned(), 1000);
    assert_eq!(ending(by_webhook(Succeeds(1000, json!({})))).await, wanted);
}

#[tokio::test]
async fn a_webhook_that_fails_or_falls_silent_is_not_called_again() {
    for (conduct, error, outcome, seconds) in [
        (Fails(40, error("DeployFailed")), "DeployFailed", "failed", 40),
        (Silent, "States.HeartbeatTimeout", "timed_out", 900),
        (Endless, "States.Timeout", "timed_out", 7200),
    ] {
        let steps = format!("admit, call_webhook, fail {error}");
        assert_eq!(ending(by_webhook(conduct)).await, ("FAILED", Some(outcome), steps, seconds));
    }
}

#[tokio::test]
async fn a_webhook_that_could_not_be_called_is_called_again() {
    let mut script = by_webhook(Succeeds(10, json!({})));
    script.troubles.insert("call_webhook", vec![Trouble::Fails("Unavailable"); 2].into());
    let (status, _, steps, _) = ending(script).await;
    assert_eq!(
        (status, steps.as_str()),
        ("SUCCEEDED", "admit, call_webhook, call_webhook, call_webhook, finish")
    );
}

#[tokio::test]
async fn an_approval_comes_first_where_it_is_asked_for() {
    for (approver, status, steps) in [
        (
            Succeeds(90, json!({"approved_by": "user:ada"})),
            "SUCCEEDED",
            "admit, await_approval, trigger_run, follow_run, finish",
        ),
        (Fails(90, error("Rejected")), "FAILED", "admit, await_approval, fail Rejected"),
    ] {
        let admitted = json!({ "approval_required": true, "by": "job" });
        let script = Script { admitted, approver: Some(approver), ..by_job(&[ended(true)]) };
        let seen = ending(script).await;
        assert_eq!((seen.0, seen.2.as_str()), (status, steps));
    }
}

#[tokio::test]
async fn a_target_that_is_not_known_fails() {
    let script =
        Script { admitted: json!({ "approval_required": false, "by": "magic" }), ..Script::default() };
    let wanted = ("FAILED", Some("failed"), "admit, fail UnknownTarget".to_owned(), 0);
    assert_eq!(ending(script).await, wanted);
}

#[tokio::test]
async fn a_deployer_that_is_away_is_asked_again() {
    for command in ["admit", "trigger_run", "follow_run", "finish"] {
        let names = ["Unavailable", "Sandbox.Timedout", "Runtime.ExitError", "Lambda.Unknown"];
        for trouble in names.map(Trouble::Fails).into_iter().chain([Hangs]) {
            let mut script = by_job(&[ended(true)]);
            script.troubles.insert(command, vec![trouble; 4].into());
            let (status, outcome, steps, _) = ending(script).await;
            assert_eq!((status, outcome), ("SUCCEEDED", Some("succeeded")), "{command}");
            assert_eq!(steps.matches(command).count(), 5, "{steps}");
        }
    }
}
