use std::time::Duration;

use gatehouse_domain::{
    access::Scope,
    ci::{CiErrorKind, LogStream, RunEventBody, RunStatus, StepFacts, StepPhase},
};
use insta::assert_snapshot;

use crate::{events, start, with_a_run};

#[tokio::test]
async fn is_plain_text_without_escape_sequences() {
    let (app, ci, run) = with_a_run().await;
    ci.set_status("1", RunStatus::Succeeded);
    ci.set_events(events());
    assert_snapshot!(app.as_viewer("acme").get(format!("/v1/runs/{run}/log")).await, @"
    200 OK
    content-type: text/plain; charset=utf-8
    gatehouse-run-status: succeeded

    green
    careful
    ");
}

#[tokio::test]
async fn is_empty_before_the_run_begins() {
    let (app, _, run) = with_a_run().await;
    assert_snapshot!(app.as_viewer("acme").get(format!("/v1/runs/{run}/log")).await, @"
    200 OK
    content-type: text/plain; charset=utf-8
    gatehouse-run-status: queued
    ");
}

#[tokio::test]
async fn is_what_there_is_now_of_a_run_that_has_not_ended() {
    let (app, ci, run) = with_a_run().await;
    ci.set_status("1", RunStatus::Running);
    ci.set_events(events()[..3].to_vec());
    let before = gatehouse_domain::clock::Clock::now(&*app.system);
    let log = app.as_viewer("acme").get(format!("/v1/runs/{run}/log")).await;
    assert_eq!((log.text.as_str(), log.header("gatehouse-run-status")), ("green\n", "running"));
    let waited = gatehouse_domain::clock::Clock::now(&*app.system).duration_since(before);
    assert_eq!(waited.as_secs(), 1, "silence for a second means that this is all there is");
}

#[tokio::test]
async fn follows_a_run_until_the_functions_time_is_up() {
    let (app, ci, run) = with_a_run().await;
    ci.set_events(events()[..3].to_vec());
    let vera = app.person_on_record("vera", Duration::from_hours(12)).await;
    let before = gatehouse_domain::clock::Clock::now(&*app.system);
    let log = app.as_caller(vera).get(format!("/v1/runs/{run}/log?follow=true")).await;
    assert_eq!(log.text, "green\n");
    let waited = gatehouse_domain::clock::Clock::now(&*app.system).duration_since(before);
    assert_eq!(waited.as_secs(), 15 * 60 - 5);
}

#[tokio::test]
async fn says_in_its_last_line_that_it_is_cut() {
    let (app, ci, run) = with_a_run().await;
    ci.set_status("1", RunStatus::Running);
    ci.set_events(events()[..4].to_vec());
    ci.cut_events(CiErrorKind::Unavailable);
    assert_snapshot!(app.as_viewer("acme").get(format!("/v1/runs/{run}/log")).await.text, @"
    green
    careful
    [the log is cut here: the CI system says why]
    ");
}

#[tokio::test]
async fn shows_what_went_wrong_beside_the_output() {
    let (app, ci, run) = with_a_run().await;
    ci.set_status("1", RunStatus::Errored);
    let message = "no worker".to_owned();
    ci.set_events(vec![RunEventBody::Error { step: None, message }, RunEventBody::End]);
    assert_eq!(app.as_viewer("acme").get(format!("/v1/runs/{run}/log")).await.text, "no worker\n");
}

/// Two steps that write at the same time, half lines and an error among it.
fn two_steps() -> Vec<RunEventBody> {
    let step = |id: &str, name: &str, phase| RunEventBody::Step {
        step: id.to_owned(),
        name: Some(name.to_owned()),
        phase,
        facts: Box::new(StepFacts { kind: Some("task".to_owned()), ..StepFacts::default() }),
    };
    let log = |id: &str, stream, text: &str| RunEventBody::Log {
        step: Some(id.to_owned()),
        stream,
        text: text.to_owned(),
    };
    let finished = StepPhase::Finished { exit_status: Some(0), succeeded: Some(true) };
    vec![
        step("1", "unit (attempt 1)", StepPhase::Started),
        step("2", "lint", StepPhase::Started),
        log("1", LogStream::Stdout, "out-half"),
        log("1", LogStream::Stderr, "err-half"),
        log("2", LogStream::Stdout, "one\ntw"),
        log("1", LogStream::Stdout, " and whole\n"),
        log("2", LogStream::Stdout, "o\r\r\nthree"),
        step("2", "lint", finished),
        log("1", LogStream::Stdout, "half"),
        RunEventBody::Error {
            step: Some("1".to_owned()),
            message: "\u{1b}[31mno\u{9b} luck\ntoday".to_owned(),
        },
        RunEventBody::Error { step: None, message: "the build is lost".to_owned() },
        RunEventBody::End,
    ]
}

async fn log_of_two_steps(query: &str) -> String {
    let (app, ci, run) = with_a_run().await;
    ci.set_status("1", RunStatus::Failed);
    ci.set_events(two_steps());
    app.as_viewer("acme").get(format!("/v1/runs/{run}/log{query}")).await.text
}

#[tokio::test]
async fn has_whole_lines_of_steps_that_write_at_the_same_time() {
    assert_snapshot!(log_of_two_steps("").await, @"
    one
    out-half and whole
    two
    three
    half
    err-half
    no luck
    today
    the build is lost
    ");
}

#[tokio::test]
async fn marks_lines_by_step() {
    assert_snapshot!(log_of_two_steps("?prefix=steps").await, @"
    [task lint] one
    [task unit (attempt 1)] out-half and whole
    [task lint] two
    [task lint] three
    [task unit (attempt 1)] half
    [task unit (attempt 1)] err-half
    [task unit (attempt 1)] no luck
    [task unit (attempt 1)] today
    the build is lost
    ");
}

#[tokio::test]
async fn is_of_one_step_by_its_id_or_its_name() {
    assert_eq!(log_of_two_steps("?step=2").await, "one\ntwo\nthree");
    assert_eq!(log_of_two_steps("?step=lint").await, "one\ntwo\nthree");
    assert_eq!(log_of_two_steps("?step=nope").await, "");
}

#[tokio::test]
async fn says_that_it_is_cut_while_the_ci_system_is_away() {
    let (app, ci, run) = with_a_run().await;
    ci.set_status("1", RunStatus::Running);
    let path = format!("/v1/runs/{run}/log");
    assert_eq!(app.as_viewer("acme").get(&path).await.header("gatehouse-run-status"), "running");
    ci.fail(Some(CiErrorKind::Unavailable));
    let vera = app.person_on_record("vera", Duration::from_hours(12)).await;
    // A stream that is opened again and again is silent.
    for events in [Vec::new(), events()[..3].to_vec()] {
        ci.set_events(events);
        let log = app.as_caller(vera.clone()).get(&path).await;
        let last = log.text.lines().last();
        assert_eq!(last, Some("[the log is cut here: the CI system says why]"), "{log}");
    }
}

#[tokio::test]
async fn refuses_what_it_does_not_understand() {
    let (app, _) = start().await;
    let acme = app.as_viewer("acme");
    assert_eq!(acme.get("/v1/runs/run_none/log").await.problem(), "not-found");
    assert_snapshot!(acme.get("/v1/runs/run_none/log?follow=perhaps").await, @"
    400 Bad Request
    invalid-query: `follow`: provided string was not `true` or `false`.
    ");
    for query in ["tail=1", "prefix=time", "step=a&step=b"] {
        assert_eq!(
            acme.get(format!("/v1/runs/run_none/log?{query}")).await.problem(),
            "invalid-query",
            "{query}"
        );
    }
}

#[tokio::test]
async fn is_for_those_who_may_read() {
    let (app, _, run) = with_a_run().await;
    let path = format!("/v1/runs/{run}/log");
    assert_eq!(app.anonymous().get(&path).await.problem(), "unauthorized");
    assert_eq!(app.as_api_key(&[Scope::RunsWrite], "acme").get(&path).await.problem(), "forbidden");
    assert_eq!(app.as_viewer("beta").get(&path).await.problem(), "not-found");
}
