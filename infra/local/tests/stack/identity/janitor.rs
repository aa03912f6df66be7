//! What the janitor announces of a stack that runs.

use serde_json::json;

use crate::support::{Anonymous, Call, Key, TestStack, in_time};

const SWEEP: &str = "/2015-03-31/functions/janitor/invocations";

#[tokio::test]
async fn a_sweep_on_demand_announces_a_token_that_ends_once() {
    let stack = TestStack::start().await;
    let mut announcements = stack.stack().announcements();
    let body = json!({ "project": "example", "service": "worker", "expiresInDays": 10 });
    let minted =
        stack.client(&Key::PLATFORM).send(Call::post("/v1/tokens").json(&body)).await.expect(201).json();

    let report = stack.client(&Anonymous).send(Call::post(SWEEP).json(&json!({}))).await.expect(200).json();
    assert_eq!((&report["finished"], &report["tokens"]), (&json!(true), &json!(1)), "{report}");
    let announced = in_time("the announcement", announcements.recv()).await.unwrap();
    assert_eq!(announced.subject, minted["jti"]);
    assert_eq!(announced.news.title(), "Service Token Ending");
    assert_eq!(announced.days, Some(14));

    let again = stack.client(&Anonymous).send(Call::post(SWEEP)).await.expect(200).json();
    assert_eq!((&again["announced"], &again["published"]), (&json!(0), &json!(0)), "{again}");
    assert!(announcements.try_recv().is_err(), "it was announced twice");
    stack.stop().await;
}
