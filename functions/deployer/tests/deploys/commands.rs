//! The commands of the state machine.

use std::time::Duration;

use gatehouse_domain::{
    ci::{CiErrorKind, RunStatus},
    operations::{
        Operation, OperationOutcome, Phase, Signal, State, StepState, Verdict, WebhookError,
        attempt::{CallbackClaims, CallbackKey},
    },
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;

use crate::support::{CALLBACK_KEY, NOW, OPERATION, Twin, asked, failed, triggered};

fn end(operation: &mut Operation) {
    operation.state =
        State::Ended { ending: OperationOutcome::TimedOut, at: operation.updated_at, reason: None };
}

fn ask_to_stop(operation: &mut Operation) {
    operation.cancel = Some(asked());
}

#[tokio::test]
async fn a_run_is_triggered_with_what_its_job_declares() {
    let twin = Twin::by_job();
    assert_eq!(twin.trigger().await.unwrap(), triggered());
    let run = twin.world().runs[0].clone();
    let given = serde_json::to_value(&run.parameters).unwrap();
    assert_eq!(given, json!({ "version": "1.2.3", "environment": "dev" }));
    assert_eq!(run.triggered_by.as_deref(), Some("user:ada"));
    let operation = twin.operation();
    assert_eq!(operation.run, Some(run.id));
    assert_eq!(operation.state, State::Running(Phase::Deploy));
    assert_eq!(operation.links[0].url, "https://ci.example/builds/1");
    assert_eq!(operation.steps[0].state, StepState::Running);
}

#[tokio::test]
async fn the_same_command_again_triggers_nothing_again() {
    let twin = Twin::by_job();
    twin.trigger().await.unwrap();
    assert_eq!(twin.trigger().await.unwrap(), triggered());
    // As if the function had died before it could note the run.
    twin.edit(|operation| operation.run = None);
    assert_eq!(twin.trigger().await.unwrap(), triggered());
    assert_eq!(twin.world().builds.len(), 1);
    assert!(twin.operation().run.is_some());
}

#[tokio::test]
async fn a_run_whose_answer_was_lost_is_found_by_the_next_try() {
    let twin = Twin::by_job();
    twin.world().start_errors.push_back(CiErrorKind::OutcomeUnknown);
    let (word, _) = failed(twin.trigger().await);
    assert_eq!(word, "Unavailable");
    twin.world().ci_is_down = false;
    assert_eq!(twin.trigger().await.unwrap(), triggered());
    assert_eq!(twin.world().builds.len(), 1);
    assert!(twin.operation().run.is_some());
}

#[tokio::test]
async fn a_run_that_began_is_followed_also_where_the_operation_is_to_stop_by_then() {
    let twin = Twin::by_job();
    twin.world().meanwhile = Some(ask_to_stop);
    assert_eq!(twin.trigger().await.unwrap(), triggered());
    assert_eq!(twin.follow().await.unwrap()["ended"], false);
    assert_eq!(twin.world().cancelled.len(), 1);
}

#[tokio::test]
async fn a_lost_run_is_looked_for_also_where_the_operation_is_to_stop_by_then() {
    let twin = Twin::by_job();
    twin.world().start_errors.push_back(CiErrorKind::OutcomeUnknown);
    failed(twin.trigger().await);
    twin.edit(ask_to_stop);
    twin.world().ci_is_down = false;
    assert_eq!(twin.trigger().await.unwrap(), triggered());
    twin.follow().await.unwrap();
    assert_eq!(twin.world().cancelled.len(), 1);
}

#[tokio::test]
async fn a_run_that_began_too_late_is_stopped() {
    let twin = Twin::by_job();
    twin.world().meanwhile = Some(end);
    let (word, message) = failed(twin.trigger().await);
    assert_eq!(
        (word.as_str(), message.as_str()),
        ("OperationEnded", "the operation has ended: it timed_out")
    );
    assert_eq!(twin.world().cancelled.len(), 1);
}

#[tokio::test]
async fn what_is_to_stop_or_not_agreed_to_is_not_triggered() {
    let stopping = Twin::by_job();
    stopping.edit(ask_to_stop);
    assert_eq!(failed(stopping.trigger().await).0, "CancelRequested");
    let ended = Twin::by_job();
    ended.edit(end);
    assert_eq!(failed(ended.trigger().await).0, "OperationEnded");
    let waiting = Twin::by_job();
    waiting.edit(|operation| operation.approval_required = true);
    let (word, message) = failed(waiting.trigger().await);
    assert_eq!(word, "OutOfPlace");
    assert_eq!(message, "this step is out of place: nobody has agreed yet");
    for twin in [&stopping, &ended, &waiting] {
        assert!(twin.world().builds.is_empty());
    }
    let verdict = Verdict { approved: true, asked: asked(), comment: None };
    waiting.edit(|operation| operation.verdict = Some(verdict));
    assert_eq!(waiting.trigger().await.unwrap(), triggered());
}

#[tokio::test]
async fn a_refusal_of_the_ci_system_is_final_and_says_what_would_help() {
    let twin = Twin::by_job();
    twin.world().start_errors.push_back(CiErrorKind::NotFound);
    let (word, message) = failed(twin.trigger().await);
    assert_eq!(word, "DeployRefused");
    assert_eq!(message, "job `job_deploy` could not be triggered: the pipeline is not there");
    assert!(twin.world().starts.is_empty());
}

#[tokio::test]
async fn a_ci_system_that_does_not_answer_is_asked_again() {
    let twin = Twin::by_job();
    twin.world().ci_is_down = true;
    let (word, message) = failed(twin.trigger().await);
    assert_eq!(word, "Unavailable");
    assert_eq!(message, "job `job_deploy` could not be triggered: the CI system cannot be reached");
    twin.world().ci_is_down = false;
    assert_eq!(twin.trigger().await.unwrap(), triggered());
}

#[tokio::test]
async fn a_job_that_is_gone_refuses() {
    let twin = Twin::by_job();
    twin.world().jobs.clear();
    let (word, message) = failed(twin.trigger().await);
    assert_eq!(word, "DeployRefused");
    assert_eq!(message, "job `job_deploy` could not be triggered: there is no such job");
}

#[tokio::test]
async fn a_run_is_followed_to_its_end() {
    let twin = Twin::by_job();
    twin.trigger().await.unwrap();
    let going_on = json!({ "ended": false, "succeeded": false, "wait_seconds": 10 });
    assert_eq!(twin.follow().await.unwrap(), going_on);
    twin.build_is(RunStatus::Succeeded);
    let done = json!({ "ended": true, "succeeded": true, "wait_seconds": 10 });
    assert_eq!(twin.follow().await.unwrap(), done);
    let operation = twin.operation();
    assert_eq!(operation.steps[0].state, StepState::Succeeded);
    assert_eq!(operation.failure, None);
    assert!(operation.attempt.unwrap().reported);
    let version = twin.operation().version;
    assert_eq!(twin.follow().await.unwrap(), done);
    assert_eq!(twin.operation().version, version, "a second look wrote something");
}

#[tokio::test]
async fn a_run_that_failed_says_so() {
    let twin = Twin::by_job();
    twin.trigger().await.unwrap();
    twin.build_is(RunStatus::Failed);
    let ended = json!({ "ended": true, "succeeded": false, "wait_seconds": 10 });
    assert_eq!(twin.follow().await.unwrap(), ended);
    let operation = twin.operation();
    assert_eq!(operation.failure, Some(format!("run {} failed", operation.run.unwrap())));
}

#[tokio::test]
async fn a_run_is_asked_to_stop_once() {
    let twin = Twin::by_job();
    twin.trigger().await.unwrap();
    twin.edit(ask_to_stop);
    assert_eq!(twin.follow().await.unwrap()["ended"], false);
    assert_eq!(twin.follow().await.unwrap()["ended"], false);
    assert_eq!(twin.world().cancelled.len(), 1);
    twin.build_is(RunStatus::Cancelled);
    assert_eq!(twin.follow().await.unwrap()["succeeded"], false);
}

#[tokio::test]
async fn a_run_is_stopped_when_the_operation_was_open_for_too_long() {
    let twin = Twin::by_job();
    twin.trigger().await.unwrap();
    twin.world().now += Duration::from_hours(8);
    assert_eq!(twin.follow().await.unwrap()["ended"], false);
    assert_eq!(twin.world().cancelled.len(), 1);
}

#[tokio::test]
async fn a_ci_system_that_is_down_does_not_end_the_deploy() {
    let twin = Twin::by_job();
    twin.trigger().await.unwrap();
    twin.world().ci_is_down = true;
    assert_eq!(twin.follow().await.unwrap()["ended"], false);
    twin.edit(ask_to_stop);
    let (word, message) = failed(twin.follow().await);
    assert_eq!((word.as_str(), message.as_str()), ("Unavailable", "the run could not be cancelled"));
}

#[tokio::test]
async fn only_what_runs_is_followed() {
    let twin = Twin::by_job();
    assert_eq!(failed(twin.follow().await).0, "OutOfPlace");
    twin.trigger().await.unwrap();
    twin.edit(end);
    assert_eq!(failed(twin.follow().await).0, "OperationEnded");
    twin.world().operations.clear();
    assert_eq!(failed(twin.follow().await).0, "OperationNotFound");
    assert_eq!(failed(twin.trigger().await).0, "OperationNotFound");
}

#[tokio::test]
async fn a_webhook_is_called_with_a_token_to_report_with() {
    let twin = Twin::by_webhook();
    assert_eq!(twin.call().await.unwrap(), json!({}));
    let posted = twin.world().posted[0].clone();
    assert_eq!((posted.url.as_str(), posted.attempt), ("https://deploy.example/hook", 1));
    assert_eq!(posted.version, "1.2.3");
    let key = CallbackKey::new(&SecretString::from(CALLBACK_KEY)).unwrap();
    let attempt = twin.operation().attempt.unwrap();
    let now = Timestamp::from_second(NOW).unwrap();
    let said = CallbackClaims {
        operation: OPERATION.parse().unwrap(),
        attempt: 1,
        expires_at: attempt.expires_at.as_second(),
    };
    assert_eq!(key.verify(&posted.callback_token, now), Ok(said));
    let token = attempt.token.unwrap();
    assert_eq!(token.expose(), "AQCEAAAAKgAAAAMAAAAAAAAAAaLm6tOqtoUkUmSEE0wbmQ");
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_made_again_as_the_same_one() {
    let twin = Twin::by_webhook();
    let busy = WebhookError::Unavailable("it answered 503".to_owned(), Some("a secret".into()));
    twin.world().webhook_errors.push_back(busy);
    let (word, message) = failed(twin.call().await);
    assert_eq!(word, "Unavailable");
    assert_eq!(message, "the webhook did not take the call: it answered 503");
    twin.call().await.unwrap();
    let posted = twin.world().posted.clone();
    assert_eq!(posted.len(), 2);
    assert_eq!(posted[0], posted[1]);
}

#[tokio::test]
async fn a_webhook_that_has_reported_is_not_called_again() {
    let twin = Twin::by_webhook();
    twin.call().await.unwrap();
    twin.edit(|operation| operation.attempt.as_mut().unwrap().reported = true);
    assert_eq!(twin.call().await.unwrap(), json!({}));
    assert_eq!(twin.world().posted.len(), 1);
    assert!(matches!(twin.operation().pending_signal, Some(Signal::Succeed { .. })));
}

#[tokio::test]
async fn a_refusal_of_the_webhook_is_final() {
    let twin = Twin::by_webhook();
    twin.world().webhook_errors.push_back(WebhookError::Refused("it answered 404 Not Found".to_owned()));
    let (word, message) = failed(twin.call().await);
    assert_eq!(word, "DeployRefused");
    assert_eq!(message, "the webhook refused the call: it answered 404 Not Found");
}

#[tokio::test]
async fn no_webhook_is_called_without_a_key_of_callback_tokens() {
    let twin = Twin::by_webhook();
    for key in [None, Some("short")] {
        twin.world().callback_key = key;
        assert_eq!(failed(twin.call().await).0, "Unavailable");
    }
    assert!(twin.world().posted.is_empty());
    assert_eq!(twin.operation().attempt, None);
}

#[tokio::test]
async fn what_deploys_otherwise_is_refused_and_stays_as_it_is() {
    let by_job = Twin::by_job();
    let (word, message) = failed(by_job.call().await);
    assert_eq!(word, "OutOfPlace");
    assert_eq!(message, "this step is out of place: no webhook deploys this operation");
    let by_webhook = Twin::by_webhook();
    let (word, message) = failed(by_webhook.trigger().await);
    assert_eq!(word, "OutOfPlace");
    assert_eq!(message, "this step is out of place: no job deploys this operation");
    for twin in [by_job, by_webhook] {
        assert_eq!(twin.operation().attempt, None);
        assert_eq!(twin.operation().pending_signal, Some(Signal::Start));
    }
}

#[tokio::test]
async fn a_table_that_does_not_answer_is_asked_again_and_its_words_stay_inside() {
    let twin = Twin::by_job();
    twin.world().table_is_down = true;
    for answer in [twin.trigger().await, twin.follow().await] {
        let (word, message) = failed(answer);
        assert_eq!((word.as_str(), message.as_str()), ("Unavailable", "could not change the operation"));
    }
}

#[tokio::test]
async fn what_is_no_command_is_refused_with_the_reason() {
    let twin = Twin::by_webhook();
    let cases = [
        (json!("trigger_run"), "it must be a JSON object"),
        (json!({}), "missing field `command`"),
        (
            json!({ "command": "explode", "operation_id": OPERATION }),
            "unknown variant `explode`, expected one of `trigger_run`, `follow_run`, `call_webhook`",
        ),
        (json!({ "command": "trigger_run" }), "missing field `operation_id`"),
        (
            json!({ "command": "follow_run", "operation_id": "op_../x" }),
            "an operation's id must be 1 to 35 characters of op_ and a-z and 0-9",
        ),
        (
            json!({ "command": "follow_run", "operation_id": OPERATION, "more": 1 }),
            "unknown field `more`, expected `operation_id`",
        ),
        (json!({ "command": "call_webhook", "operation_id": OPERATION }), "missing field `task_token`"),
        (
            json!({ "command": "call_webhook", "operation_id": OPERATION, "task_token": "a secret" }),
            "task_token must be 1 to 2,048 visible ASCII characters",
        ),
    ];
    for (event, reason) in cases {
        let (word, message) = failed(twin.invoke(event.clone()).await);
        assert_eq!(word, "InvalidCommand", "{event}");
        assert_eq!(message, format!("the event is no command of the deployer: {reason}"), "{event}");
    }
    assert_eq!(twin.operation().version, 1);
}
