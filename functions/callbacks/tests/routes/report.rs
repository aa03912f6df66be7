use std::time::Duration;

use gatehouse_domain::{
    operations::Operation,
    secret::{DeleteSecret, SecretName},
};
use gatehouse_testkit::app::catalog;
use insta::assert_snapshot;
use serde_json::json;

use crate::{DEPLOYMENTS, Deploy, with};

#[tokio::test]
async fn is_taken_and_signals_the_workflow() {
    let deploy = Deploy::start().await;
    let rollout = json!({ "step": "rollout", "percentage": 40, "log": ["two of five"] });
    let taken = deploy.report(&with(deploy.body(1, "progress"), &rollout)).await;
    assert_eq!((taken.status.as_u16(), taken.body), (200, json!({ "applied": true, "cancel": false })));
    assert_eq!(deploy.engine.calls(), ["heartbeat task"]);
    let success = deploy.body(2, "success");
    assert_eq!(deploy.report(&success).await.body["applied"], true);
    assert_eq!(deploy.engine.calls(), [r#"succeed task {"deployed":true}"#]);
    assert_eq!(deploy.report(&success).await.body["applied"], false);
    let shown = deploy.stands().await;
    assert_eq!((shown.steps[0].percentage, shown.log), (Some(40), vec!["two of five".to_owned()]));
}

#[tokio::test]
async fn counts_also_without_a_step() {
    let deploy = Deploy::start().await;
    let report = |sequence, more: serde_json::Value| with(deploy.body(sequence, "progress"), &more);
    assert_eq!(deploy.report(&report(1, json!({ "percentage": 10 }))).await.body["applied"], true);
    deploy.report(&report(2, json!({ "percentage": 60, "message": "three of five" }))).await;
    let steps = deploy.stands().await.steps;
    let shown: Vec<_> = steps.iter().map(|step| (step.name.as_str(), step.percentage)).collect();
    assert_eq!(shown, [("deploy", Some(60))]);
    assert_eq!(steps[0].message.as_deref(), Some("three of five"));
}

#[tokio::test]
async fn takes_outputs_that_measure_32_kib_as_they_were_sent() {
    let deploy = Deploy::start().await;
    // `{"a":{"value":"…"}}`
    let outputs = |letters: usize| json!({ "outputs": { "a": { "value": "x".repeat(letters) } } });
    let most = 32 * 1024 - r#"{"a":{"value":""}}"#.len();
    let refused = deploy.report(&with(deploy.body(1, "success"), &outputs(most + 1))).await;
    assert_eq!((refused.status.as_u16(), refused.problem()), (422, "validation-failed"));
    let taken = deploy.report(&with(deploy.body(1, "success"), &outputs(most))).await;
    assert_eq!(taken.status, 200);
}

#[tokio::test]
async fn changes_nothing_where_it_is_repeated_or_out_of_order() {
    let deploy = Deploy::start().await;
    let report = |sequence, log: &str| {
        with(deploy.body(sequence, "progress"), &json!({ "step": "rollout", "log": [log] }))
    };
    assert_eq!(deploy.report(&report(5, "five")).await.status, 200);
    let before = deploy.stands().await;
    for _ in 0..3 {
        assert_eq!(deploy.report(&report(5, "five")).await.body["applied"], false);
    }
    assert_snapshot!(deploy.report(&report(5, "another five")).await, @"
    409 Conflict
    callback-out-of-order: Refused: the report is out of order: its sequence number was used already.
    ");
    let overtaken = deploy.report(&deploy.body(4, "success")).await;
    assert_eq!((overtaken.status.as_u16(), overtaken.problem()), (409, "callback-out-of-order"));
    assert_eq!(deploy.stands().await, before);
}

#[tokio::test]
async fn is_for_what_its_token_is_for() {
    let deploy = Deploy::start().await;
    let before = deploy.stands().await;
    let early = with(deploy.body(6, "heartbeat"), &json!({ "attempt": 2 }));
    assert_snapshot!(deploy.report(&early).await, @"
    403 Forbidden
    callback-token-mismatch: The callback token is for another operation, attempt or address than this report.
    ");
    let elsewhere =
        deploy.call("/provisioning/callback", &deploy.token).json(&deploy.body(6, "heartbeat")).await;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.problem()), (403, "callback-token-mismatch"));
    let service = catalog::saved(&deploy.app.table, "acme", "other").await;
    let other = Operation {
        work: deploy.operation.work.clone(),
        ..catalog::operation(&deploy.app.table, &service, "dev")
    };
    catalog::begin(&deploy.app.table, &other, &service).await;
    let foreign = deploy.report(&with(deploy.body(1, "success"), &json!({ "operation_id": other.id }))).await;
    assert_eq!((foreign.status.as_u16(), foreign.problem()), (403, "callback-token-mismatch"));
    assert_eq!(deploy.stands().await, before);
}

#[tokio::test]
async fn needs_a_token_that_is_valid() {
    let deploy = Deploy::start().await;
    let heartbeat = deploy.body(1, "heartbeat");
    assert_snapshot!(deploy.app.anonymous().post(DEPLOYMENTS).json(&heartbeat).await, @"
    401 Unauthorized
    callback-token-invalid: Send the token of your attempt in X-Callback-Token.
    ");
    assert_snapshot!(deploy.call(DEPLOYMENTS, "cb1.x.y").json(&heartbeat).await, @"
    401 Unauthorized
    callback-token-invalid: The callback token is not valid.
    ");
    deploy.app.system.advance(Duration::from_hours(3));
    assert_snapshot!(deploy.report(&heartbeat).await, @"
    410 Gone
    callback-token-expired: The callback token has expired.
    ");
    deploy.app.secrets.delete(&SecretName::callback_key()).await.unwrap();
    assert_eq!(deploy.report(&heartbeat).await.status, 500);
}

#[tokio::test]
async fn a_report_of_the_old_portal_is_refused_with_todays_words() {
    let deploy = Deploy::start().await;
    let before = deploy.stands().await;
    let old = json!({
        "service_id": "svc-1", "environment": "dev", "status": "success", "image_tag": "1.0", "error": null,
    });
    assert_snapshot!(deploy.report(&old).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/environment`.
      "/environment": say `operation_id` instead: it is of one environment
    "#);
    for (member, today) in [
        ("status", "`command`"),
        ("deployment_id", "`operation_id`"),
        ("request_id", "`operation_id`"),
        ("environment", "`operation_id`"),
        ("error", "`reason`"),
        ("error_message", "`reason`"),
        ("progress", "`percentage`"),
        ("logs", "`log`"),
        ("image_tag", "`version`"),
    ] {
        let refused = deploy.report(&with(deploy.body(1, "success"), &json!({ member: "x" }))).await;
        let error = &refused.body["errors"][0];
        assert_eq!((refused.status.as_u16(), &error["pointer"]), (422, &json!(format!("/{member}"))));
        assert!(error["detail"].as_str().unwrap().contains(today), "{refused}");
    }
    assert_eq!(deploy.stands().await, before);
    // What a library sends that writes every member.
    let nulls = json!({ "links": null, "plan": null, "reason": null, "cancelled": null, "outputs": null });
    assert_eq!(deploy.report(&with(deploy.body(1, "success"), &nulls)).await.status, 200);
}
