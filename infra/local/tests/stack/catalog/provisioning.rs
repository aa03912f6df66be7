//! Provisioning with the real Terraform, where there is one. `GATEHOUSE_TEST_TERRAFORM=required` makes that
//! it is missing a failure, as CI does.

use std::time::Duration;

use gatehouse_local::stack::{StackSettings, find_terraform};
use gatehouse_runtime::env;
use serde_json::{Value, json};

use crate::support::{
    Call, Client, Key, TestStack,
    catalog::{operation_id, provisioned_with},
    people::Person,
};

/// Whether Terraform is there; says so where it is not.
fn has_terraform() -> bool {
    let found = find_terraform().is_some();
    let required = env::optional("GATEHOUSE_TEST_TERRAFORM").as_deref() == Some("required");
    assert!(found || !required, "terraform is required, and not installed");
    if !found {
        eprintln!("terraform is not installed: this test did not run");
    }
    found
}

async fn provision(client: &Client, service: &str, inputs: Value) -> String {
    let body = json!({ "environment": "dev", "inputs": inputs });
    operation_id(&client.act(service, "provision", &body).await.expect(202))
}

async fn ask(client: &Client, service: &str, action: &str) -> String {
    operation_id(&client.act(service, action, &json!({ "environment": "dev" })).await.expect(202))
}

#[tokio::test]
async fn an_environment_is_made_changed_looked_at_and_taken_away() {
    if !has_terraform() {
        return;
    }
    let stack = TestStack::start().await;
    let client = stack.client(&Key::EXAMPLE);
    let service = client.create_service(&provisioned_with(&json!({ "greeting": "hello" }))).await;
    let made = provision(&client, &service, json!({})).await;
    let made = client.operation_is(&service, &made, "succeeded").await;
    assert_eq!(made["plan"], json!({ "add": 3, "change": 0, "destroy": 0 }));
    assert_eq!(made["outputs"]["greeting"], json!({ "value": "hello" }));
    assert_eq!(made["outputs"]["connection"], json!({ "sensitive": true }));
    let environment = client.environment(&service).await;
    assert_eq!(environment["infrastructure"]["state"], "present");
    assert_eq!(environment["infrastructure"]["outputs"], made["outputs"]);

    // The same again changes nothing, and needs no apply.
    let same = provision(&client, &service, json!({})).await;
    let same = client.operation_is(&service, &same, "succeeded").await;
    assert_eq!(same["plan"], json!({ "add": 0, "change": 0, "destroy": 0 }));
    assert_eq!(client.environment(&service).await["infrastructure"]["outputs"], made["outputs"]);

    let changed = provision(&client, &service, json!({ "greeting": "hi" })).await;
    let changed = client.operation_is(&service, &changed, "succeeded").await;
    assert_eq!(changed["outputs"]["greeting"], json!({ "value": "hi" }));

    let drift = ask(&client, &service, "drift").await;
    client.operation_is(&service, &drift, "succeeded").await;
    assert_eq!(client.environment(&service).await["drift"]["state"], "none");

    let etag = client.get(format!("/services/{service}")).await.header("etag").expect("an ETag").to_owned();
    let delete = |query: &str| Call::delete(format!("/services/{service}{query}")).header("if-match", &etag);
    client.send(delete("")).await.problem(409, "conflict");

    let gone = ask(&client, &service, "deprovision").await;
    let gone = client.operation_is(&service, &gone, "succeeded").await;
    assert_eq!(gone["plan"]["destroy"], 3);
    assert_eq!(client.environment(&service).await["infrastructure"], json!({ "state": "absent" }));
    client.send(delete("")).await.expect(200);
    stack.stop().await;
}

#[tokio::test]
async fn an_apply_that_fails_leaves_the_environment_partial_until_it_is_mended() {
    if !has_terraform() {
        return;
    }
    let stack = TestStack::start_with_people().await;
    let client = stack.log_in(Person::ADMIN).await;
    let service = client.create_service(&provisioned_with(&json!({}))).await;
    let failed = provision(&client, &service, json!({ "fail": true })).await;
    let failed = client.operation_is(&service, &failed, "failed").await;
    assert!(failed["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{failed:#}");
    let environment = client.environment(&service).await;
    assert_eq!(environment["infrastructure"]["state"], "partial");
    // By force, an admin is told what remains; here it is mended instead.
    let mended = provision(&client, &service, json!({})).await;
    client.operation_is(&service, &mended, "succeeded").await;
    assert_eq!(client.environment(&service).await["infrastructure"]["state"], "present");
    let etag = client.get(format!("/services/{service}")).await.header("etag").expect("an ETag").to_owned();
    let call = Call::delete(format!("/services/{service}?force=true")).header("if-match", &etag);
    let deleted = client.send(call).await.expect(200).json();
    assert_eq!(deleted["remains"][0]["environment"], "dev");
    assert_eq!(deleted["remains"][0]["state"], "present");
    stack.stop().await;
}

#[tokio::test]
async fn what_terraform_refuses_is_said_and_changes_nothing() {
    if !has_terraform() {
        return;
    }
    let stack = TestStack::start().await;
    let client = stack.client(&Key::EXAMPLE);
    let service = client.create_service(&provisioned_with(&json!({}))).await;
    for inputs in [json!({ "unknown": 1 }), json!({ "replicas": 99 })] {
        let operation = provision(&client, &service, inputs.clone()).await;
        let ended = client.operation_is(&service, &operation, "failed").await;
        let name = inputs.as_object().and_then(|inputs| inputs.keys().next().cloned()).expect("an input");
        assert!(ended["reason"].as_str().is_some_and(|reason| reason.contains(&name)), "{ended:#}");
        assert_eq!(client.environment(&service).await["infrastructure"], json!({ "state": "absent" }));
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_worker_that_is_cancelled_stops_terraform_in_order() {
    if !has_terraform() {
        return;
    }
    let stack = TestStack::start().await;
    let client = stack.client(&Key::EXAMPLE);
    let service = client.create_service(&provisioned_with(&json!({}))).await;
    let operation = provision(&client, &service, json!({ "duration_seconds": 600 })).await;
    client.operation_is(&service, &operation, "applying").await;
    client.say(&service, &operation, "cancel").await.expect(202);
    let ended = client.operation_is(&service, &operation, "cancelled").await;
    assert_eq!(ended["cancel"]["by"], ended["requested_by"]);
    // The state is not locked: what is there can be taken away.
    if client.environment(&service).await["infrastructure"]["state"] == "partial" {
        let gone = ask(&client, &service, "deprovision").await;
        client.operation_is(&service, &gone, "succeeded").await;
    }
    stack.stop().await;
}

#[tokio::test]
async fn without_terraform_provisioning_says_what_to_do_and_deploys_go_on() {
    let stack = TestStack::start_with(|settings| StackSettings {
        terraform: None,
        worker_silence: Some(Duration::from_secs(5)),
        ..settings
    })
    .await;
    let client = stack.client(&Key::EXAMPLE);
    let service = client.create_service(&provisioned_with(&json!({}))).await;
    let body = json!({ "environment": "dev" });
    let problem = client.act(&service, "provision", &body).await.problem(503, "provisioner-unavailable");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("Terraform is not installed") && detail.contains("https://"), "{detail}");
    assert_eq!(
        client.all(&format!("/services/{service}/operations"), "operations").await,
        Vec::<Value>::new()
    );
    stack.stop().await;
}
