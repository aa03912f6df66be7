//! Workers and stacks that are killed: every operation comes to its end, and none is done twice.

use std::{fs, path::Path, time::Duration};

use gatehouse_local::stack::{StackSettings, find_terraform};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use crate::support::{
    Call, Client, Key, TestStack,
    binary::Binary,
    catalog::{deployed_by, operation_id, provisioned_with},
    random::Random,
    wait::{found, found_in},
};

/// The workers of a stack whose data is in `data`: those that have its directory in their environment.
fn workers(data: &Path) -> Vec<i32> {
    let marker = data.join("provisioner").canonicalize().unwrap_or_default();
    let marker = marker.to_string_lossy().into_owned();
    let processes = fs::read_dir("/proc").expect("there is /proc").filter_map(Result::ok);
    let numbered = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbered
        .filter(|pid| {
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            command.split('\0').nth(1) == Some("provisioner")
                && String::from_utf8_lossy(&environment).contains(&marker)
        })
        .collect()
}

async fn kill_worker(data: &Path) {
    let pid = found("a worker", || async { workers(data).first().copied() }).await;
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it can be killed");
}

/// A stack that does not wait minutes for a worker that is dead.
async fn impatient() -> TestStack {
    TestStack::start_with(|settings| StackSettings {
        worker_silence: Some(Duration::from_secs(8)),
        ..settings
    })
    .await
}

#[tokio::test]
async fn a_plan_whose_worker_was_killed_is_tried_again() {
    if find_terraform().is_none() {
        return eprintln!("terraform is not installed: this test did not run");
    }
    let stack = impatient().await;
    let client = stack.client(&Key::EXAMPLE);
    let service = client.create_service(&provisioned_with(&json!({}))).await;
    let asked = client.act(&service, "provision", &json!({ "environment": "dev" })).await.expect(202);
    let operation = operation_id(&asked);
    found("the plan's first step", || async {
        let shown = client.operation(&service, &operation).await;
        (shown["steps"] != json!([])).then_some(())
    })
    .await;
    kill_worker(&stack.data()).await;
    let ended = client.operation_ended(&service, &operation).await;
    assert_eq!(ended["status"], "succeeded", "{ended:#}");
    assert!(ended["attempt"].as_u64() > Some(2), "{ended:#}");
    stack.stop().await;
}

#[tokio::test]
async fn an_apply_whose_worker_was_killed_ends_the_operation_and_is_not_tried_again() {
    if find_terraform().is_none() {
        return eprintln!("terraform is not installed: this test did not run");
    }
    let stack = impatient().await;
    let client = stack.client(&Key::EXAMPLE);
    let service = client.create_service(&provisioned_with(&json!({ "duration_seconds": 600 }))).await;
    let asked = client.act(&service, "provision", &json!({ "environment": "dev" })).await.expect(202);
    let operation = operation_id(&asked);
    found("the apply's worker", || async {
        let shown = client.operation(&service, &operation).await;
        let works = shown["status"] == "applying" && shown["steps"].to_string().contains("apply");
        works.then_some(())
    })
    .await;
    kill_worker(&stack.data()).await;
    let ended = client.operation_ended(&service, &operation).await;
    assert_eq!(ended["status"], "timed_out", "{ended:#}");
    let environment = client.environment(&service).await;
    assert_eq!(environment["infrastructure"]["state"], "partial");
    assert!(environment.get("running").is_none(), "{environment:#}");
    stack.stop().await;
}

/// Waits for the end of every operation, each of which agrees with its run: a run that the kill interrupted
/// did not deploy.
async fn all_ended(client: &Client, service: &str, operations: &[String]) {
    for operation in operations {
        // A request that died holds the start of its run for half a minute.
        let look = async || {
            let shown = client.operation(service, operation).await;
            shown.get("ended_at").is_some().then_some(shown)
        };
        let ended = found_in(Duration::from_mins(4), &format!("the end of {operation}"), look).await;
        let run = client.run(ended["run_id"].as_str().expect("a run")).await;
        let expected = if run["status"] == "succeeded" { "succeeded" } else { "failed" };
        assert_eq!(ended["status"], expected, "{ended:#} {run:#}");
    }
}

#[tokio::test]
async fn a_stack_that_is_killed_at_any_moment_loses_and_doubles_no_deploy() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut random = Random::new(7);
    let mut operations: Vec<String> = Vec::new();
    let mut service = None;
    for round in 0..6 {
        let binary = Binary::start(directory.path()).await;
        let client = binary.client(&Key::PLATFORM);
        let id = match &service {
            Some(id) => id,
            None => service.insert(client.create_service(&deployed_by("hello")).await),
        };
        all_ended(&client, id, &operations).await;
        let body = json!({ "environment": "dev", "version": round.to_string() });
        let call = Call::post(format!("/services/{id}/actions/deploy")).json(&body);
        let call = call.header("idempotency-key", format!("round-{round}"));
        let answer = client.send(call).await.expect(202);
        operations.push(operation_id(&answer));
        tokio::time::sleep(Duration::from_millis(random.below(700) as u64)).await;
        binary.kill().await;
    }
    let binary = Binary::start(directory.path()).await;
    let client = binary.client(&Key::PLATFORM);
    all_ended(&client, &service.expect("a service"), &operations).await;
    let runs = client.all("/v1/jobs/hello/runs", "runs").await;
    assert_eq!(runs.len(), operations.len(), "one run for each operation: {runs:#?}");
    binary.kill().await;
}
