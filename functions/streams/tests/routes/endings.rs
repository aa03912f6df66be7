//! Streams end with the credential of their reader.

use std::time::Duration;

use gatehouse_domain::{
    caller::Caller,
    catalog::DeployTarget,
    clock::Clock,
    operations::{Operation, Work},
};
use gatehouse_http::stream::ENDS_WITHIN;
use gatehouse_testkit::app::{Answer, Call, Ending, EventStream, ScriptedCi, TestApp, catalog};
use jiff::Timestamp;
use serde_json::json;

use crate::{events, let_time_stand_still, start, with_a_run};

/// A run that goes on, of which two lines are to be read.
async fn with_a_run_that_goes_on() -> (TestApp, String) {
    let (app, ci, run) = with_a_run().await;
    go_on(&ci);
    (app, run)
}

fn go_on(ci: &ScriptedCi) {
    ci.set_events(events()[..4].to_vec());
}

/// Reads what is there.
async fn open(app: &TestApp, caller: &Caller, run: &str) -> EventStream {
    let mut stream = app.as_caller(caller.clone()).get(format!("/v1/runs/{run}/events")).stream().await;
    for expected in ["status", "step", "log", "log"] {
        assert_eq!(stream.next().await.expect("an event").event, expected);
    }
    let_time_stand_still(app);
    stream
}

/// Whether the end came in time, counted from the moment at which the caller was not to be admitted any more.
#[track_caller]
fn assert_in_time(app: &TestApp, ending: Ending, over_at: Timestamp) {
    let late = app.system.now().duration_since(over_at);
    assert!(!late.is_negative(), "{ending:?} was foreseen by {late:#}");
    assert!(late <= ENDS_WITHIN.try_into().expect("a duration"), "{ending:?} was seen after {late:#}");
}

#[tokio::test]
async fn every_way_to_lose_admission_ends_the_events_in_time() {
    for ending in Ending::ALL {
        let (app, run) = with_a_run_that_goes_on().await;
        let begun = app.system.now();
        let caller = ending.caller(&app).await;
        let mut stream = open(&app, &caller, &run).await;
        ending.happen(&app, &caller).await;
        let over_at = ending.at(begun, app.system.now());
        let end = stream.next().await.expect("an end");
        assert_eq!((end.event.as_str(), end.id), ("end", None), "{ending:?}");
        assert_eq!(end.data, json!({ "reason": ending.reason() }), "{ending:?}");
        assert_eq!(stream.next().await, None, "{ending:?}");
        assert_in_time(&app, ending, over_at);
    }
}

#[tokio::test]
async fn every_way_to_lose_admission_ends_a_log_that_is_followed() {
    for ending in Ending::ALL {
        let (app, run) = with_a_run_that_goes_on().await;
        let begun = app.system.now();
        let caller = ending.caller(&app).await;
        // It is read from its beginning to its end, so it begins after what ends it.
        let log = app.as_caller(caller.clone()).get(format!("/v1/runs/{run}/log?follow=true"));
        ending.happen(&app, &caller).await;
        let_time_stand_still(&app);
        let over_at = ending.at(begun, app.system.now());
        let log: Answer = log.await;
        let last = if ending == Ending::RoleTaken {
            "[the log is cut here: your role does not allow this any more]\n"
        } else {
            "[the log is cut here: your credential has ended]\n"
        };
        assert_eq!(log.text, format!("green\ncareful\n\n{last}"), "{ending:?}");
        assert_in_time(&app, ending, over_at);
    }
}

#[tokio::test]
async fn who_is_admitted_reads_until_the_functions_time_is_up() {
    let (app, run) = with_a_run_that_goes_on().await;
    let begun = app.system.now();
    let vera = app.person_on_record("vera", Duration::from_hours(12)).await;
    let mut stream = open(&app, &vera, &run).await;
    app.edit_on_record(&vera, |user| user.roles = "acme=developer".parse().expect("roles")).await;
    assert_eq!(stream.next().await.expect("an event").event, "reconnect");
    assert_eq!(app.system.now().duration_since(begun).as_secs(), 15 * 60 - 5);
}

#[tokio::test]
async fn a_stream_that_is_never_silent_ends_as_well() {
    let (app, ci, run) = with_a_run().await;
    let vera = app.person_on_record("vera", Duration::from_hours(12)).await;
    ci.set_events(vec![events()[2].clone(); 100]);
    let mut stream = app.as_caller(vera.clone()).get(format!("/v1/runs/{run}/events")).stream().await;
    assert_eq!(stream.next().await.expect("an event").event, "log");
    Ending::LoggedOut.happen(&app, &vera).await;
    // A slow reader: what is there waits, and is asked about before it is handed over.
    app.system.advance(ENDS_WITHIN);
    assert_eq!(stream.next().await.expect("an end").event, "end");
    assert_eq!(stream.next().await, None);
}

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
async fn every_way_to_lose_admission_ends_the_status_in_time() {
    for (ending, stream) in Ending::ALL.into_iter().flat_map(|ending| [(ending, 0), (ending, 1)]) {
        let (app, _) = start().await;
        let path = watched(&app).await[stream].clone();
        let begun = app.system.now();
        let caller = ending.caller(&app).await;
        let mut stream = as_stream(app.as_caller(caller.clone()).get(&path)).stream().await;
        assert_eq!(stream.next().await.expect("an event").event, "status", "{ending:?}, {path}");
        let_time_stand_still(&app);
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
async fn who_is_admitted_sees_the_status_until_the_functions_time_is_up() {
    let (app, _) = start().await;
    let [path, _] = watched(&app).await;
    let vera = app.person_on_record("vera", Duration::from_hours(12)).await;
    let mut stream = as_stream(app.as_caller(vera.clone()).get(path)).stream().await;
    assert_eq!(stream.next().await.expect("an event").event, "status");
    app.edit_on_record(&vera, |user| user.roles = "acme=developer".parse().expect("roles")).await;
    // Looks are what takes time, so they are made less often.
    app.system.hurry(60);
    let_time_stand_still(&app);
    assert_eq!(stream.next().await.expect("an event").event, "reconnect");
}
