//! What outlives the process, and what does not.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use aws_sdk_sfn::error::SdkError;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::yield_now;

use super::support::{HandClock, Served, code, open, substitutions, token};
use crate::{
    files::OpenError,
    step_functions::{StateMachine, TaskError},
};

/// A task that waits for a token, and a pause behind it.
const FLOW: &str = r#"{
    "StartAt": "Ask",
    "States": {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::ecs:runTask.waitForTaskToken",
            "Parameters": { "Overrides": { "ContainerOverrides": [ { "Environment": [
                { "Name": "GATEHOUSE_TASK_TOKEN", "Value.$": "$$.Task.Token" }
            ] } ] } },
            "TimeoutSeconds": 100,
            "HeartbeatSeconds": 40,
            "Next": "Pause"
        },
        "Pause": { "Type": "Wait", "Seconds": 50, "Next": "Done" },
        "Done": { "Type": "Succeed" }
    }
}"#;

fn file(directory: &TempDir) -> PathBuf {
    directory.path().join("executions").join("flow.one.json")
}

/// Returns once the file holds `text`.
async fn written(directory: &TempDir, text: &str) {
    while !fs::read_to_string(file(directory)).unwrap().contains(text) {
        yield_now().await;
    }
}

#[tokio::test]
async fn an_execution_is_one_file_for_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), FLOW, &HandClock::new()).await;
    served.execute("one", r#"{"a":"hunter2"}"#).await;
    served.handed().await;
    assert_eq!(file(&directory).metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let folder = file(&directory).parent().unwrap().to_owned();
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "no temporary file is left");
    served.stop().await;
}

#[tokio::test]
async fn a_task_whose_token_arrived_is_not_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let mut served = Served::start(directory.path(), FLOW, &clock).await;
    let arn = served.execute("one", "{}").await;
    let token = token(&served.handed().await.what);
    // Whoever began it has not answered; that the token is used shows that it arrived.
    served.client.send_task_heartbeat().task_token(&token).send().await.unwrap();
    served.stop().await;
    let mut served = Served::start(directory.path(), FLOW, &clock).await;
    served.client.send_task_success().task_token(&token).output("{}").send().await.unwrap();
    written(&directory, r#""waiting""#).await;
    served.clock.advance(50);
    assert_eq!(served.ended(&arn).await.status().as_str(), "SUCCEEDED");
    assert!(served.nothing_handed());
    served.stop().await;
}

#[tokio::test]
async fn a_task_that_was_being_begun_is_begun_again_with_its_token_and_its_whole_time() {
    let directory = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let mut served = Served::start(directory.path(), FLOW, &clock).await;
    let arn = served.execute("one", "{}").await;
    let first = token(&served.handed().await.what);
    served.stop().await;
    clock.advance(3600);
    let mut served = Served::start(directory.path(), FLOW, &clock).await;
    assert_eq!(token(&served.handed().await.what), first);
    served.client.send_task_success().task_token(&first).output("{}").send().await.unwrap();
    written(&directory, r#""waiting""#).await;
    clock.advance(50);
    assert_eq!(served.ended(&arn).await.status().as_str(), "SUCCEEDED");
    served.stop().await;
}

#[tokio::test]
async fn nobody_was_silent_while_nobody_could_be_heard_but_time_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let mut served = Served::start(directory.path(), FLOW, &clock).await;
    let arn = served.execute("one", "{}").await;
    let token = token(&served.handed().await.what);
    served.client.send_task_heartbeat().task_token(&token).send().await.unwrap();
    served.stop().await;
    clock.advance(70);
    let served = Served::start(directory.path(), FLOW, &clock).await;
    clock.advance(29);
    served.client.send_task_heartbeat().task_token(&token).send().await.unwrap();
    clock.advance(1);
    assert_eq!(served.ended(&arn).await.error(), Some("States.Timeout"));
    served.stop().await;
}

#[tokio::test]
async fn a_machine_that_slept_does_not_take_its_workers_for_silent() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), &FLOW.replace("100", "1000"), &HandClock::new()).await;
    let arn = served.execute("one", "{}").await;
    served.handed().await.reply.send(Ok(Value::Null)).unwrap();
    written(&directory, r#""delivered": true"#).await;
    served.clock.advance(500);
    assert_eq!(served.describe(&arn).await.status().as_str(), "RUNNING");
    served.clock.advance(39);
    assert_eq!(served.describe(&arn).await.status().as_str(), "RUNNING");
    served.clock.advance(1);
    assert_eq!(served.ended(&arn).await.error(), Some("States.HeartbeatTimeout"));
    served.stop().await;
}

#[tokio::test]
async fn a_heartbeat_costs_no_write() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), FLOW, &HandClock::new()).await;
    let arn = served.execute("one", "{}").await;
    let task = served.handed().await;
    let token = token(&task.what);
    task.reply.send(Ok(Value::Null)).unwrap();
    written(&directory, r#""delivered": true"#).await;
    let before = fs::read(file(&directory)).unwrap();
    served.clock.advance(39);
    served.client.send_task_heartbeat().task_token(&token).send().await.unwrap();
    assert_eq!(fs::read(file(&directory)).unwrap(), before);
    served.clock.advance(39);
    assert_eq!(served.describe(&arn).await.status().as_str(), "RUNNING");
    served.clock.advance(1);
    assert_eq!(served.ended(&arn).await.error(), Some("States.HeartbeatTimeout"));
    served.stop().await;
}

#[tokio::test]
async fn a_full_disk_holds_an_execution_up_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), FLOW, &HandClock::new()).await;
    let arn = served.execute("one", "{}").await;
    let task = served.handed().await;
    let token = token(&task.what);
    let executions = file(&directory).parent().unwrap().to_owned();
    let elsewhere = directory.path().join("elsewhere");
    fs::rename(&executions, &elsewhere).unwrap();
    task.reply.send(Err(TaskError::new("ECS.ServerException", ""))).unwrap();
    let success = || served.client.send_task_success().task_token(&token).output("{}").send();
    assert_eq!(code(success().await.map_err(SdkError::into_service_error)), "InternalFailure");
    assert_eq!(served.describe(&arn).await.status().as_str(), "RUNNING");
    fs::rename(&elsewhere, &executions).unwrap();
    while served.describe(&arn).await.status().as_str() == "RUNNING" {
        served.clock.advance(1);
    }
    assert_eq!(served.describe(&arn).await.error(), Some("ECS.ServerException"));
    served.stop().await;
}

#[tokio::test]
async fn a_wait_ends_at_its_time_also_when_that_was_in_between() {
    let directory = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let mut served = Served::start(directory.path(), FLOW, &clock).await;
    let arn = served.execute("one", "{}").await;
    let token = token(&served.handed().await.what);
    served.client.send_task_success().task_token(&token).output("{}").send().await.unwrap();
    written(&directory, r#""waiting""#).await;
    served.stop().await;
    clock.advance(50);
    let served = Served::start(directory.path(), FLOW, &clock).await;
    assert_eq!(served.ended(&arn).await.status().as_str(), "SUCCEEDED");
    served.stop().await;
}

#[tokio::test]
async fn ended_executions_are_kept_for_a_week() {
    let directory = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let served = Served::start(directory.path(), FLOW, &clock).await;
    let arn = served.execute("one", "{}").await;
    served.client.stop_execution().execution_arn(&arn).send().await.unwrap();
    served.stop().await;
    clock.advance(7 * 86_400);
    let served = Served::start(directory.path(), FLOW, &clock).await;
    assert_eq!(served.describe(&arn).await.status().as_str(), "ABORTED");
    served.stop().await;
    clock.advance(1);
    let served = Served::start(directory.path(), FLOW, &clock).await;
    let gone = served.client.describe_execution().execution_arn(&arn).send().await;
    let gone = gone.map_err(SdkError::into_service_error);
    assert!(gone.is_err_and(|error| error.is_execution_does_not_exist()));
    assert!(!file(&directory).exists());
    served.stop().await;
}

#[tokio::test]
async fn what_cannot_be_written_did_not_happen() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path(), FLOW, &HandClock::new()).await;
    fs::remove_dir(file(&directory).parent().unwrap()).unwrap();
    let start = || served.client.start_execution().state_machine_arn(&served.arn).name("one").send();
    assert_eq!(code(start().await.map_err(SdkError::into_service_error)), "InternalFailure");
    fs::create_dir(file(&directory).parent().unwrap()).unwrap();
    start().await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn an_execution_whose_state_is_gone_from_the_definition_fails() {
    let directory = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let mut served = Served::start(directory.path(), FLOW, &clock).await;
    let arn = served.execute("one", "{}").await;
    served.handed().await;
    served.stop().await;
    let other = r#"{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}"#;
    let served = Served::start(directory.path(), other, &clock).await;
    clock.advance(40);
    let ended = served.ended(&arn).await;
    let cause = "Ask: the definition does not have this state any more";
    assert_eq!((ended.error(), ended.cause()), (Some("States.Runtime"), Some(cause)));
    served.stop().await;
}

#[test]
fn what_a_crash_left_half_written_goes_and_a_broken_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let machine = StateMachine::parse("flow", FLOW, &substitutions()).unwrap();
    let api = || open(directory.path(), machine.clone(), HandClock::new());
    api();
    let half = file(&directory).with_extension("tmp");
    fs::write(&half, "{\"mach").unwrap();
    api();
    assert!(!half.exists());
    fs::write(file(&directory), "{\"machine\": \"flow\", \"input\": \"hunter2").unwrap();
    let executions = super::super::file::ExecutionsDirectory::open(directory.path()).unwrap();
    let error = executions.all().err().unwrap();
    assert!(matches!(error, OpenError::Unreadable { .. }));
    assert!(error.to_string().contains("flow.one.json") && !error.to_string().contains("hunter2"));
}
