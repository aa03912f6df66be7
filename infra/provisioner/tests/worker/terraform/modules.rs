//! Modules as they come: what they say of values, state and variables, and what Gatehouse makes of it.

use std::fs;

use serde_json::{Value, json};

use super::{attempt, create, succeeds, terraform};
use crate::support::{order, place::Place};

fn state(place: &Place) -> Value {
    serde_json::from_slice(&fs::read(place.state_file()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_module_that_keeps_its_state_elsewhere_is_refused() {
    let Some(terraform) = terraform() else { return };
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("shared.tfstate");
    let hcl = format!("terraform {{\n  backend \"local\" {{\n    path = {path:?}\n  }}\n}}\n");
    let json = json!({ "terraform": { "backend": { "local": { "path": path } } } }).to_string();
    for (file, text) in [("z_override.tf", &hcl), ("zz_override.tf.json", &json), ("main.tf", &hcl)] {
        let resource = "resource \"terraform_data\" \"a\" {}\n";
        let place = Place::with_modules(&[("example/a.tf", resource), (&format!("example/{file}"), text)]);
        let (gatehouse, ended) = attempt(&place, &terraform, order("provision", "plan", &json!({}))).await;
        assert_eq!(ended.code(), 1, "{}", ended.log);
        let expected = format!(
            "`{file}` of the module has a `backend` block: Gatehouse keeps the state of its environments itself, so \
             take the block out"
        );
        assert_eq!(gatehouse.reason(), expected);
        assert!(!path.exists() && !place.state_file().exists());
    }
}

#[tokio::test]
async fn what_a_caller_asked_for_beats_what_a_module_brings_along() {
    let Some(terraform) = terraform() else { return };
    let module = r#"
        variable "gatehouse" {}
        variable "size" {
          default = "of the declaration"
        }
        variable "colour" {
          default = "of the declaration"
        }
        output "all" {
          value = "${var.size}, ${var.colour}, ${var.gatehouse.environment}"
        }
    "#;
    let own =
        r#"{ "size": "of the module", "colour": "of the module", "gatehouse": { "environment": "prod" } }"#;
    let hcl =
        "size = \"of the module\"\ncolour = \"of the module\"\ngatehouse = { environment = \"prod\" }\n";
    let place = Place::with_modules(&[
        ("example/main.tf", module),
        ("example/terraform.tfvars", hcl),
        ("example/terraform.tfvars.json", own),
        ("example/zzz.auto.tfvars", hcl),
        ("example/zzz.auto.tfvars.json", own),
    ]);
    create(&place, &terraform, json!({ "size": "of the caller" })).await;
    assert_eq!(state(&place)["outputs"]["all"]["value"], "of the caller, of the declaration, dev");
    let (gatehouse, _) = attempt(&place, &terraform, order("drift", "plan", &json!({}))).await;
    let left_out = "`zzz.auto.tfvars.json` of the module is left out: its values come from Gatehouse";
    assert!(gatehouse.log().contains(&left_out.to_owned()), "{:?}", gatehouse.log());
}

#[tokio::test]
async fn numbers_come_and_go_as_they_were_written() {
    let Some(terraform) = terraform() else { return };
    let module = r#"
        variable "number" {
          type = number
        }
        variable "any" {
          type = any
        }
        output "number" {
          value = var.number
        }
        output "text" {
          value = "n ${var.number}"
        }
        output "any" {
          value = var.any
        }
    "#;
    let place = Place::with_modules(&[("example/main.tf", module)]);
    for number in ["123456789012345678901234567890", "18446744073709551616", "-1", "0.1"] {
        let inputs = format!(r#"{{"number":{number},"any":{{"deep":[{number}]}}}}"#);
        for phase in ["plan", "apply"] {
            let order = order("provision", phase, &json!({})).to_string();
            let order = order.replace(r#""inputs":{}"#, &format!(r#""inputs":{inputs}"#));
            let end = succeeds_as_written(&place, &terraform, phase, &order).await;
            if phase == "apply" {
                assert!(end.contains(&format!(r#""number":{{"value":{number}}}"#)), "{end}");
                assert!(end.contains(&format!(r#""text":{{"value":"n {number}"}}"#)), "{end}");
                assert!(end.contains(&format!(r#""any":{{"value":{{"deep":[{number}]}}}}"#)), "{end}");
            }
        }
    }
}

/// Runs an attempt whose order and last message are texts, so that no number is touched on its way.
async fn succeeds_as_written(place: &Place, terraform: &std::path::Path, phase: &str, order: &str) -> String {
    use crate::support::{gatehouse::Gatehouse, worker::Worker};
    let gatehouse = Gatehouse::giving(order).await;
    let ended = Worker::new(place, &gatehouse, phase, terraform).run().await;
    assert_eq!(ended.code(), 0, "{}", ended.log);
    gatehouse.texts().pop().unwrap()
}

#[tokio::test]
async fn a_module_that_knows_nothing_of_gatehouse_works() {
    let Some(terraform) = terraform() else { return };
    let module = r#"
        variable "size" {
          type = number
        }
        variable "environment" {
          type = string
        }
        variable "tags" {
          type = map(string)
        }
        resource "terraform_data" "a" {
          input = merge(var.tags, { size = var.size, environment = var.environment })
        }
        output "all" {
          value = terraform_data.a.output
        }
    "#;
    let place = Place::with_modules(&[("example/main.tf", module)]);
    create(&place, &terraform, json!({ "size": 3 })).await;
    let expected = json!({
        "tenant": "acme", "service": "shop", "environment": "dev", "managed-by": "gatehouse", "size": 3,
    });
    assert_eq!(state(&place)["outputs"]["all"]["value"], expected);
    let end = succeeds(&place, &terraform, "deprovision", "plan", json!({ "size": 3 })).await;
    assert_eq!(end["plan"]["destroy"], 1);

    let bare = Place::with_modules(&[("example/main.tf", "resource \"terraform_data\" \"a\" {}\n")]);
    create(&bare, &terraform, json!({})).await;
}

#[tokio::test]
async fn a_sensitive_value_is_hidden_in_what_a_module_makes_of_it() {
    let Some(terraform) = terraform() else { return };
    let module = r#"
        variable "password" {
          sensitive = true
        }
        variable "stage" {
          sensitive = true
          default   = "dev"
        }
        locals {
          password = nonsensitive(var.password)
        }
        resource "terraform_data" "a" {
          provisioner "local-exec" {
            command = "echo 'log: ${base64encode("u:${local.password}")} ${urlencode(local.password)}'"
          }
        }
        output "basic" {
          value = base64encode("u:${local.password}")
        }
        output "url" {
          value = "db://u:${urlencode(local.password)}@host"
        }
        output "json" {
          value = jsonencode({ password = local.password })
        }
        output "stage" {
          value = nonsensitive(var.stage)
        }
    "#;
    let place = Place::with_modules(&[("example/main.tf", module)]);
    let inputs = json!({ "password": "p@ss \"word\" <1>" });
    succeeds(&place, &terraform, "provision", "plan", inputs.clone()).await;
    let (gatehouse, _) = attempt(&place, &terraform, order("provision", "apply", &inputs)).await;
    let outputs = &gatehouse.end()["outputs"];
    let basic = outputs["basic"]["value"].as_str().unwrap();
    assert!(basic.starts_with("dT***"), "{basic}");
    assert_eq!(outputs["url"], json!({ "value": "db://u:***@host" }));
    assert_eq!(outputs["json"], json!({ "value": "{\"password\":\"***\"}" }));
    assert_eq!(outputs["stage"], json!({ "value": "dev" }));
    let log = gatehouse.log().join("\n");
    assert!(log.contains("log: dT***") && !log.contains("word") && !log.contains("p%40"), "{log}");
}
