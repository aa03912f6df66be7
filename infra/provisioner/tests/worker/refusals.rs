//! What cannot be done is told with a precise reason, and nothing is run.

use serde_json::{Value, json};

use crate::support::{
    gatehouse::Gatehouse,
    order,
    place::Place,
    stand_in::{StandIn, calls},
    worker::Worker,
};

/// Why an attempt fails whose order is changed so. Terraform is never called.
async fn reason(phase: &str, change: impl FnOnce(&mut Value)) -> String {
    let place = Place::new();
    let terraform = StandIn::new().install(&place);
    let mut order = order("provision", phase, &json!({}));
    change(&mut order);
    let gatehouse = Gatehouse::start(order).await;
    let ended = Worker::new(&place, &gatehouse, phase, &terraform).run().await;
    assert_eq!(ended.code(), 1, "{}", ended.log);
    assert_eq!(calls(&place), Vec::<String>::new());
    assert_eq!(gatehouse.end().get("cancelled"), None);
    gatehouse.reason()
}

#[tokio::test]
async fn inputs_that_the_module_does_not_have_are_refused() {
    let unknown =
        reason("plan", |order| order["inputs"] = json!({ "greting": "s3cret", "replicas": 1 })).await;
    assert_eq!(
        unknown,
        "the module `example` has no input `greting`; it has: `duration_seconds`, `fail`, `greeting`, `password`, \
         `replicas`"
    );
    let reserved = reason("plan", |order| order["inputs"] = json!({ "gatehouse": {} })).await;
    assert_eq!(reserved, "the input `gatehouse` is Gatehouse's own");
}

#[tokio::test]
async fn modules_that_are_not_there_are_refused() {
    let unknown = reason("plan", |order| order["module"] = json!("exmaple")).await;
    assert!(unknown.starts_with("there is no module `exmaple`; there are: "), "{unknown}");
    assert!(unknown.contains("example"), "{unknown}");
    let elsewhere = reason("plan", |order| order["module"] = json!("../../src")).await;
    assert_eq!(elsewhere, "the module `../../src` of the work order is no plain name");
}

#[tokio::test]
async fn orders_for_somebody_else_are_refused() {
    let other = reason("plan", |order| order["operation_id"] = json!("op_other")).await;
    assert_eq!(
        other,
        "the work order is for plan of op_other, but this worker was started for plan of op_test"
    );
    assert!(reason("plan", |order| order["phase"] = json!("apply")).await.contains("apply of op_test"));
    let drift = reason("apply", |order| order["kind"] = json!("drift")).await;
    assert_eq!(drift, "a drift check has nothing to apply");
    let strange = reason("plan", |order| order["kind"] = json!("explode")).await;
    assert_eq!(strange, "the work order cannot be understood");
}

#[tokio::test]
async fn a_plan_that_is_not_there_cannot_be_applied() {
    let reason = reason("apply", |_| {}).await;
    assert_eq!(
        reason,
        "the plan of op_test is not there: it was never made, was applied already, or has expired"
    );
}

#[tokio::test]
async fn a_worker_without_terraform_says_so() {
    let place = Place::new();
    let gatehouse = Gatehouse::start(order("provision", "plan", &json!({}))).await;
    let ended = Worker::new(&place, &gatehouse, "plan", "/nonexistent/terraform".as_ref()).run().await;
    assert_eq!(ended.code(), 1);
    assert_eq!(
        gatehouse.reason(),
        "there is no program `/nonexistent/terraform`: Terraform is not installed here, or GATEHOUSE_TERRAFORM is \
         wrong"
    );
}

#[tokio::test]
async fn a_worker_that_is_not_set_up_says_what_is_missing() {
    let place = Place::new();
    let terraform = StandIn::new().install(&place);
    for (name, value, expected) in [
        ("GATEHOUSE_STATE", None, "environment variable GATEHOUSE_STATE is not set"),
        (
            "GATEHOUSE_ARTIFACTS",
            Some("/artifacts"),
            "environment variable GATEHOUSE_ARTIFACTS cannot be used: must be s3://bucket, s3://bucket/prefix or \
             file:///directory",
        ),
    ] {
        let gatehouse = Gatehouse::start(order("provision", "plan", &json!({}))).await;
        let worker = Worker::new(&place, &gatehouse, "plan", &terraform);
        let worker = match value {
            Some(value) => worker.with(name, value),
            None => worker.without(name),
        };
        assert_eq!(worker.run().await.code(), 1);
        assert_eq!(gatehouse.reason(), format!("the worker is not set up: {expected}"));
    }
}

#[tokio::test]
async fn a_worker_that_cannot_report_does_nothing() {
    let place = Place::new();
    let terraform = StandIn::new().install(&place);
    let gatehouse = Gatehouse::start(order("provision", "plan", &json!({}))).await;
    let ended =
        Worker::new(&place, &gatehouse, "plan", &terraform).without("GATEHOUSE_CALLBACK_TOKEN").run().await;
    assert_eq!(ended.code(), 1);
    assert!(ended.log.contains("GATEHOUSE_CALLBACK_TOKEN is not set"), "{}", ended.log);
    assert_eq!(gatehouse.seen(), Vec::<Value>::new());
}

#[tokio::test]
async fn what_terraform_says_is_the_reason() {
    let diagnostic = |summary: &str| {
        let diagnostic = json!({ "severity": "error", "summary": summary, "detail": "Because of it." });
        json!({ "@message": format!("Error: {summary}"), "type": "diagnostic", "diagnostic": diagnostic })
    };
    let told = format!("echo '{}'; echo '{}'; exit 1", diagnostic("Bad thing"), diagnostic("Worse thing"));
    for (script, expected) in [
        (told.as_str(), "terraform plan failed: Bad thing: Because of it.; Worse thing: Because of it."),
        ("echo 'in plain words' >&2; exit 1", "terraform plan failed: in plain words"),
        ("exit 9", "terraform plan failed: it ended with exit status: 9 and said nothing"),
    ] {
        let place = Place::new();
        let terraform = StandIn::new().plan(script).install(&place);
        let gatehouse = Gatehouse::start(order("provision", "plan", &json!({}))).await;
        let ended = Worker::new(&place, &gatehouse, "plan", &terraform).run().await;
        assert_eq!(ended.code(), 1);
        assert_eq!(gatehouse.reason(), expected);
        assert!(gatehouse.steps().contains(&"plan failed".to_owned()));
    }
}

#[tokio::test]
async fn a_plan_that_contradicts_itself_is_none() {
    for (exit, shown, expected) in [
        (2, json!({}), "were something to do, but its plan shows no plan"),
        (0, json!({}), "were nothing to do, but its plan shows no plan"),
        (2, json!({ "applyable": false }), "were something to do, but its plan shows nothing"),
        (0, json!({ "applyable": true }), "were nothing to do, but its plan shows something"),
    ] {
        for kind in ["provision", "deprovision", "drift"] {
            let place = Place::new();
            let terraform =
                StandIn::new().plan(&format!("exit {exit}")).show_whatever(&shown).install(&place);
            let gatehouse = Gatehouse::start(order(kind, "plan", &json!({}))).await;
            let ended = Worker::new(&place, &gatehouse, "plan", &terraform).run().await;
            assert_eq!(ended.code(), 1, "{}", ended.log);
            assert_eq!(gatehouse.reason(), format!("terraform plan ended as if there {expected}"));
            assert!(!place.plan_file().exists());
        }
    }
}

#[tokio::test]
async fn a_backend_that_is_not_ours_is_noticed_before_anything_is_done() {
    let other = r#"echo '{"backend":{"type":"local","config":{"path":"/tmp/other"}}}' > .terraform/terraform.tfstate"#;
    for (init, expected) in [
        (
            other,
            "Terraform would keep its state elsewhere than Gatehouse told it to, with the backend `local`",
        ),
        (
            "echo '{}' > .terraform/terraform.tfstate",
            "Terraform would keep its state elsewhere than Gatehouse told it to, with the backend `none`",
        ),
        ("rm .terraform/terraform.tfstate", "terraform init did not say where it keeps the state: "),
    ] {
        for phase in ["plan", "apply"] {
            let place = Place::new();
            place.keep_plan();
            let terraform = StandIn::new().init(init).install(&place);
            let gatehouse = Gatehouse::start(order("provision", phase, &json!({}))).await;
            let ended = Worker::new(&place, &gatehouse, phase, &terraform).run().await;
            assert_eq!(ended.code(), 1, "{}", ended.log);
            assert!(gatehouse.reason().starts_with(expected), "{}", gatehouse.reason());
            assert_eq!(calls(&place).len(), 1, "{:?}", calls(&place));
        }
    }
}
