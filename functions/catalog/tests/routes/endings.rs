//! Streams end with the credential of their reader.

use std::time::Duration;

use gatehouse_domain::{
    catalog::DeployTarget,
    clock::Clock,
    operations::{Operation, Work},
};
use gatehouse_http::stream::ENDS_WITHIN;
use gatehouse_testkit::app::{Call, Ending, TestApp, catalog};
use serde_json::json;

use crate::start;

/// Where a service is watched that is provisioned in one environment and deployed to another.
async fn watched(app: &TestApp) -> [String; 2] {
    let table = &app.table;
    let service = catalog::saved(table, "acme", "shop").await;
    catalog::begun(table, &service, "dev").await;
    let target = DeployTarget::Job("deploy".parse().expect("a job id"));
    let work = Work::Deploy { version: "1".into(), target };
    let deploy = Operation { work, ..catalog::operation(table, &service, "prod") };
    catalog::begin(table, &deploy, &service).await;
    let actions = format!("/services/{}/actions", service.id);
    [format!("{actions}/status"), format!("{actions}/deploy/status")]
}

fn as_stream(call: Call<'_>) -> Call<'_> {
    call.header("accept", "text/event-stream")
}

#[tokio::test]
async fn every_way_to_lose_admission_ends_every_stream_in_time() {
    for (ending, stream) in Ending::ALL.into_iter().flat_map(|ending| [(ending, 0), (ending, 1)]) {
        let (app, _) = start().await;
        let path = watched(&app).await[stream].clone();
        let begun = app.system.now();
        let caller = ending.caller(&app).await;
        let mut stream = as_stream(app.as_caller(caller.clone()).get(&path)).stream().await;
        assert_eq!(stream.next().await.expect("an event").event, "status", "{ending:?}, {path}");
        app.system.announce(2);
        ending.happen(&app, &caller).await;
        let over_at = ending.at(begun, app.system.now());
        let end = stream.next().await.expect("an end");
        assert_eq!((end.event.as_str(), end.id), ("end", None), "{ending:?}, {path}");
        assert_eq!(end.data, json!({ "reason": ending.reason() }), "{ending:?}, {path}");
        assert_eq!(stream.next().await, None, "{ending:?}, {path}");
        let late = app.system.now().duration_since(over_at);
        let in_time = !late.is_negative() && late <= ENDS_WITHIN.try_into().expect("a duration");
        assert!(in_time, "{ending:?}, {path}: {late:#}");
    }
}

#[tokio::test]
async fn who_is_admitted_watches_until_the_functions_time_is_up() {
    let (app, _) = start().await;
    let [path, _] = watched(&app).await;
    let vera = app.person_on_record("vera", Duration::from_hours(12)).await;
    let mut stream = as_stream(app.as_caller(vera.clone()).get(path)).stream().await;
    assert_eq!(stream.next().await.expect("an event").event, "status");
    app.edit_on_record(&vera, |user| user.roles = "acme=developer".parse().expect("roles")).await;
    // Looks are what takes time, so they are made less often.
    app.system.hurry(60);
    app.system.announce(2);
    assert_eq!(stream.next().await.expect("an event").event, "reconnect");
}
