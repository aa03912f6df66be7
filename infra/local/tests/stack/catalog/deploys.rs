//! Deploying: by a job, to the end.

use serde_json::json;

use crate::support::{
    Call, Key, TestStack,
    catalog::{deployed_by, operation_id},
};

fn deploy(service: &str, version: &str) -> Call {
    let body = json!({ "environment": "dev", "version": version });
    Call::post(format!("/services/{service}/actions/deploy")).json(&body)
}

#[tokio::test]
async fn a_deploy_runs_the_job_and_its_outcome_lands_in_the_operation() {
    let stack = TestStack::start().await;
    let client = stack.client(&Key::PLATFORM);
    let service = client.create_service(&deployed_by("hello")).await;
    let asked = client.send(deploy(&service, "1.4.2")).await.expect(202);
    let operation = operation_id(&asked);
    assert_eq!(asked.header("location"), Some(&*format!("../operations/{operation}")));
    let ended = client.operation_is(&service, &operation, "succeeded").await;
    assert_eq!(ended["version"], "1.4.2");
    let run = client.run(ended["run_id"].as_str().expect("a run")).await;
    assert_eq!((&run["status"], &run["job_id"]), (&json!("succeeded"), &json!("hello")));
    assert_eq!(run["triggered_by"], ended["requested_by"]);
    let environment = client.environment(&service).await;
    assert_eq!(environment["deployed"]["version"], "1.4.2");
    assert_eq!(environment["last_deploy"]["id"], operation);
    assert!(environment.get("running").is_none(), "{environment:#}");
    stack.stop().await;
}

#[tokio::test]
async fn a_job_gets_what_it_declares_of_a_deploy() {
    let stack = TestStack::start().await;
    let client = stack.client(&Key::PLATFORM);
    let parameter = |name: &str| json!({ "name": name, "type": "string", "deliver": { "as": "env", "name": name.to_uppercase() } });
    let job = json!({
        "project": "example", "provider": { "kind": "process", "ref": { "command": ["sh", "-c", "echo $VERSION to $ENVIRONMENT"] } },
        "parameters": [parameter("version"), parameter("environment")],
    });
    client.send(Call::put("/v1/jobs/told").json(&job)).await.expect(201);
    let service = client.create_service(&deployed_by("told")).await;
    let operation = client.deploy(&service, "dev", "7").await;
    let ended = client.operation_is(&service, &operation, "succeeded").await;
    assert_eq!(client.log(ended["run_id"].as_str().expect("a run")).await, "7 to dev\n");
    stack.stop().await;
}

#[tokio::test]
async fn a_job_that_fails_fails_the_deploy_and_the_environment_keeps_what_it_had() {
    let stack = TestStack::start().await;
    let client = stack.client(&Key::PLATFORM);
    client.put_script("failing", "exit 3").await;
    let service = client.create_service(&deployed_by("failing")).await;
    let operation = client.deploy(&service, "dev", "1").await;
    let ended = client.operation_is(&service, &operation, "failed").await;
    let reason = ended["reason"].as_str().expect("a reason");
    assert!(reason.contains("failed"), "{reason}");
    let environment = client.environment(&service).await;
    assert!(environment.get("deployed").is_none() && environment.get("running").is_none(), "{environment:#}");
    stack.stop().await;
}
