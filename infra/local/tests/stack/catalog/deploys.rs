//! Deploying: by a job, one at a time, to the end.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    Answer, Call, Client, Key, TestStack,
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

#[tokio::test]
async fn of_a_hundred_simultaneous_deploys_one_runs_and_the_others_are_shown_to_it() {
    let stack = TestStack::start().await;
    let client = stack.client(&Key::PLATFORM);
    client.put_script("waiting", "sleep 1000").await;
    let service = client.create_service(&deployed_by("waiting")).await;
    // A busy machine may refuse for the moment; who is refused so asks again.
    let ask = async |number: usize| loop {
        let answer = client.send(deploy(&service, &number.to_string())).await;
        if answer.status != 503 {
            return answer;
        }
    };
    let answers = join_all((0..100).map(ask)).await;
    let (begun, refused): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| answer.status == 202);
    assert_eq!(begun.len(), 1, "{:?}", begun.iter().map(Answer::text).collect::<Vec<_>>());
    let operation = operation_id(&begun[0]);
    for answer in &refused {
        let problem = answer.problem(409, "operation-running");
        assert_eq!(problem["operation"], operation);
        assert_eq!(answer.header("location"), Some(&*format!("../operations/{operation}")));
    }
    assert_eq!(refused.len(), 99);
    assert_eq!(client.all(&format!("/services/{service}/operations"), "operations").await.len(), 1);
    client.say(&service, &operation, "cancel").await.expect(202);
    client.operation_is(&service, &operation, "cancelled").await;
    stack.stop().await;
}

#[tokio::test]
async fn the_same_request_with_the_same_key_is_the_same_operation() {
    let stack = TestStack::start().await;
    let client = stack.client(&Key::PLATFORM);
    let service = client.create_service(&deployed_by("hello")).await;
    let ask = |version: &str| deploy(&service, version).header("idempotency-key", "release-1");
    let first = client.send(ask("1")).await.expect(202);
    let again = client.send(ask("1")).await.expect(202);
    assert_eq!(operation_id(&first), operation_id(&again));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    client.send(ask("2")).await.problem(422, "idempotency-key-reused");
    client.operation_is(&service, &operation_id(&first), "succeeded").await;
    // Also when it has ended.
    assert_eq!(operation_id(&client.send(ask("1")).await.expect(202)), operation_id(&first));
    stack.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_said_before_anything_begins() {
    let stack = TestStack::start().await;
    let client = stack.client(&Key::PLATFORM);
    let mut body = deployed_by("hello");
    body["environments"] = json!([
        { "name": "bare", "category": "dev" }, { "name": "made", "category": "dev", "module": "example" }
    ]);
    let service = client.create_service(&body).await;
    let mut undeployable = deployed_by("hello");
    undeployable["name"] = json!("undeployable");
    undeployable["deploy"] = Value::Null;
    let undeployable = client.create_service(&undeployable).await;
    for (service, action, body, slug) in [
        (&service, "deploy", json!({ "environment": "made", "version": "1" }), "conflict"),
        (&undeployable, "deploy", json!({ "environment": "dev", "version": "1" }), "conflict"),
        (&service, "provision", json!({ "environment": "bare" }), "conflict"),
        (&service, "deprovision", json!({ "environment": "made" }), "conflict"),
        (&service, "drift", json!({ "environment": "made" }), "conflict"),
    ] {
        client.act(service, action, &body).await.problem(409, slug);
    }
    for (body, pointer) in [
        (json!({ "environment": "absent", "version": "1" }), "/environment"),
        (json!({ "environment": "bare", "version": "" }), "/version"),
        (json!({ "environment": "bare", "version": "a b" }), "/version"),
        (json!({ "environment": "bare" }), ""),
    ] {
        let problem = client.act(&service, "deploy", &body).await.problem(422, "validation-failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    assert_eq!(history(&client, &service).await.len(), 0);
    stack.stop().await;
}

async fn history(client: &Client, service: &str) -> Vec<Value> {
    client.all(&format!("/services/{service}/operations?limit=1"), "operations").await
}

#[tokio::test]
async fn the_history_of_a_service_is_there_the_newest_first() {
    let stack = TestStack::start().await;
    let client = stack.client(&Key::PLATFORM);
    let service = client.create_service(&deployed_by("hello")).await;
    for version in ["1", "2", "3"] {
        let operation = client.deploy(&service, "dev", version).await;
        client.operation_is(&service, &operation, "succeeded").await;
    }
    let versions: Vec<_> =
        history(&client, &service).await.into_iter().map(|it| it["version"].clone()).collect();
    assert_eq!(versions, ["3", "2", "1"]);
    stack.stop().await;
}
