//! The commands of the state machine.

use std::time::Duration;

use gatehouse_domain::{
    catalog::{Category, DeployTarget, EnvironmentSpec},
    ci::{CiErrorKind, RunStatus},
    clock::Clock,
    operations::{
        Operation, OperationOutcome, Phase, Signal, State, StepState, Verdict, WebhookError,
        attempt::{CallbackClaims, CallbackKey},
    },
    runs::{FindRun, start::RunRequests},
    secret::{DeleteSecret, SecretName},
};
use secrecy::SecretString;
use serde_json::json;

use crate::support::{CALLBACK_KEY, OPERATION, Site, asked, failed, follow_run, trigger_run, triggered};

fn end(operation: &mut Operation) {
    operation.state =
        State::Ended { ending: OperationOutcome::TimedOut, at: operation.updated_at, reason: None };
}

fn ask_to_stop(operation: &mut Operation) {
    operation.cancel = Some(asked(operation));
}

#[tokio::test]
async fn a_run_is_triggered_with_what_its_job_declares() {
    let site = Site::by_job().await;
    assert_eq!(site.trigger().await.unwrap(), triggered());
    let operation = site.operation().await;
    let run = site.table.table.find_run(operation.run.as_ref().unwrap()).await.unwrap().unwrap();
    let given = serde_json::to_value(&run.parameters).unwrap();
    assert_eq!(given, json!({ "version": "1.2.3", "environment": "dev" }));
    assert_eq!(run.triggered_by.as_deref(), Some("user:ada"));
    assert_eq!(operation.run, Some(run.id));
    assert_eq!(operation.state, State::Running { phase: Phase::Deploy });
    assert_eq!(operation.links[0].url, "https://ci.example/builds/1");
    assert_eq!(operation.steps[0].state, StepState::Running);
}

#[tokio::test]
async fn the_same_command_again_triggers_nothing_again() {
    let site = Site::by_job().await;
    site.trigger().await.unwrap();
    assert_eq!(site.trigger().await.unwrap(), triggered());
    // As if the function had died before it could note the run.
    site.edit(|operation| operation.run = None).await;
    assert_eq!(site.trigger().await.unwrap(), triggered());
    assert_eq!(site.ci.state().builds.len(), 1);
    assert!(site.operation().await.run.is_some());
}

#[tokio::test]
async fn a_run_whose_answer_was_lost_is_found_by_the_next_try() {
    let site = Site::by_job().await;
    site.ci.state().start_errors.push_back(CiErrorKind::OutcomeUnknown);
    let (word, _) = failed(site.trigger().await);
    assert_eq!(word, "Unavailable");
    site.ci.state().is_down = false;
    assert_eq!(site.trigger().await.unwrap(), triggered());
    assert_eq!(site.ci.state().builds.len(), 1);
    assert!(site.operation().await.run.is_some());
}

#[tokio::test]
async fn a_run_that_began_is_followed_also_where_the_operation_is_to_stop_by_then() {
    let site = Site::by_job().await;
    site.ci.state().meanwhile = Some(ask_to_stop);
    assert_eq!(site.trigger().await.unwrap(), triggered());
    assert_eq!(site.follow().await.unwrap()["ended"], false);
    assert_eq!(site.ci.state().cancelled.len(), 1);
}

#[tokio::test]
async fn a_lost_run_is_looked_for_also_where_the_operation_is_to_stop_by_then() {
    let site = Site::by_job().await;
    site.ci.state().start_errors.push_back(CiErrorKind::OutcomeUnknown);
    failed(site.trigger().await);
    site.edit(ask_to_stop).await;
    site.ci.state().is_down = false;
    assert_eq!(site.trigger().await.unwrap(), triggered());
    site.follow().await.unwrap();
    assert_eq!(site.ci.state().cancelled.len(), 1);
}

#[tokio::test]
async fn a_run_that_began_too_late_is_stopped() {
    let site = Site::by_job().await;
    site.ci.state().meanwhile = Some(end);
    let (word, message) = failed(site.trigger().await);
    assert_eq!(
        (word.as_str(), message.as_str()),
        ("OperationEnded", "the operation has ended: it timed_out")
    );
    assert_eq!(site.ci.state().cancelled.len(), 1);
}

/// An edit of the environment that an admin makes before the deploy begins, and whether it may begin then.
type Edit = (&'static str, fn(&mut EnvironmentSpec), bool);

fn edits() -> [Edit; 4] {
    [
        ("nothing that protects it", |it| it.ttl_hours = Some(8), true),
        ("approval", |it| it.approval_required = true, false),
        (
            "another target, without protection",
            |it| it.deploy = Some(DeployTarget::Webhook("https://other.example/hook".to_owned())),
            true,
        ),
        (
            "another target, in prod",
            |it| {
                it.deploy = Some(DeployTarget::Webhook("https://other.example/hook".to_owned()));
                it.category = Category::Prod;
            },
            false,
        ),
    ]
}

#[tokio::test]
async fn nothing_is_deployed_under_a_weaker_rule_than_holds_now() {
    for (what, edit, goes) in edits() {
        let by_job = Site::by_job().await;
        by_job.edit_environment(edit).await;
        let triggered = by_job.trigger().await;
        assert_eq!(triggered.is_ok(), goes, "{what}: {triggered:?}");
        assert_eq!(by_job.ci.state().builds.len(), usize::from(goes), "{what}");
        let by_webhook = Site::by_webhook().await;
        by_webhook.edit_environment(edit).await;
        let called = by_webhook.call().await;
        assert_eq!(called.is_ok(), goes, "{what}: {called:?}");
        assert_eq!(by_webhook.webhook().posted.len(), usize::from(goes), "{what}");
        for refused in [triggered, called].into_iter().filter(Result::is_err) {
            let (word, message) = failed(refused);
            assert_eq!(word, "OutOfPlace", "{what}: {message}");
            assert!(message.ends_with("by now; ask again"), "{what}: {message}");
        }
    }
}

#[tokio::test]
async fn what_has_begun_is_followed_whatever_the_rule_is_by_then() {
    let by_job = Site::by_job().await;
    by_job.ci.state().start_errors.push_back(CiErrorKind::OutcomeUnknown);
    failed(by_job.trigger().await);
    by_job.edit_environment(|it| it.approval_required = true).await;
    by_job.ci.state().is_down = false;
    assert_eq!(by_job.trigger().await.unwrap(), triggered());
    let by_webhook = Site::by_webhook().await;
    by_webhook.webhook().errors.push_back(WebhookError::Unavailable("lost".to_owned(), None));
    failed(by_webhook.call().await);
    by_webhook.edit_environment(|it| it.approval_required = true).await;
    by_webhook.call().await.unwrap();
}

#[tokio::test]
async fn what_is_to_stop_or_not_agreed_to_is_not_triggered() {
    let stopping = Site::by_job().await;
    stopping.edit(ask_to_stop).await;
    assert_eq!(failed(stopping.trigger().await).0, "CancelRequested");
    let ended = Site::by_job().await;
    ended.edit(end).await;
    assert_eq!(failed(ended.trigger().await).0, "OperationEnded");
    let waiting = Site::by_job().await;
    waiting.edit(|operation| operation.approval_required = true).await;
    let (word, message) = failed(waiting.trigger().await);
    assert_eq!(word, "OutOfPlace");
    assert_eq!(message, "this step is out of place: nobody has agreed yet");
    for site in [&stopping, &ended, &waiting] {
        assert!(site.ci.state().builds.is_empty());
    }
    let verdict = Verdict { approved: true, asked: asked(&waiting.operation().await), comment: None };
    waiting.edit(|operation| operation.verdict = Some(verdict)).await;
    assert_eq!(waiting.trigger().await.unwrap(), triggered());
}

#[tokio::test]
async fn a_refusal_of_the_ci_system_is_final_and_says_what_would_help() {
    let site = Site::by_job().await;
    site.ci.state().start_errors.push_back(CiErrorKind::NotFound);
    let (word, message) = failed(site.trigger().await);
    assert_eq!(word, "DeployRefused");
    assert_eq!(message, "job `job_deploy` could not be triggered: the pipeline is not there");
    let open = site.table.table.open_requests(&"job_deploy".parse().unwrap()).await.unwrap();
    assert!(open.is_empty(), "{open:?}");
}

#[tokio::test]
async fn a_ci_system_that_does_not_answer_is_asked_again() {
    let site = Site::by_job().await;
    site.ci.state().is_down = true;
    let (word, message) = failed(site.trigger().await);
    assert_eq!(word, "Unavailable");
    assert_eq!(message, "job `job_deploy` could not be triggered: the CI system cannot be reached");
    site.ci.state().is_down = false;
    assert_eq!(site.trigger().await.unwrap(), triggered());
}

#[tokio::test]
async fn a_job_that_is_gone_refuses() {
    let site = Site::by_job().await;
    site.forget_job().await;
    let (word, message) = failed(site.trigger().await);
    assert_eq!(word, "DeployRefused");
    assert_eq!(message, "job `job_deploy` could not be triggered: there is no such job");
}

#[tokio::test]
async fn a_run_is_followed_to_its_end() {
    let site = Site::by_job().await;
    site.trigger().await.unwrap();
    let going_on = json!({ "ended": false, "succeeded": false, "wait_seconds": 10 });
    assert_eq!(site.follow().await.unwrap(), going_on);
    site.ci.build_is(RunStatus::Succeeded);
    let done = json!({ "ended": true, "succeeded": true, "wait_seconds": 10 });
    assert_eq!(site.follow().await.unwrap(), done);
    let operation = site.operation().await;
    assert_eq!(operation.steps[0].state, StepState::Succeeded);
    assert_eq!(operation.failure, None);
    assert!(operation.attempt.unwrap().reported);
    let version = site.operation().await.version;
    assert_eq!(site.follow().await.unwrap(), done);
    assert_eq!(site.operation().await.version, version, "a second look wrote something");
}

#[tokio::test]
async fn a_run_that_failed_says_so() {
    let site = Site::by_job().await;
    site.trigger().await.unwrap();
    site.ci.build_is(RunStatus::Failed);
    let ended = json!({ "ended": true, "succeeded": false, "wait_seconds": 10 });
    assert_eq!(site.follow().await.unwrap(), ended);
    let operation = site.operation().await;
    assert_eq!(operation.failure, Some(format!("run {} failed", operation.run.unwrap())));
}

#[tokio::test]
async fn a_run_is_asked_to_stop_once() {
    let site = Site::by_job().await;
    site.trigger().await.unwrap();
    site.edit(ask_to_stop).await;
    assert_eq!(site.follow().await.unwrap()["ended"], false);
    assert_eq!(site.follow().await.unwrap()["ended"], false);
    assert_eq!(site.ci.state().cancelled.len(), 1);
    site.ci.build_is(RunStatus::Cancelled);
    assert_eq!(site.follow().await.unwrap()["succeeded"], false);
}

#[tokio::test]
async fn a_run_is_looked_at_less_often_the_longer_it_takes() {
    let site = Site::by_job().await;
    site.trigger().await.unwrap();
    for (minutes, seconds) in [(0, 10), (4, 10), (1, 30), (54, 30), (1, 60), (6 * 60, 60)] {
        site.table.system.advance(Duration::from_mins(minutes));
        assert_eq!(site.follow().await.unwrap()["wait_seconds"], seconds, "{minutes} min later");
    }
    site.edit(ask_to_stop).await;
    assert_eq!(site.follow().await.unwrap()["wait_seconds"], 10, "its end is near");
}

#[tokio::test]
async fn a_run_is_stopped_when_the_operation_was_open_for_too_long() {
    let site = Site::by_job().await;
    site.trigger().await.unwrap();
    site.table.system.advance(Duration::from_hours(8));
    assert_eq!(site.follow().await.unwrap()["ended"], false);
    assert_eq!(site.ci.state().cancelled.len(), 1);
}

#[tokio::test]
async fn a_ci_system_that_is_down_does_not_end_the_deploy() {
    let site = Site::by_job().await;
    site.trigger().await.unwrap();
    site.ci.state().is_down = true;
    assert_eq!(site.follow().await.unwrap()["ended"], false);
    site.edit(ask_to_stop).await;
    let (word, message) = failed(site.follow().await);
    assert_eq!((word.as_str(), message.as_str()), ("Unavailable", "the run could not be cancelled"));
}

#[tokio::test]
async fn only_what_runs_is_followed() {
    let site = Site::by_job().await;
    assert_eq!(failed(site.follow().await).0, "OutOfPlace");
    site.trigger().await.unwrap();
    site.edit(end).await;
    assert_eq!(failed(site.follow().await).0, "OperationEnded");
    site.forget_operation().await;
    assert_eq!(failed(site.follow().await).0, "OperationNotFound");
    assert_eq!(failed(site.trigger().await).0, "OperationNotFound");
}

#[tokio::test]
async fn a_webhook_is_called_with_a_token_to_report_with() {
    let site = Site::by_webhook().await;
    assert_eq!(site.call().await.unwrap(), json!({}));
    let posted = site.webhook().posted[0].clone();
    assert_eq!((posted.url.as_str(), posted.attempt), ("https://deploy.example/canary-hook", 1));
    assert_eq!(posted.version, "1.2.3");
    let key = CallbackKey::new(&SecretString::from(CALLBACK_KEY)).unwrap();
    let attempt = site.operation().await.attempt.unwrap();
    let now = site.table.system.now();
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
    let site = Site::by_webhook().await;
    let busy = WebhookError::Unavailable("it answered 503".to_owned(), Some("a secret".into()));
    site.webhook().errors.push_back(busy);
    let (word, message) = failed(site.call().await);
    assert_eq!(word, "Unavailable");
    assert_eq!(message, "the webhook did not take the call: it answered 503");
    site.call().await.unwrap();
    let posted = site.webhook().posted.clone();
    assert_eq!(posted.len(), 2);
    assert_eq!(posted[0], posted[1]);
}

#[tokio::test]
async fn a_webhook_that_has_reported_is_not_called_again() {
    let site = Site::by_webhook().await;
    site.call().await.unwrap();
    site.edit(|operation| operation.attempt.as_mut().unwrap().reported = true).await;
    assert_eq!(site.call().await.unwrap(), json!({}));
    assert_eq!(site.webhook().posted.len(), 1);
    assert!(matches!(site.operation().await.pending_signal, Some(Signal::Succeed { .. })));
}

#[tokio::test]
async fn a_refusal_of_the_webhook_is_final() {
    let site = Site::by_webhook().await;
    site.webhook().errors.push_back(WebhookError::Refused("it answered 404 Not Found".to_owned()));
    let (word, message) = failed(site.call().await);
    assert_eq!(word, "DeployRefused");
    assert_eq!(message, "the webhook refused the call: it answered 404 Not Found");
}

#[tokio::test]
async fn no_webhook_is_called_without_a_key_of_callback_tokens() {
    let site = Site::by_webhook().await;
    for key in [None, Some("short")] {
        let name = SecretName::callback_key();
        match key {
            None => site.secrets.delete(&name).await.unwrap(),
            Some(key) => site.secrets.put(&name, &key.into()),
        }
        assert_eq!(failed(site.call().await).0, "Unavailable");
    }
    assert!(site.webhook().posted.is_empty());
    assert_eq!(site.operation().await.attempt, None);
}

#[tokio::test]
async fn what_deploys_otherwise_is_refused_and_stays_as_it_is() {
    let by_job = Site::by_job().await;
    let (word, message) = failed(by_job.call().await);
    assert_eq!(word, "OutOfPlace");
    assert_eq!(message, "this step is out of place: no webhook deploys this operation");
    let by_webhook = Site::by_webhook().await;
    let (word, message) = failed(by_webhook.trigger().await);
    assert_eq!(word, "OutOfPlace");
    assert_eq!(message, "this step is out of place: no job deploys this operation");
    for site in [by_job, by_webhook] {
        assert_eq!(site.operation().await.attempt, None);
        assert_eq!(site.operation().await.pending_signal, Some(Signal::Start));
    }
}

#[tokio::test]
async fn a_table_that_does_not_answer_is_asked_again_and_its_words_stay_inside() {
    let site = Site::by_job().await;
    for command in [trigger_run(), follow_run()] {
        let answer = site.without_table(command).await;
        let (word, message) = failed(answer);
        assert_eq!((word.as_str(), message.as_str()), ("Unavailable", "could not change the operation"));
    }
}

#[tokio::test]
async fn what_is_no_command_is_refused_with_the_reason() {
    let site = Site::by_webhook().await;
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
        let (word, message) = failed(site.invoke(event.clone()).await);
        assert_eq!(word, "InvalidCommand", "{event}");
        assert_eq!(message, format!("the event is no command of the deployer: {reason}"), "{event}");
    }
    assert_eq!(site.operation().await.version, 1);
}
