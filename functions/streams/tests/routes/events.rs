use std::time::Duration;

use gatehouse_domain::{
    access::Scope,
    ci::{CiErrorKind, ReasonCode, RunEventBody, RunStatus, StepPhase},
    clock::Clock,
};
use gatehouse_testkit::app::{Answer, Event};
use insta::assert_snapshot;
use serde_json::json;

use crate::{cancel, events, let_time_stand_still, record, start, with_a_run};

/// The events of a stream that has ended, one a line.
fn lines(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8", "{answer}");
    answer.events().iter().map(Event::to_string).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn tells_a_run_from_its_beginning_to_its_end() {
    let (app, ci, run) = with_a_run().await;
    ci.set_events(events());
    let_time_stand_still(&app);
    let streamed = app.as_viewer("acme").get(format!("/v1/runs/{run}/events")).await;
    assert_snapshot!(lines(&streamed), @r#"
    status e1 {"provider_status":"running","status":"running"}
    step e2 {"command":["make"],"kind":"task","name":"build","phase":"started","step":"task"}
    log e3 {"step":"task","stream":"stdout","text":"\u001b[32mgreen\u001b[0m\r\n"}
    log e4 {"step":"task","stream":"stderr","text":"careful\n"}
    status e5 {"provider_status":"succeeded","status":"succeeded"}
    end end {"status":"succeeded"}
    "#);
    assert!(streamed.text.starts_with(": gatehouse\nretry: 1000\n\n"), "{}", streamed.text);
    // What the stream saw of the end is recorded: nobody needs to ask the CI system again.
    assert_eq!(record(&app, &run).await.status, RunStatus::Succeeded);
}

#[tokio::test]
async fn continues_after_the_event_that_was_read_last() {
    let (app, ci, run) = with_a_run().await;
    ci.set_events(events());
    let_time_stand_still(&app);
    let path = format!("/v1/runs/{run}/events");
    let acme = app.as_viewer("acme");
    let whole = acme.get(&path).await.events();
    for (index, event) in whole.iter().enumerate() {
        let Some(id) = event.id.as_deref().filter(|id| *id != "end") else { continue };
        let rest = acme.get(&path).last_event_id(id).await.events();
        assert_eq!(rest, whole[index + 1..], "after {id}");
        assert_eq!(
            acme.get(format!("{path}?after={id}")).await.events(),
            rest,
            "for readers without headers"
        );
        let both = acme.get(format!("{path}?after=e1")).last_event_id(id).await.events();
        assert_eq!(both, rest, "the header wins");
    }
    assert_eq!(acme.get(&path).last_event_id("").await.events(), whole);
}

#[tokio::test]
async fn a_reader_that_has_seen_the_end_is_sent_away() {
    let (app, _, run) = with_a_run().await;
    let done = app.as_viewer("acme").get(format!("/v1/runs/{run}/events")).last_event_id("end").await;
    assert_snapshot!(done, @"204 No Content");
}

#[tokio::test]
async fn refuses_ids_that_no_event_has() {
    let (app, ci, run) = with_a_run().await;
    ci.set_events(events());
    let read = |id: &str| app.as_viewer("acme").get(format!("/v1/runs/{run}/events")).last_event_id(id);
    for id in ["e99", "1", "e", "e1;2", "x1", &format!("e{}", "1".repeat(65))] {
        let refused = read(id).await;
        assert_eq!((refused.status.as_u16(), refused.problem()), (400, "invalid-header"), "{id}");
    }
    assert_snapshot!(read("e99").await, @"
    400 Bad Request
    invalid-header: `Last-Event-ID` is no id of an event of this stream.
    ");
}

#[tokio::test]
async fn ends_itself_before_the_function_is_ended() {
    let (app, ci, run) = with_a_run().await;
    // Of a build that is not finished, the stream stays open.
    ci.set_events(events()[..3].to_vec());
    let vera = app.person_on_record("vera", Duration::from_hours(12)).await;
    let streamed = app.as_caller(vera).get(format!("/v1/runs/{run}/events")).await;
    assert_snapshot!(lines(&streamed), @r#"
    status e1 {"provider_status":"running","status":"running"}
    step e2 {"command":["make"],"kind":"task","name":"build","phase":"started","step":"task"}
    log e3 {"step":"task","stream":"stdout","text":"\u001b[32mgreen\u001b[0m\r\n"}
    reconnect {}
    "#);
    assert!(streamed.text.contains("\n\n: alive\n\n"), "nothing shows that a silent stream is alive");
}

#[tokio::test]
async fn passes_an_event_on_before_the_next_one_happens() {
    let (app, ci, run) = with_a_run().await;
    ci.set_events(events()[..3].to_vec());
    let mut stream = app.as_viewer("acme").get(format!("/v1/runs/{run}/events")).stream().await;
    for expected in ["status", "step", "log"] {
        assert_eq!(stream.next().await.unwrap().event, expected);
    }
}

#[tokio::test]
async fn says_why_the_ci_system_cannot_be_watched() {
    let (app, ci, run) = with_a_run().await;
    ci.set_events(events()[..1].to_vec());
    ci.cut_events(CiErrorKind::Unavailable);
    assert_snapshot!(lines(&app.as_viewer("acme").get(format!("/v1/runs/{run}/events")).await), @r#"
    status e1 {"provider_status":"running","status":"running"}
    error {"message":"the CI system says why","retryable":true}
    reconnect {}
    "#);
    ci.cut_events(CiErrorKind::Forbidden);
    assert_snapshot!(lines(&app.as_viewer("acme").get(format!("/v1/runs/{run}/events")).await), @r#"
    status e1 {"provider_status":"running","status":"running"}
    error {"message":"the CI system says why","retryable":false}
    end {"reason":"cannot_be_watched"}
    "#);
}

#[tokio::test]
async fn shows_a_run_that_is_to_stop_as_cancelling() {
    let (app, ci, run) = with_a_run().await;
    cancel(&app, &ci, &run).await;
    ci.set_status("1", RunStatus::Running);
    ci.set_events(events());
    let_time_stand_still(&app);
    let streamed = app.as_viewer("acme").get(format!("/v1/runs/{run}/events")).await.events();
    let statuses: Vec<_> = streamed.iter().filter(|event| event.event == "status").collect();
    assert_eq!(statuses[0].data["status"], "cancelling");
    assert_eq!(statuses[1].data["status"], "succeeded");
}

/// What was there before somebody asked must not look as if it had been asked for then.
#[tokio::test]
async fn does_not_call_the_past_cancelling() {
    let (app, ci, run) = with_a_run().await;
    let before = app.system.now();
    app.system.advance(Duration::from_mins(5));
    cancel(&app, &ci, &run).await;
    let after = app.system.now();
    ci.set_events(vec![events().remove(0), events().remove(0), events().remove(4), RunEventBody::End]);
    ci.set_event_times(&[before, after]);
    let_time_stand_still(&app);
    let streamed = app.as_viewer("acme").get(format!("/v1/runs/{run}/events")).await.events();
    let told: Vec<_> =
        streamed.iter().map(|event| event.data["status"].as_str().expect("a status")).collect();
    assert_eq!(told, ["running", "cancelling", "succeeded", "succeeded"]);
}

#[tokio::test]
async fn shows_all_that_is_known_of_a_step() {
    let (app, ci, run) = with_a_run().await;
    let facts = json!({
        "kind": "get", "attempt": 2, "across": [{ "name": "go", "value": 1.22 }], "detail": "on worker w1",
        "worker": "w1", "command": ["in"], "image": "git", "version": { "ref": "abc123" },
        "metadata": [{ "name": "author", "value": "Zoë" }], "changed": true,
    });
    ci.set_events(vec![
        RunEventBody::Step {
            step: "task".to_owned(),
            name: None,
            phase: StepPhase::Finished { exit_status: None, succeeded: Some(false) },
            facts: serde_json::from_value(facts).expect("facts"),
        },
        RunEventBody::End,
    ]);
    let_time_stand_still(&app);
    assert_snapshot!(lines(&app.as_viewer("acme").get(format!("/v1/runs/{run}/events")).await), @r#"
    step e1 {"across":[{"name":"go","value":1.22}],"attempt":2,"changed":true,"command":["in"],"detail":"on worker w1","exit_status":null,"image":"git","kind":"get","metadata":[{"name":"author","value":"Zoë"}],"name":null,"phase":"finished","step":"task","succeeded":false,"version":{"ref":"abc123"},"worker":"w1"}
    end end {"status":"queued"}
    "#);
}

#[tokio::test]
async fn refuses_what_it_does_not_understand() {
    let (app, _) = start().await;
    assert_snapshot!(app.as_viewer("acme").get("/v1/runs/run_none/events").await, @"
    404 Not Found
    not-found: There is no such run.
    ");
    let refused = app.as_viewer("acme").get("/v1/runs/run_none/events?from=1").await;
    assert_eq!(refused.problem(), "invalid-query");
}

#[tokio::test]
async fn is_for_those_who_may_read() {
    let (app, _, run) = with_a_run().await;
    let path = format!("/v1/runs/{run}/events");
    assert_eq!(app.anonymous().get(&path).await.problem(), "unauthorized");
    assert_eq!(app.as_api_key(&[Scope::RunsWrite], "acme").get(&path).await.problem(), "forbidden");
    assert_eq!(app.as_viewer("beta").get(&path).await.problem(), "not-found");
}

#[tokio::test]
async fn the_events_of_a_run_whose_build_is_gone_have_an_end() {
    let (app, ci, run) = with_a_run().await;
    ci.set_events(events()[..2].to_vec());
    ci.cut_events(CiErrorKind::NotFound);
    let_time_stand_still(&app);
    let told = app.as_viewer("acme").get(format!("/v1/runs/{run}/events")).await.events();
    let told: Vec<_> = told.iter().map(ToString::to_string).collect();
    assert_snapshot!(told.join("\n"), @r#"
    status e1 {"provider_status":"running","status":"running"}
    step e2 {"command":["make"],"kind":"task","name":"build","phase":"started","step":"task"}
    error {"message":"the CI system says why","step":null,"time":null}
    status {"provider_status":"pending","reason":{"code":"gone_from_provider","detail":"the CI system says why"},"status":"errored"}
    end end {"status":"errored"}
    "#);
    // And it was written down.
    let reason = record(&app, &run).await.reason.expect("a reason");
    assert_eq!(reason.code, ReasonCode::GoneFromProvider);
}
