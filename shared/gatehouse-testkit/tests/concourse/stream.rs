//! Points 11 to 16 of what a fake server must get right: the event stream.

use std::time::Duration;

use gatehouse_testkit::concourse::{Fault, Route, Script, Status, Version};
use http::Method;

use crate::client::{Client, END, JOB, envelopes, one_job};

#[tokio::test]
async fn every_byte_is_as_concourse_writes_it() {
    let script = Script::new().task("unit", |task| task.log("hello\r\n").log("<&>\u{2028}"));
    let twin = one_job(script).fixed_time(1_790_000_010).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let mut stream = client.events(build, &[]).await;
    let text = stream.until_end().await;
    let config =
        r#"{"image":"","inputs":null,"platform":"linux","run":{"args":["-c","make"],"dir":"","path":"sh"}}"#;
    let unknown = r#"{"image":"","inputs":null,"platform":"","run":{"args":null,"dir":"","path":""}}"#;
    let expected = [
        r#"{"data":{"status":"started","time":1790000010},"event":"status","version":"1.0","event_id":"0"}"#.to_owned(),
        format!(r#"{{"data":{{"time":1790000010,"origin":{{"id":"64f0a0"}},"config":{unknown}}},"event":"initialize-task","version":"4.0","event_id":"1"}}"#),
        r#"{"data":{"time":1790000010,"origin":{"id":"64f0a0"}},"event":"waiting-for-worker","version":"1.0","event_id":"2"}"#.to_owned(),
        r#"{"data":{"time":1790000010,"origin":{"id":"64f0a0"},"selected_worker":"worker-1"},"event":"selected-worker","version":"1.0","event_id":"3"}"#.to_owned(),
        format!(r#"{{"data":{{"time":1790000010,"origin":{{"id":"64f0a0"}},"config":{config}}},"event":"start-task","version":"5.0","event_id":"4"}}"#),
        r#"{"data":{"time":1790000010,"origin":{"id":"64f0a0","source":"stdout"},"payload":"hello\r\n"},"event":"log","version":"5.1","event_id":"5"}"#.to_owned(),
        r#"{"data":{"time":1790000010,"origin":{"id":"64f0a0","source":"stdout"},"payload":"\u003c\u0026\u003e\u2028"},"event":"log","version":"5.1","event_id":"6"}"#.to_owned(),
        r#"{"data":{"time":1790000010,"exit_status":0,"origin":{"id":"64f0a0"}},"event":"finish-task","version":"4.0","event_id":"7"}"#.to_owned(),
        r#"{"data":{"status":"succeeded","time":1790000010},"event":"status","version":"1.0","event_id":"8"}"#.to_owned(),
    ];
    let records =
        expected.iter().enumerate().map(|(id, data)| format!("id: {id}\nevent: event\ndata: {data}\n\n"));
    let expected: Vec<_> = records.chain(["id: 9\nevent: end\ndata\n\n".to_owned()]).collect();
    assert_eq!(text, expected.concat());
    assert_eq!(stream.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(stream.header("cache-control"), "no-cache, no-store, must-revalidate");
    assert_eq!(stream.header("x-accel-buffering"), "no");
    assert_eq!(stream.header("x-atc-stream-version"), "2.0");
    assert_eq!(stream.header("x-concourse-version"), "7.14.3");
    assert_eq!(stream.header("content-encoding"), "");
}

#[tokio::test]
async fn the_connection_stays_open_after_the_end() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let mut stream = client.events(build, &[]).await;
    stream.until_end().await;
    tokio::time::timeout(Duration::from_millis(50), stream.record()).await.unwrap_err();
    assert_eq!(twin.open_streams(), 1);
    drop(stream);
    while twin.open_streams() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_pending_build_sends_not_even_headers() {
    let twin = one_job(Script::quick().stays_pending()).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let opening = client.events(build, &[]);
    tokio::pin!(opening);
    tokio::time::timeout(Duration::from_millis(50), &mut opening).await.map(drop).unwrap_err();
    assert_eq!(twin.open_streams(), 1);
    twin.release(build);
    assert!(opening.await.until_end().await.starts_with("id: 0\n"));
}

#[tokio::test]
async fn events_arrive_one_by_one_while_the_build_runs() {
    let script = Script::new().task("steps", |task| {
        task.wait_for_release().log("one\r\n").wait_for_release().log("two\r\n").wait_for_release()
    });
    let twin = one_job(script).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let mut stream = client.events(build, &[]).await;
    stream.record_with("start-task").await;
    for line in ["one", "two"] {
        assert_eq!(twin.build(build).unwrap().status, Status::Started);
        twin.release(build);
        assert!(stream.record().await.unwrap().contains(line));
    }
    twin.release(build);
    stream.until_end().await;
}

#[tokio::test]
async fn resuming_anywhere_gives_exactly_the_rest() {
    let twin = one_job(Script::chunky()).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    twin.wait_until_finished(build).await;
    let whole = client.events(build, &[]).await.until_end().await;
    let records: Vec<_> = whole.split_inclusive("\n\n").collect();
    for last in 0..records.len() - 1 {
        let rest = client.events(build, &[("last-event-id", &last.to_string())]).await.until_end().await;
        assert_eq!(rest, records[last + 1..].concat());
    }
    let past = client.events(build, &[("last-event-id", "4711")]).await.until_end().await;
    assert_eq!(past, format!("id: 4712\n{END}"));
}

#[tokio::test]
async fn garbage_in_last_event_id_is_a_bad_request() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    for garbage in ["abc", "-1", "x7", "99999999999999999999999"] {
        assert_eq!(client.events(build, &[("last-event-id", garbage)]).await.status, 400, "{garbage}");
    }
    assert_eq!(client.events(build, &[("last-event-id", "")]).await.status, 200);
}

#[tokio::test]
async fn event_ids_may_run_ahead_of_sse_ids() {
    let twin = one_job(Script::quick().event_id_step(10)).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let mut stream = client.events(build, &[]).await;
    let whole = stream.until_end().await;
    let fourth = whole.split_inclusive("\n\n").nth(3).unwrap();
    assert!(fourth.starts_with("id: 3\n") && fourth.contains(r#""event_id":"30""#), "{fourth}");
    // With the event id nothing is missed; with the SSE id, which lags, some come twice.
    let next = |last: &'static str| {
        let client = client.clone();
        async move { client.events(build, &[("last-event-id", last)]).await.record().await.unwrap() }
    };
    let by_event_id = next("30").await;
    assert!(
        by_event_id.starts_with("id: 31\n") && by_event_id.contains(r#""event_id":"40""#),
        "{by_event_id}"
    );
    let by_sse_id = next("3").await;
    assert!(by_sse_id.starts_with("id: 4\n") && by_sse_id.contains(r#""event_id":"10""#), "{by_sse_id}");
}

#[tokio::test]
async fn old_versions_send_no_event_id() {
    for version in Version::ALL {
        let twin = one_job(Script::quick()).version(version).start().await;
        let client = Client::login(&twin).await;
        let build = client.trigger(JOB).await;
        let events = envelopes(&client.events(build, &[]).await.until_end().await);
        assert!(
            events.iter().all(|it| it.get("event_id").is_some() == (version >= Version::V7_4)),
            "{version}"
        );
        let knows_waiting = events.iter().any(|it| it["event"] == "waiting-for-worker");
        assert_eq!(knows_waiting, version >= Version::V7_4);
    }
}

#[tokio::test]
async fn gzip_comes_when_asked_for_and_flushes_every_event() {
    let twin = one_job(Script::silent()).fixed_time(7).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let mut zipped = client.events(build, &[("accept-encoding", "br, gzip;q=0.8")]).await;
    assert_eq!(zipped.header("content-encoding"), "gzip");
    twin.release(build);
    let text = zipped.gunzip_until_end().await;
    let mut plain = client.events(build, &[("accept-encoding", "identity, gzip;q=0")]).await;
    assert_eq!(plain.header("content-encoding"), "");
    assert_eq!(plain.until_end().await, text);
}

#[tokio::test]
async fn chunky_logs_have_everything_that_is_hard() {
    let twin = one_job(Script::chunky()).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let events = envelopes(&client.events(build, &[]).await.until_end().await);
    let payloads: Vec<_> = events.iter().filter_map(|it| it["data"]["payload"].as_str()).collect();
    assert!(payloads.contains(&"") && payloads.contains(&"one li"));
    assert!(payloads.iter().any(|payload| payload.contains('\u{1b}')));
    assert!(payloads.iter().any(|payload| payload.ends_with('\r')));
    assert!(events.iter().any(|it| it["event"] == "from-the-future"));
    assert!(events.iter().any(|it| it["event"] == "log" && it["version"] == "4.0"));
    let finishes: Vec<_> = events.iter().filter(|it| it["event"] == "finish").collect();
    assert!(finishes.iter().any(|it| it["data"].get("succeeded").is_some()));
    assert!(finishes.iter().any(|it| it["data"].get("exit_status").is_some()));
    assert!(events.iter().any(|it| it["data"]["origin"]["source"] == "stderr"));
}

#[tokio::test]
async fn a_build_may_have_no_started_and_an_odd_record() {
    let script = Script::new().unannounced().verbatim("{not json").status_event(Status::Aborted);
    let twin = one_job(script).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let text = client.events(build, &[]).await.until_end().await;
    assert!(text.starts_with("id: 0\nevent: event\ndata: {not json\n\n"), "{text}");
    assert!(!text.contains("started"));
}

#[tokio::test]
async fn errored_builds_have_an_error_and_no_exit_status() {
    let twin = one_job(Script::errored()).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let events = envelopes(&client.events(build, &[]).await.until_end().await);
    assert_eq!(events.last().unwrap()["data"]["status"], "errored");
    assert!(events.iter().any(|it| it["event"] == "error"));
    assert!(!events.iter().any(|it| it["event"] == "finish-task"));
}

#[tokio::test]
async fn a_stream_is_cut_at_any_byte() {
    let twin = one_job(Script::new().task("unit", |task| task.log("grüße \u{1f680}\r\n"))).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    twin.wait_until_finished(build).await;
    let whole = client.events(build, &[]).await.until_end().await;
    for cut in 0..=whole.len() {
        twin.fault(Fault::on(Route::Events).cut_at_byte(cut));
        let seen = client.events(build, &[]).await.until_cut().await;
        assert_eq!(seen, &whole.as_bytes()[..cut], "cut at {cut}");
    }
}

#[tokio::test]
async fn every_stream_is_cut_after_some_events_until_the_client_gets_through() {
    let twin = one_job(Script::chunky()).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    twin.wait_until_finished(build).await;
    let whole = client.events(build, &[]).await.until_end().await;
    twin.fault(Fault::on(Route::Events).cut_after_events(3).always());
    let mut seen = String::new();
    let mut last = None;
    while !seen.ends_with(END) {
        let header = last.map(|last: usize| last.to_string());
        let headers: Vec<_> = header.iter().map(|last| ("last-event-id", last.as_str())).collect();
        let part = client.events(build, &headers).await.until_end_or_cut().await;
        assert!(part.matches("\n\n").count() <= 3);
        seen += &part;
        last = Some(seen.matches("\n\n").count() - 1);
    }
    assert_eq!(seen, whole);
}

#[tokio::test]
async fn open_streams_are_cut_on_demand() {
    let twin = one_job(Script::silent()).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let mut stream = client.events(build, &[]).await;
    stream.record_with("start-task").await;
    twin.cut_streams();
    assert_eq!(stream.record().await, None);
}

#[tokio::test]
async fn an_expired_token_shows_at_the_next_connection_only() {
    let twin = one_job(Script::silent()).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let mut stream = client.events(build, &[]).await;
    twin.expire_tokens();
    assert_eq!(client.events(build, &[]).await.status, 401);
    twin.release(build);
    stream.until_end().await;
}

#[tokio::test]
async fn a_hundred_thousand_lines_cost_the_twin_nothing_until_they_are_read() {
    let twin = one_job(Script::huge(100_000)).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    twin.wait_until_finished(build).await;
    let mut stream = client.events(build, &[("last-event-id", "50000")]).await;
    let line = stream.record().await.unwrap();
    // Five events come before the first line.
    assert!(line.starts_with("id: 50001\n") && line.contains(r#""payload":"line 49996\r\n""#), "{line}");
    let rest = stream.until_end().await;
    assert_eq!(rest.matches(r#""event":"log""#).count(), 50_004);
    assert!(rest.ends_with(&format!("id: 100007\n{END}")));
}

#[tokio::test]
async fn many_streams_at_once_see_the_same() {
    let twin = one_job(Script::slow(Duration::from_millis(1), 20)).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let streams: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.events(build, &[]).await.until_end().await })
        })
        .collect();
    let mut texts = Vec::new();
    for stream in streams {
        texts.push(stream.await.unwrap());
    }
    assert!(texts.iter().all(|text| *text == texts[0]));
    assert_eq!(texts[0].matches("of 20").count(), 20);
}

#[tokio::test]
async fn other_methods_on_the_stream_are_refused() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login(&twin).await;
    assert_eq!(client.call(Method::POST, "/api/v1/builds/1/events", "").await.status, 405);
}
