//! An environment from its creation to its end.

use std::fs;

use serde_json::{Value, json};

use super::{attempt, counts, create, succeeds, terraform};
use crate::support::{gatehouse::Gatehouse, order, place::Place, worker::Worker};

#[tokio::test]
async fn an_environment_is_created_changed_and_destroyed() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    let inputs = json!({ "greeting": "hi", "replicas": 2, "password": "correct horse" });
    let plan = succeeds(&place, &terraform, "provision", "plan", inputs.clone()).await;
    assert_eq!(counts(&plan), [4, 0, 0]);
    let applied = succeeds(&place, &terraform, "provision", "apply", inputs.clone()).await;
    let outputs = &applied["outputs"];
    assert_eq!(outputs["name"], json!({ "value": "acme-shop-dev" }));
    assert_eq!(outputs["replicas"], json!({ "value": ["acme-shop-dev-0", "acme-shop-dev-1"] }));
    assert_eq!(outputs["connection"], json!({ "sensitive": true }));
    assert!(place.state_file().exists());

    let again = succeeds(&place, &terraform, "provision", "plan", inputs.clone()).await;
    assert_eq!(counts(&again), [0, 0, 0]);

    let fewer = json!({ "greeting": "bye", "replicas": 1, "password": "correct horse" });
    let plan = succeeds(&place, &terraform, "provision", "plan", fewer.clone()).await;
    assert_eq!(plan["plan"]["destroy"], 1, "{plan}");
    let applied = succeeds(&place, &terraform, "provision", "apply", fewer.clone()).await;
    assert_eq!(applied["outputs"]["greeting"], json!({ "value": "bye" }));

    let plan = succeeds(&place, &terraform, "deprovision", "plan", fewer.clone()).await;
    assert_eq!(counts(&plan), [0, 0, 3]);
    let applied = succeeds(&place, &terraform, "deprovision", "apply", fewer.clone()).await;
    assert_eq!(applied["outputs"], json!({}));
    let plan = succeeds(&place, &terraform, "deprovision", "plan", fewer).await;
    assert_eq!(counts(&plan), [0, 0, 0]);
}

#[tokio::test]
async fn an_output_that_changes_alone_is_applied() {
    let Some(terraform) = terraform() else { return };
    let module =
        |text: &str| format!("variable \"gatehouse\" {{}}\noutput \"text\" {{\n  value = \"{text}\"\n}}\n");
    let place = Place::with_modules(&[("example/main.tf", &module("first"))]);
    create(&place, &terraform, json!({})).await;
    fs::write(place.modules().join("example/main.tf"), module("second")).unwrap();
    let plan = succeeds(&place, &terraform, "provision", "plan", json!({})).await;
    assert_eq!(counts(&plan), [0, 1, 0]);
    let applied = succeeds(&place, &terraform, "provision", "apply", json!({})).await;
    assert_eq!(applied["outputs"], json!({ "text": { "value": "second" } }));
}

#[tokio::test]
async fn what_was_changed_outside_is_found_and_left_alone() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    create(&place, &terraform, json!({ "replicas": 1 })).await;
    let unchanged = succeeds(&place, &terraform, "drift", "plan", json!({ "replicas": 1 })).await;
    assert_eq!(unchanged["plan"], json!({ "add": 0, "change": 0, "destroy": 0 }));
    assert_eq!(unchanged["message"], "nothing has drifted");

    let mut state: Value = serde_json::from_slice(&fs::read(place.state_file()).unwrap()).unwrap();
    state["outputs"]["greeting"]["value"] = json!("from somebody else");
    fs::write(place.state_file(), state.to_string()).unwrap();
    let drifted = succeeds(&place, &terraform, "drift", "plan", json!({ "replicas": 1 })).await;
    assert_eq!(drifted["plan"], json!({ "add": 0, "change": 1, "destroy": 0 }));
    let still: Value = serde_json::from_slice(&fs::read(place.state_file()).unwrap()).unwrap();
    assert_eq!(still, state);
}

#[tokio::test]
async fn a_plan_that_is_stale_is_not_applied() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    succeeds(&place, &terraform, "provision", "plan", json!({})).await;
    let plan = fs::read(place.plan_file()).unwrap();
    succeeds(&place, &terraform, "provision", "apply", json!({})).await;
    fs::write(place.plan_file(), plan).unwrap();
    let (gatehouse, ended) = attempt(&place, &terraform, order("provision", "apply", &json!({}))).await;
    assert_eq!(ended.code(), 1, "{}", ended.log);
    let reason = gatehouse.reason();
    assert!(reason.starts_with("terraform apply failed: Saved plan is stale: "), "{reason}");
}

#[tokio::test]
async fn an_apply_that_fails_says_why_and_keeps_what_was_made() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    let inputs = json!({ "fail": true, "replicas": 2 });
    succeeds(&place, &terraform, "provision", "plan", inputs.clone()).await;
    let (gatehouse, ended) = attempt(&place, &terraform, order("provision", "apply", &inputs)).await;
    assert_eq!(ended.code(), 1, "{}", ended.log);
    let reason = gatehouse.reason();
    assert!(reason.starts_with("terraform apply failed: local-exec provisioner error: "), "{reason}");
    assert!(reason.contains("this environment was asked to fail"), "{reason}");
    let plan = succeeds(&place, &terraform, "provision", "plan", json!({ "replicas": 2 })).await;
    assert_eq!(counts(&plan), [0, 0, 1]);
}

#[tokio::test]
async fn inputs_that_terraform_refuses_are_explained() {
    let Some(terraform) = terraform() else { return };
    for (inputs, expected) in [
        (json!({ "replicas": 50 }), "There can be 0 to 20 replicas."),
        (json!({ "replicas": "many" }), "a number is required"),
    ] {
        let place = Place::new();
        let (gatehouse, ended) = attempt(&place, &terraform, order("provision", "plan", &inputs)).await;
        assert_eq!(ended.code(), 1, "{}", ended.log);
        assert!(gatehouse.reason().contains(expected), "{}", gatehouse.reason());
        assert!(!place.state_file().exists());
    }
}

#[tokio::test]
async fn no_secret_of_a_real_module_is_told() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    let secret = "correct-horse-battery";
    let inputs = json!({ "password": secret, "greeting": format!("my password is {secret}") });
    for phase in ["plan", "apply"] {
        let gatehouse = Gatehouse::start(order("provision", phase, &inputs)).await;
        let worker = Worker::new(&place, &gatehouse, phase, &terraform).with("GATEHOUSE_LOG", "trace");
        let ended = worker.run().await;
        assert_eq!(ended.code(), 0, "{}", ended.log);
        let told = Value::from(gatehouse.seen()).to_string();
        assert!(!told.contains(secret) && !ended.log.contains(secret), "{told}\n{}", ended.log);
        if phase == "apply" {
            let outputs = &gatehouse.end()["outputs"];
            assert_eq!(outputs["connection"], json!({ "sensitive": true }));
            assert_eq!(outputs["greeting"], json!({ "value": "my password is ***" }));
        }
    }
    assert_eq!(place.files_with(secret), Vec::<std::path::PathBuf>::new());
}
