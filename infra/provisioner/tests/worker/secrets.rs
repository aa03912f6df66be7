//! Nothing secret leaves the worker: not in a callback, not in its log.

use serde_json::json;

use crate::support::{
    CALLBACK_TOKEN, TASK_TOKEN,
    gatehouse::Gatehouse,
    order,
    place::Place,
    stand_in::StandIn,
    worker::{Ended, Worker},
};

const SECRETS: [&str; 5] =
    ["input-secret-77", "default-secret-88", "plan-secret-99", "output-secret-66", "pin-4"];

const MODULE: &str = r#"
variable "gatehouse" {}
variable "credentials" {
  sensitive = true
}
variable "spare" {
  sensitive = true
  default   = "default-secret-88"
}
"#;

fn assert_kept(gatehouse: &Gatehouse, ended: &Ended) {
    let mut bodies = gatehouse.seen();
    // The one place where the task's token belongs.
    bodies[0].as_object_mut().unwrap().remove("task_token");
    let bodies = serde_json::Value::from(bodies).to_string();
    for secret in SECRETS.into_iter().chain([CALLBACK_TOKEN, TASK_TOKEN]) {
        assert!(!bodies.contains(secret), "{secret} was told: {bodies}");
        assert!(!ended.log.contains(secret), "{secret} was logged: {}", ended.log);
    }
}

#[tokio::test]
async fn secrets_that_terraform_prints_are_not_passed_on() {
    let place = Place::with_modules(&[("example/main.tf", MODULE)]);
    place.keep_plan();
    let print = format!(
        "for secret in {} {CALLBACK_TOKEN} {TASK_TOKEN}; do say \"a $secret b\"; echo \"plain $secret\"; \
         echo \"complaint $secret\" >&2; done",
        SECRETS[..3].join(" ")
    );
    let shown = json!({ "output_changes": { "o": { "after": "plan-secret-99", "after_sensitive": true } } });
    let outputs = json!({
        "password": { "sensitive": true, "value": { "deep": ["output-secret-66"] } },
        "url": { "sensitive": false, "value": "db://input-secret-77@host and output-secret-66" },
    });
    let terraform = StandIn::new().show(&shown).apply(&print).output(&outputs).install(&place);
    let inputs = json!({ "credentials": { "password": "input-secret-77", "pin": ["pin-4"] } });
    let gatehouse = Gatehouse::start(order("provision", "apply", &inputs)).await;
    let worker = Worker::new(&place, &gatehouse, "apply", &terraform).with("GATEHOUSE_LOG", "trace");
    let ended = worker.run().await;
    assert_eq!(ended.code(), 0, "{}", ended.log);
    assert_kept(&gatehouse, &ended);
    assert!(gatehouse.log().contains(&"a *** b".to_owned()));
    let expected = json!({ "password": { "sensitive": true }, "url": { "value": "db://***@host and ***" } });
    assert_eq!(gatehouse.end()["outputs"], expected);
    assert_eq!(place.workspaces(), 0);
}

/// What Gatehouse keeps as a secret is one here too, whatever the module that was kept calls it.
#[tokio::test]
async fn what_the_work_order_calls_a_secret_is_hidden() {
    let module = "variable \"gatehouse\" {}\nvariable \"credentials\" {}\nvariable \"size\" {}\n";
    let place = Place::with_modules(&[("example/main.tf", module)]);
    let terraform = StandIn::new().plan("say 'input-secret-77 and large-88'").install(&place);
    let mut order =
        order("provision", "plan", &json!({ "credentials": "input-secret-77", "size": "large-88" }));
    order["secret_inputs"] = json!(["credentials", "forgotten"]);
    let gatehouse = Gatehouse::start(order).await;
    let ended = Worker::new(&place, &gatehouse, "plan", &terraform).run().await;
    assert_eq!(ended.code(), 0, "{}", ended.log);
    assert!(gatehouse.log().contains(&"*** and large-88".to_owned()), "{:?}", gatehouse.log());
    assert_kept(&gatehouse, &ended);
}

#[tokio::test]
async fn secrets_in_reasons_are_not_passed_on() {
    let place = Place::with_modules(&[("example/main.tf", MODULE)]);
    let error = json!({ "@message": "Error", "type": "diagnostic", "diagnostic": {
        "severity": "error", "summary": "Bad password input-secret-77", "detail": "pin-4 and default-secret-88",
    } });
    let terraform = StandIn::new().plan(&format!("echo '{error}'; exit 1")).install(&place);
    let inputs = json!({ "credentials": { "password": "input-secret-77", "pin": ["pin-4"] } });
    let gatehouse = Gatehouse::start(order("provision", "plan", &inputs)).await;
    let worker = Worker::new(&place, &gatehouse, "plan", &terraform).with("GATEHOUSE_LOG", "trace");
    let ended = worker.run().await;
    assert_eq!(ended.code(), 1);
    assert_kept(&gatehouse, &ended);
    assert_eq!(gatehouse.reason(), "terraform plan failed: Bad password ***: *** and ***");
}

#[tokio::test]
async fn terraform_does_not_get_the_tokens() {
    let place = Place::new();
    let terraform = StandIn::new().plan("env > \"$place/environment\"").install(&place);
    let gatehouse = Gatehouse::start(order("provision", "plan", &json!({}))).await;
    let worker = Worker::new(&place, &gatehouse, "plan", &terraform)
        .with("TF_VAR_greeting", "from outside")
        .with("TF_LOG", "trace")
        .with("AWS_REGION", "eu-west-1");
    assert_eq!(worker.run().await.code(), 0);
    let environment = std::fs::read_to_string(place.path().join("environment")).unwrap();
    assert!(!environment.contains("GATEHOUSE_") && !environment.contains(CALLBACK_TOKEN), "{environment}");
    assert!(!environment.contains("TF_VAR_") && !environment.contains("TF_LOG"), "{environment}");
    assert!(environment.contains("AWS_REGION=eu-west-1") && environment.contains("TF_IN_AUTOMATION=1"));
}
