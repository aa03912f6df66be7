//! What is told of how it came out, where that is not what one would think.

use std::fs;

use serde_json::{Value, json};

use super::{attempt, counts, create, succeeds, terraform};
use crate::support::{order, place::Place};

/// The addresses of the resources in the state, with their ids.
fn resources(place: &Place) -> Vec<(String, String)> {
    let state: Value = serde_json::from_slice(&fs::read(place.state_file()).unwrap()).unwrap();
    let resources = state["resources"].as_array().unwrap().iter().map(|resource| {
        let id = &resource["instances"][0]["attributes"]["id"];
        (resource["name"].as_str().unwrap().to_owned(), id.as_str().unwrap().to_owned())
    });
    resources.collect()
}

#[tokio::test]
async fn a_plan_that_only_moves_is_applied() {
    let Some(terraform) = terraform() else { return };
    let resource =
        |name: &str| format!("resource \"terraform_data\" \"{name}\" {{\n  input = \"keep\"\n}}\n");
    let moved = "moved {\n  from = terraform_data.a\n  to   = terraform_data.b\n}\n";
    let place = Place::with_modules(&[("example/main.tf", &resource("a"))]);
    create(&place, &terraform, json!({})).await;
    let before = resources(&place);

    let module = place.modules().join("example/main.tf");
    fs::write(&module, resource("b") + moved).unwrap();
    let plan = succeeds(&place, &terraform, "provision", "plan", json!({})).await;
    let expected = json!({ "add": 0, "change": 0, "destroy": 0, "moved": 1, "applyable": true });
    assert_eq!(plan["plan"], expected);
    assert_eq!(plan["message"], "0 to add, 0 to change, 0 to destroy, 1 to move");
    succeeds(&place, &terraform, "provision", "apply", json!({})).await;
    let after = resources(&place);
    assert_eq!((after[0].0.as_str(), &after[0].1), ("b", &before[0].1));

    // What was moved stays when the module has forgotten that it was.
    fs::write(&module, resource("b")).unwrap();
    let plan = succeeds(&place, &terraform, "provision", "plan", json!({})).await;
    assert_eq!(counts(&plan), [0, 0, 0]);
}

#[tokio::test]
async fn outputs_are_told_of_a_plan_that_changes_nothing() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    create(&place, &terraform, json!({ "greeting": "hi" })).await;
    // Whoever applied may not have told what came out, or Gatehouse may have forgotten it.
    let plan = succeeds(&place, &terraform, "provision", "plan", json!({ "greeting": "hi" })).await;
    assert_eq!(counts(&plan), [0, 0, 0]);
    assert_eq!(plan["outputs"]["greeting"], json!({ "value": "hi" }));
    assert_eq!(plan["outputs"]["connection"], json!({ "sensitive": true }));
    // A plan that changes something is applied, and its outputs are those of the apply.
    let plan = succeeds(&place, &terraform, "provision", "plan", json!({ "greeting": "bye" })).await;
    assert_eq!(plan.get("outputs"), None);
}

#[tokio::test]
async fn outputs_that_are_too_large_say_so() {
    let Some(terraform) = terraform() else { return };
    let module = "output \"small\" {\n  value = \"here\"\n}\noutput \"large\" {\n  value = join(\"\", [for i in range(1000) : \"0123456789012345678901234567890123456789\"])\n}\n";
    let place = Place::with_modules(&[("example/main.tf", module)]);
    succeeds(&place, &terraform, "provision", "plan", json!({})).await;
    let expected = json!({ "small": { "value": "here" }, "large": { "too_large": true } });
    let (gatehouse, _) = attempt(&place, &terraform, order("provision", "apply", &json!({}))).await;
    assert_eq!(gatehouse.end()["outputs"], expected);
    let said = "the output `large` is too large for Gatehouse; it is in the state";
    assert!(gatehouse.log().contains(&said.to_owned()), "{:?}", gatehouse.log());
    let plan = succeeds(&place, &terraform, "provision", "plan", json!({})).await;
    assert_eq!(plan["outputs"], expected);
}

#[tokio::test]
async fn a_failure_that_changed_nothing_says_so() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    succeeds(&place, &terraform, "provision", "plan", json!({})).await;
    let plan = fs::read(place.plan_file()).unwrap();
    succeeds(&place, &terraform, "provision", "apply", json!({})).await;
    // A stale plan.
    fs::write(place.plan_file(), plan).unwrap();
    let (gatehouse, _) = attempt(&place, &terraform, order("provision", "apply", &json!({}))).await;
    assert!(gatehouse.reason().starts_with("terraform apply failed: Saved plan is stale: "));
    assert_eq!(gatehouse.end()["unchanged"], true);

    // An apply that fails in the middle.
    let broken = json!({ "fail": true });
    succeeds(&place, &terraform, "provision", "plan", broken.clone()).await;
    let (gatehouse, _) = attempt(&place, &terraform, order("provision", "apply", &broken)).await;
    assert!(gatehouse.reason().contains("this environment was asked to fail"), "{}", gatehouse.reason());
    assert_eq!(gatehouse.end().get("unchanged"), None);
}

#[tokio::test]
async fn a_module_that_needs_another_variable_by_now_changes_nothing() {
    let Some(terraform) = terraform() else { return };
    let module = "resource \"terraform_data\" \"a\" {}\n";
    let place = Place::with_modules(&[("example/main.tf", module)]);
    succeeds(&place, &terraform, "provision", "plan", json!({})).await;
    fs::write(place.modules().join("example/new.tf"), "variable \"new\" {}\n").unwrap();
    let (gatehouse, _) = attempt(&place, &terraform, order("provision", "apply", &json!({}))).await;
    assert_eq!(gatehouse.reason(), "the module `example` needs the input `new`");
    assert_eq!(gatehouse.end()["unchanged"], true);
    assert!(!place.state_file().exists());
}
