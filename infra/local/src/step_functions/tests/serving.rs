//! The API, used through the real SDK.

use aws_sdk_sfn::error::SdkError;
use serde_json::{Value, json};

use super::support::{HandClock, PANIC, PROVISION, Served, code, token};
use crate::step_functions::TaskError;

/// One task that waits for a token, with both kinds of timers.
const WAITING: &str = r#"{
    "StartAt": "Ask",
    "States": {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": { "FunctionName": "f", "Payload": { "token.$": "$$.Task.Token" } },
            "TimeoutSeconds": 100,
            "HeartbeatSeconds": 40,
            "Next": "Done"
        },
        "Done": { "Type": "Succeed" }
    }
}"#;

#[tokio::test]
async fn a_provision_goes_from_plan_to_report() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), PROVISION, &HandClock::new()).await;
    let arn = served.execute("op_1", r#"{"operation_id":"op_1"}"#).await;
    for (phase, attempt, result) in [("plan", 1, json!({"next": "apply"})), ("apply", 2, json!({}))] {
        let begin = served.handed().await;
        let command = json!({"command": "begin_attempt", "operation_id": "op_1", "phase": phase});
        assert_eq!((begin.to.as_str(), begin.what), ("callbacks", command));
        begin.reply.send(Ok(attempt_of(attempt, phase))).unwrap();
        let worker = served.handed().await;
        assert_eq!(environment(&worker.what), expected_environment(phase, attempt));
        let token = token(&worker.what);
        worker.reply.send(Ok(Value::Null)).unwrap();
        served.client.send_task_heartbeat().task_token(&token).send().await.unwrap();
        let success = served.client.send_task_success().task_token(&token).output(result.to_string());
        success.send().await.unwrap();
    }
    let finish = served.handed().await;
    assert_eq!(finish.what, json!({"command": "finish", "operation_id": "op_1"}));
    finish.reply.send(Ok(json!({"outcome": "succeeded"}))).unwrap();
    let ended = served.ended(&arn).await;
    assert_eq!(ended.status().as_str(), "SUCCEEDED");
    let output: Value = serde_json::from_str(ended.output().unwrap()).unwrap();
    assert_eq!(output["result"], json!({"outcome": "succeeded"}));
    assert_eq!(ended.input(), Some(r#"{"operation_id":"op_1"}"#));
    assert_eq!(ended.stop_date().unwrap().secs(), 1_767_323_045);
    served.stop().await;
}

#[tokio::test]
async fn a_worker_is_asked_for_as_ecs_takes_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), PROVISION, &HandClock::new()).await;
    served.execute("op_1", r#"{"operation_id":"op_1"}"#).await;
    served.handed().await.reply.send(Ok(attempt_of(1, "plan"))).unwrap();
    let mut asked = served.handed().await.what;
    asked["Overrides"].take();
    let wanted = json!({
        "LaunchType": "FARGATE",
        "Cluster": "cluster",
        "TaskDefinition": "provisioner",
        "NetworkConfiguration": { "AwsvpcConfiguration": {
            "Subnets": ["subnet-a", "subnet-b"], "SecurityGroups": ["sg-a"], "AssignPublicIp": "DISABLED",
        } },
        "Overrides": null,
    });
    assert_eq!(asked, wanted);
    served.stop().await;
}

#[tokio::test]
async fn a_name_is_for_one_execution() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), WAITING, &HandClock::new()).await;
    let start = |input: &str| {
        served.client.start_execution().state_machine_arn(&served.arn).name("one").input(input).send()
    };
    let first = start(r#"{"a":1}"#).await.unwrap();
    served.clock.advance(5);
    let again = start(r#"{"a":1}"#).await.unwrap();
    assert_eq!((again.execution_arn(), again.start_date()), (first.execution_arn(), first.start_date()));
    let other = start(r#"{"a":2}"#).await.map_err(SdkError::into_service_error);
    assert!(other.is_err_and(|error| error.is_execution_already_exists()));
    served.client.stop_execution().execution_arn(first.execution_arn()).send().await.unwrap();
    let late = start(r#"{"a":1}"#).await.map_err(SdkError::into_service_error);
    assert!(late.is_err_and(|error| error.is_execution_already_exists()));
    served.handed().await;
    assert!(served.nothing_handed(), "one execution has one task");
    served.stop().await;
}

#[tokio::test]
async fn a_token_counts_once_and_only_while_its_task_waits() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), WAITING, &HandClock::new()).await;
    let arn = served.execute("one", "{}").await;
    let task = served.handed().await;
    let token = task.what["token"].as_str().unwrap().to_owned();
    let success = |token: &str| served.client.send_task_success().task_token(token).output("[1]").send();
    success(&token).await.unwrap();
    assert_eq!(served.ended(&arn).await.output(), Some("[1]"));
    let again = success(&token).await.map_err(SdkError::into_service_error);
    assert!(again.is_err_and(|error| error.is_task_timed_out()));
    let heartbeat = served.client.send_task_heartbeat().task_token(&token).send().await;
    assert!(heartbeat.map_err(SdkError::into_service_error).is_err_and(|error| error.is_task_timed_out()));
    let strange = success("nobody's").await.map_err(SdkError::into_service_error);
    assert!(strange.is_err_and(|error| error.is_invalid_token()));
    let unknown = data_encoding::BASE64URL_NOPAD.encode(br#"["flow","other","0"]"#);
    let unknown = success(&unknown).await.map_err(SdkError::into_service_error);
    assert!(unknown.is_err_and(|error| error.is_task_does_not_exist()));
    served.stop().await;
}

#[tokio::test]
async fn a_refused_output_leaves_the_task_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), WAITING, &HandClock::new()).await;
    let arn = served.execute("one", "{}").await;
    let token = served.handed().await.what["token"].as_str().unwrap().to_owned();
    let large = format!("\"{}\"", "x".repeat(262_144));
    for output in ["not JSON", &large] {
        let refused = served.client.send_task_success().task_token(&token).output(output).send().await;
        let refused = refused.map_err(SdkError::into_service_error);
        assert!(refused.is_err_and(|error| error.is_invalid_output()));
    }
    let long = "x".repeat(257);
    let refused = served.client.send_task_failure().task_token(&token).error(long).send().await;
    assert_eq!(code(refused.map_err(SdkError::into_service_error)), "ValidationException");
    assert_eq!(served.describe(&arn).await.status().as_str(), "RUNNING");
    served.client.send_task_failure().task_token(&token).error("Rejected").cause("no").send().await.unwrap();
    let ended = served.ended(&arn).await;
    assert_eq!((ended.error(), ended.cause()), (Some("Rejected"), Some("no")));
    served.stop().await;
}

#[tokio::test]
async fn heartbeats_end_silence_and_not_the_timeout() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), WAITING, &HandClock::new()).await;
    let arn = served.execute("one", "{}").await;
    let token = served.handed().await.what["token"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        served.clock.advance(33);
        served.client.send_task_heartbeat().task_token(&token).send().await.unwrap();
    }
    served.clock.advance(1);
    let late = served.client.send_task_heartbeat().task_token(&token).send().await;
    assert!(late.map_err(SdkError::into_service_error).is_err_and(|error| error.is_task_timed_out()));
    let ended = served.ended(&arn).await;
    assert_eq!((ended.status().as_str(), ended.error()), ("FAILED", Some("States.Timeout")));
    let arn = served.execute("two", "{}").await;
    served.handed().await;
    served.clock.advance(40);
    assert_eq!(served.ended(&arn).await.error(), Some("States.HeartbeatTimeout"));
    served.stop().await;
}

#[tokio::test]
async fn a_task_that_panics_has_failed() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), WAITING, &HandClock::new()).await;
    let arn = served.execute("one", "{}").await;
    served.handed().await.reply.send(Err(TaskError::new(PANIC, ""))).unwrap();
    assert_eq!(served.ended(&arn).await.error(), Some("Runtime.ExitError"));
    served.stop().await;
}

#[tokio::test]
async fn a_stopped_execution_stays_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), WAITING, &HandClock::new()).await;
    let arn = served.execute("one", "{}").await;
    let task = served.handed().await;
    let stop = || served.client.stop_execution().execution_arn(&arn).error("Cancelled").cause("by us").send();
    let first = stop().await.unwrap();
    served.clock.advance(5);
    assert_eq!(stop().await.unwrap().stop_date(), first.stop_date());
    task.reply.send(Err(TaskError::new("Unavailable", ""))).unwrap();
    let described = served.describe(&arn).await;
    assert_eq!(described.status().as_str(), "ABORTED");
    assert_eq!((described.error(), described.cause()), (Some("Cancelled"), Some("by us")));
    let unknown = format!("{arn}x");
    let unknown = served.client.stop_execution().execution_arn(unknown).send().await;
    let unknown = unknown.map_err(SdkError::into_service_error);
    assert!(unknown.is_err_and(|error| error.is_execution_does_not_exist()));
    served.stop().await;
}

#[tokio::test]
async fn bad_requests_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), WAITING, &HandClock::new()).await;
    let large = format!("\"{}\"", "x".repeat(262_144));
    let missing = format!("{}x", served.arn);
    for (arn, name, input, wanted) in [
        (served.arn.as_str(), "a/b", "{}", "InvalidName"),
        (served.arn.as_str(), "", "{}", "InvalidName"),
        (served.arn.as_str(), "a", "{", "InvalidExecutionInput"),
        (served.arn.as_str(), "a", &large, "InvalidExecutionInput"),
        ("flow", "a", "{}", "InvalidArn"),
        (missing.as_str(), "a", "{}", "StateMachineDoesNotExist"),
    ] {
        let start = served.client.start_execution().state_machine_arn(arn).name(name).input(input);
        assert_eq!(code(start.send().await.map_err(SdkError::into_service_error)), wanted, "{name} {wanted}");
    }
    let unplayed = served.client.list_state_machines().send().await;
    assert_eq!(code(unplayed.map_err(SdkError::into_service_error)), "UnknownOperationException");
    let described = served.client.describe_execution().execution_arn("nothing").send().await;
    assert_eq!(code(described.map_err(SdkError::into_service_error)), "InvalidArn");
    assert!(served.nothing_handed(), "what was refused did nothing");
    served.stop().await;
}

fn attempt_of(attempt: u32, phase: &str) -> Value {
    json!({
        "operation_id": "op_1",
        "attempt": attempt,
        "phase": phase,
        "callback_token": "secret",
    })
}

/// The worker's environment but for its token, as `name=value`.
fn environment(parameters: &Value) -> Vec<String> {
    let container = &parameters["Overrides"]["ContainerOverrides"][0];
    assert_eq!(container["Name"], "provisioner");
    let environment = container["Environment"].as_array().unwrap().iter();
    let texts = environment
        .map(|entry| format!("{}={}", entry["Name"].as_str().unwrap(), entry["Value"].as_str().unwrap()));
    texts.filter(|text| !text.starts_with("GATEHOUSE_TASK_TOKEN=")).collect()
}

fn expected_environment(phase: &str, attempt: u32) -> Vec<String> {
    vec![
        "GATEHOUSE_OPERATION_ID=op_1".to_owned(),
        format!("GATEHOUSE_PHASE={phase}"),
        format!("GATEHOUSE_ATTEMPT={attempt}"),
        "GATEHOUSE_CALLBACK_URL=https://gatehouse.example/provisioning/callback".to_owned(),
        "GATEHOUSE_CALLBACK_TOKEN=secret".to_owned(),
    ]
}
