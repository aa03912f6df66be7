//! What was applied is taken away and compared with the module and inputs that it was applied with.

use std::fs;

use serde_json::{Value, json};

use super::{attempt, counts, terraform};
use crate::support::{order, place::Place};

const MODULE: &str = r#"
    variable "size" {
      type = number
    }
    resource "terraform_data" "a" {
      input = "${path.module}/${filemd5("${path.module}/files/policy.json")}/${var.size}"
    }
    output "a" {
      value = terraform_data.a.output
    }
"#;

/// Something that becomes of a module.
type Change = dyn Fn(&Place);

/// An environment that was made with this module, and where that is kept.
async fn made(terraform: &std::path::Path) -> (Place, String) {
    let place = Place::with_modules(&[("example/main.tf", MODULE), ("example/files/policy.json", "{}")]);
    let inputs = json!({ "size": 3 });
    let (gatehouse, _) = attempt(&place, terraform, order("provision", "plan", &inputs)).await;
    let artifact = gatehouse.end()["artifact"].as_str().unwrap().to_owned();
    let applied = run(&place, terraform, "provision", "apply", &artifact).await;
    assert!(applied["outputs"]["a"]["value"].as_str().is_some(), "{applied}");
    (place, artifact)
}

/// An attempt whose order names what was kept, as it ended.
async fn run(place: &Place, terraform: &std::path::Path, kind: &str, phase: &str, artifact: &str) -> Value {
    let mut order = order(kind, phase, &json!({ "size": 3 }));
    order["artifact"] = json!(artifact);
    let (gatehouse, ended) = attempt(place, terraform, order).await;
    assert_eq!(ended.code(), 0, "{}", ended.log);
    gatehouse.end()
}

#[tokio::test]
async fn what_was_applied_is_taken_away_whatever_has_become_of_the_module() {
    let Some(terraform) = terraform() else { return };
    let changes: [(&str, &Change); 4] = [
        ("needs another variable", &|place| {
            fs::write(place.modules().join("example/new.tf"), "variable \"new\" {}\n").unwrap();
        }),
        ("has lost a variable", &|place| {
            let changed = MODULE.replace("variable \"size\"", "variable \"other\"");
            fs::write(place.modules().join("example/main.tf"), changed).unwrap();
        }),
        ("is no Terraform", &|place| {
            fs::write(place.modules().join("example/main.tf"), "variable {{{").unwrap();
        }),
        ("is gone", &|place| fs::remove_dir_all(place.modules()).unwrap()),
    ];
    for (what, change) in changes {
        let (place, artifact) = made(&terraform).await;
        change(&place);
        let drift = run(&place, &terraform, "drift", "plan", &artifact).await;
        assert_eq!(drift["message"], "nothing has drifted", "{what}");
        let plan = run(&place, &terraform, "deprovision", "plan", &artifact).await;
        assert_eq!(counts(&plan), [0, 0, 1], "{what}");
        run(&place, &terraform, "deprovision", "apply", &artifact).await;
        let state: Value = serde_json::from_slice(&fs::read(place.state_file()).unwrap()).unwrap();
        assert_eq!(state["resources"], json!([]), "{what}");
        assert_eq!(place.workspaces(), 0);
    }
}

#[tokio::test]
async fn what_was_planned_is_applied_with_the_module_that_was_planned_with() {
    let Some(terraform) = terraform() else { return };
    let (place, _) = made(&terraform).await;
    fs::write(place.modules().join("example/files/policy.json"), "{ }").unwrap();
    let (gatehouse, _) = attempt(&place, &terraform, order("provision", "plan", &json!({ "size": 3 }))).await;
    let end = gatehouse.end();
    assert_eq!(counts(&end), [0, 1, 0]);
    fs::write(place.modules().join("example/new.tf"), "variable \"new\" {}\n").unwrap();
    let applied = run(&place, &terraform, "provision", "apply", end["artifact"].as_str().unwrap()).await;
    assert!(applied["outputs"]["a"]["value"].as_str().is_some(), "{applied}");
}

#[tokio::test]
async fn a_module_that_is_not_kept_any_more_is_taken_as_it_stands() {
    let Some(terraform) = terraform() else { return };
    let (place, artifact) = made(&terraform).await;
    fs::remove_dir_all(place.path().join("artifacts/modules")).unwrap();
    let mut order = order("deprovision", "plan", &json!({ "size": 3 }));
    order["artifact"] = json!(artifact);
    let (gatehouse, ended) = attempt(&place, &terraform, order).await;
    assert_eq!(ended.code(), 0, "{}", ended.log);
    assert_eq!(counts(&gatehouse.end()), [0, 0, 1]);
    let said = "the module as it was applied is not kept any more; it is taken as it stands";
    assert!(gatehouse.log().contains(&said.to_owned()), "{:?}", gatehouse.log());
}
