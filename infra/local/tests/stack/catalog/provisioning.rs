//! Provisioning with the real Terraform, where there is one. `GATEHOUSE_TEST_TERRAFORM=required` makes that
//! it is missing a failure, as CI does.

use std::{fs, path::PathBuf, time::Duration};

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
    assert_eq!(made["plan"], json!({ "add": 3, "change": 0, "destroy": 0, "applyable": true }));
    let steps = made["steps"].as_array().expect("steps");
    let apply = steps.iter().find(|step| step["name"] == "apply").expect("a step");
    assert_eq!((&apply["state"], &apply["percentage"]), (&json!("succeeded"), &json!(100)));
    assert_eq!(made["outputs"]["greeting"], json!({ "value": "hello" }));
    assert_eq!(made["outputs"]["connection"], json!({ "sensitive": true }));
    let environment = client.environment(&service).await;
    assert_eq!(environment["infrastructure"]["state"], "present");
    assert_eq!(environment["infrastructure"]["outputs"], made["outputs"]);

    // The same again changes nothing, and needs no apply.
    let same = provision(&client, &service, json!({})).await;
    let same = client.operation_is(&service, &same, "succeeded").await;
    assert_eq!(same["plan"], json!({ "add": 0, "change": 0, "destroy": 0, "applyable": false }));
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
    let operation = provision(&client, &service, json!({ "replicas": 99 })).await;
    let ended = client.operation_is(&service, &operation, "failed").await;
    assert!(ended["reason"].as_str().is_some_and(|reason| reason.contains("replicas")), "{ended:#}");
    assert_eq!(client.environment(&service).await["infrastructure"], json!({ "state": "absent" }));
    // What the module says by itself is known before.
    let body = json!({ "environment": "dev", "inputs": { "unknown": 1 } });
    client.act(&service, "provision", &body).await.problem(422, "validation-failed");
    stack.stop().await;
}

/// A secret reaches Terraform, and nobody else; what was made with it is compared and taken away with it, after the service
/// has another one.
#[tokio::test]
async fn secret_inputs_reach_terraform_and_nobody_else() {
    if !has_terraform() {
        return;
    }
    let module = r#"
        variable "password" {
          sensitive = true
        }
        resource "terraform_data" "of_the_password" {
          input = var.password
        }
        output "encoded" {
          value = nonsensitive(base64encode("user:${var.password}"))
        }
    "#;
    let (stack, _, _directory) = with_module(module).await;
    let client = stack.client(&Key::EXAMPLE);
    let service =
        client.create_service(&provisioned_with(&json!({ "password": "canary-of-a-module" }))).await;
    let made = provision(&client, &service, json!({})).await;
    let made = client.operation_is(&service, &made, "succeeded").await;
    assert_eq!((&made["inputs"], &made["secret_inputs"]), (&json!({}), &json!(["password"])));
    let state =
        fs::read_to_string(stack.data().join("provisioner/state/tenants/example/shop/dev/terraform.tfstate"));
    assert!(state.expect("a state").contains("canary-of-a-module"), "it was not applied with the secret");

    let shown = client.get(format!("/services/{service}")).await;
    let etag = shown.header("etag").expect("an ETag").to_owned();
    let other = Call::put(format!("/services/{service}")).header("if-match", &etag);
    let other = other.json(&provisioned_with(&json!({ "password": "canary-of-another" })));
    client.send(other).await.expect(200);
    // With the other one, the output would read otherwise.
    let looked = ask(&client, &service, "drift").await;
    client.operation_is(&service, &looked, "succeeded").await;
    assert_eq!(client.environment(&service).await["drift"]["state"], "none");
    let gone = ask(&client, &service, "deprovision").await;
    let gone = client.operation_is(&service, &gone, "succeeded").await;

    let answers = [
        shown.text(),
        client.get(format!("/services/{service}/operations")).await.text(),
        client.get(format!("/services/{service}/actions/status")).await.text(),
        made.to_string(),
        gone.to_string(),
        client.get("/v1/audit").await.text(),
    ];
    // Of its base 64 also the part that no other text begins with.
    for secret in ["canary-of-a", "Y2FuYXJ5", "NhbmFyeS1vZi1h", "jYW5hcnktb2Yt"] {
        assert!(answers.iter().all(|answer| !answer.contains(secret)), "{secret}: {answers:?}");
    }
    stack.stop().await;
}

/// A stack whose module `example` is this text, which a test may change.
async fn with_module(text: &str) -> (TestStack, PathBuf, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let module = directory.path().join("example/main.tf");
    fs::create_dir_all(module.parent().expect("a directory")).expect("a directory");
    fs::write(&module, text).expect("a module");
    let modules = Some(directory.path().to_owned());
    let stack = TestStack::start_with(|settings| StackSettings { modules, ..settings }).await;
    (stack, module, directory)
}

/// What is asked for and shown, with every digit that was written.
#[tokio::test]
async fn numbers_come_and_go_as_they_were_written() {
    if !has_terraform() {
        return;
    }
    let module = r#"
        variable "own" {}
        variable "given" {}
        output "both" {
          value = [var.own, var.given]
        }
    "#;
    let (stack, _, _directory) = with_module(module).await;
    let client = stack.client(&Key::EXAMPLE);
    let (own, given) = ("123456789012345678901234567890", "18446744073709551616");
    let service = provisioned_with(&json!({ "own": "NUMBER" })).to_string().replace(r#""NUMBER""#, own);
    let created = client.send(Call::post("/services").body("application/json", service)).await.expect(201);
    assert!(created.text().contains(&format!(r#""inputs":{{"own":{own}}}"#)), "{}", created.text());
    let service = created.json()["service"]["id"].as_str().expect("an id").to_owned();
    let body = format!(r#"{{"environment":"dev","inputs":{{"given":{given}}}}}"#);
    let asked = Call::post(format!("/services/{service}/actions/provision")).body("application/json", body);
    let operation = operation_id(&client.send(asked).await.expect(202));
    client.operation_is(&service, &operation, "succeeded").await;
    let shown = client.get(format!("/services/{service}/operations/{operation}")).await.text();
    assert!(shown.contains(&format!(r#""inputs":{{"given":{given},"own":{own}}}"#)), "{shown}");
    let outputs = format!(r#""outputs":{{"both":{{"value":[{own},{given}]}}}}"#);
    assert!(shown.contains(&outputs), "{shown}");
    let status = client.get(format!("/services/{service}/actions/status")).await.text();
    assert!(status.contains(&outputs), "{status}");
    stack.stop().await;
}

#[tokio::test]
async fn a_rename_keeps_the_resource_and_a_forgotten_service_finds_its_outputs_again() {
    if !has_terraform() {
        return;
    }
    let module = |name: &str, moved: &str| {
        format!(
            "resource \"terraform_data\" \"{name}\" {{\n  input = \"keep\"\n}}\n\
             output \"id\" {{\n  value = terraform_data.{name}.id\n}}\n{moved}"
        )
    };
    let (stack, file, _directory) = with_module(&module("a", "")).await;
    let client = stack.client(&Key::EXAMPLE);
    let service = client.create_service(&provisioned_with(&json!({}))).await;
    let outputs = async |service: &str| {
        let operation = provision(&client, service, json!({})).await;
        let ended = client.operation_is(service, &operation, "succeeded").await;
        (ended["plan"].clone(), ended["outputs"].clone())
    };
    let (_, first) = outputs(&service).await;
    let moved = "moved {\n  from = terraform_data.a\n  to   = terraform_data.b\n}\n";
    fs::write(&file, module("b", moved)).expect("a module");
    let (plan, second) = outputs(&service).await;
    let expected = json!({ "add": 0, "change": 0, "destroy": 0, "moved": 1, "applyable": true });
    assert_eq!((plan, &second), (expected, &first));
    fs::write(&file, module("b", "")).expect("a module");
    let (plan, third) = outputs(&service).await;
    assert_eq!((&plan["applyable"], &third), (&json!(false), &first));
    stack.stop().await;
}

#[tokio::test]
async fn a_service_that_comes_again_by_its_name_has_the_outputs_of_its_state() {
    if !has_terraform() {
        return;
    }
    let stack = TestStack::start_with_people().await;
    let client = stack.log_in(Person::ADMIN).await;
    let wanted = provisioned_with(&json!({ "greeting": "hello" }));
    let service = client.create_service(&wanted).await;
    let made = provision(&client, &service, json!({})).await;
    let made = client.operation_is(&service, &made, "succeeded").await;
    let etag = client.get(format!("/services/{service}")).await.header("etag").expect("an ETag").to_owned();
    let call = Call::delete(format!("/services/{service}?force=true")).header("if-match", &etag);
    client.send(call).await.expect(200);

    let again = client.create_service(&wanted).await;
    let found = provision(&client, &again, json!({})).await;
    let found = client.operation_is(&again, &found, "succeeded").await;
    assert_eq!((&found["plan"]["applyable"], &found["outputs"]), (&json!(false), &made["outputs"]));
    assert_eq!(client.environment(&again).await["infrastructure"]["outputs"], made["outputs"]);
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
