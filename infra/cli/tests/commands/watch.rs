use std::time::Duration;

use gatehouse_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Person, Ran, Reply, Server};

const EVENTS: &str = "GET /v1/runs/r-1/events";

fn log(id: &str, text: &str) -> String {
    let data = json!({ "step": "task", "stream": "stdout", "text": text });
    format!("id: {id}\nevent: log\ndata: {data}\n\n")
}

fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

fn end(status: &str) -> String {
    format!("id: end\nevent: end\ndata: {{\"status\":\"{status}\"}}\n\n")
}

fn reconnect() -> String {
    event("reconnect", &json!({}))
}

fn stream(pieces: &[String]) -> Reply {
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    Reply::stream(&pieces)
}

async fn watch(server: &Server) -> Ran {
    Person::with_token(server).run(&["runs", "watch", "r-1"]).await
}

fn resumed_at(server: &Server) -> Vec<Option<String>> {
    server.asked().iter().map(|asked| asked.header("last-event-id").map(str::to_owned)).collect()
}

#[tokio::test]
async fn the_exit_code_is_the_outcome_of_the_run() {
    let outcomes = [
        ("succeeded", Exit::Done),
        ("failed", Exit::RunFailed),
        ("errored", Exit::RunErrored),
        ("cancelled", Exit::RunCancelled),
    ];
    for (status, exit) in outcomes {
        let server = Server::start().await;
        server.on(EVENTS, stream(&[log("e1", "hello\n"), end(status)]));
        let ran = watch(&server).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (exit, "hello\n"), "{status}");
    }
}

#[tokio::test]
async fn steps_and_statuses_stand_beside_the_log() {
    let server = Server::start().await;
    let reason = json!({ "code": "paused", "detail": "The pipeline is paused." });
    server.on(
        EVENTS,
        stream(&[
            event("status", &json!({ "status": "queued", "provider_status": "pending", "reason": reason })),
            event("status", &json!({ "status": "running", "provider_status": "started" })),
            event("step", &json!({ "step": "s1", "name": "build", "phase": "started" })),
            log("e1", "hello\n"),
            event("error", &json!({ "message": "no such image", "step": "s1" })),
            event("step", &json!({ "step": "s1", "name": "build", "phase": "finished", "exit_status": 2 })),
            end("failed"),
        ]),
    );
    let ran = watch(&server).await;
    assert_eq!(ran.stdout, "hello\n");
    assert_eq!(
        ran.stderr,
        "-- queued: The pipeline is paused.\n-- running\n-- build started\n-- no such image\n\
         -- build finished with exit status 2\n-- run failed\n"
    );
}

#[tokio::test]
async fn what_is_known_of_a_step_is_told() {
    let server = Server::start().await;
    let step = |more: serde_json::Value| {
        let mut data = json!({ "step": "s1", "name": "unit (1.22)", "kind": "task" });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event("step", &data)
    };
    server.on(
        EVENTS,
        stream(&[
            step(json!({ "phase": "preparing", "detail": "on worker w1", "worker": "w1" })),
            step(json!({ "phase": "started", "command": ["make", "test"] })),
            step(json!({ "phase": "finished", "exit_status": 0, "version": { "ref": "abc123" } })),
            end("succeeded"),
        ]),
    );
    assert_eq!(
        watch(&server).await.done().stderr,
        "-- task unit (1.22) preparing: on worker w1\n-- task unit (1.22) started: make test\n\
         -- task unit (1.22) finished: ref abc123\n-- run succeeded\n"
    );
}

#[tokio::test]
async fn an_error_of_several_lines_has_several_lines() {
    let server = Server::start().await;
    let message = "run check:\r\n\u{1b}[31mno route\nto host";
    server.on(EVENTS, stream(&[event("error", &json!({ "message": message })), end("errored")]));
    let told = watch(&server).await.stderr;
    assert_eq!(told, "-- run check:\n-- \u{fffd}[31mno route\n-- to host\n-- run errored\n");
}

#[tokio::test]
async fn a_cut_stream_is_taken_up_without_loss_or_repetition() {
    let events = [log("e1", "one\n"), log("e2", "zwölf 🚀\n"), log("e3", "three\n")];
    let second_starts = events[0].len();
    let third_starts = second_starts + events[1].len();
    let whole = events.concat();
    // Every place around the events' ends, and some inside: in the id, in a character, in the data.
    let cuts = (0..whole.len()).filter(|cut| whole.is_char_boundary(*cut)).step_by(7);
    for cut in cuts.chain([second_starts - 1, second_starts, second_starts + 1, third_starts]) {
        let (head, rest, last) = if cut < second_starts {
            (&whole[..cut], &whole[..], None)
        } else if cut < third_starts {
            (&whole[..cut], &whole[second_starts..], Some("e1"))
        } else {
            (&whole[..cut], &whole[third_starts..], Some("e2"))
        };
        let server = Server::start().await;
        server
            .on(EVENTS, Reply::stream(&[head]).cut())
            .on(EVENTS, stream(&[rest.to_owned(), end("succeeded")]));
        let ran = watch(&server).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Done, "one\nzwölf 🚀\nthree\n"), "cut at {cut}");
        assert_eq!(resumed_at(&server), [None, last.map(str::to_owned)], "cut at {cut}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_it_is_come_back_to() {
    let server = Server::start().await;
    server
        .on(EVENTS, stream(&["retry: 250\n\n".to_owned(), log("e1", "one\n"), reconnect()]))
        .on(EVENTS, stream(&[log("e2", "two\n"), reconnect()]))
        .on(EVENTS, stream(&[log("e3", "three\n"), end("succeeded")]));
    let ran = watch(&server).await.done();
    assert_eq!(ran.stdout, "one\ntwo\nthree\n");
    assert_eq!(resumed_at(&server), [None, Some("e1".to_owned()), Some("e2".to_owned())]);
    assert_eq!(ran.waits, [Duration::from_millis(250); 2]);
    assert!(!ran.stderr.contains("coming back"), "{ran:?}");
}

#[tokio::test]
async fn a_status_that_is_told_again_is_shown_once() {
    let server = Server::start().await;
    let running = |time: &str| event("status", &json!({ "status": "running", "time": time }));
    server
        .on(EVENTS, stream(&[running("1"), reconnect()]))
        .on(EVENTS, stream(&[running("2"), end("succeeded")]));
    assert_eq!(watch(&server).await.done().stderr, "-- running\n-- run succeeded\n");
}

#[tokio::test]
async fn failures_are_waited_out_for_longer_each_time() {
    let server = Server::start().await;
    let down = || Reply::problem(503, "unavailable", "Unavailable", &json!({}));
    server.on(EVENTS, stream(&[log("e1", "one\n")]).cut());
    for _ in 0..5 {
        server.on(EVENTS, down());
    }
    server.on(EVENTS, down().with("retry-after", "40"));
    server.on(EVENTS, stream(&[log("e2", "two\n"), end("succeeded")]));
    let ran = watch(&server).await.done();
    assert_eq!(ran.stdout, "one\ntwo\n");
    assert_eq!(ran.waits, [1, 2, 4, 8, 15, 15, 40].map(Duration::from_secs));
    assert_eq!(ran.stderr.matches("coming back").count(), 1, "{ran:?}");
}

#[tokio::test]
async fn failures_that_do_not_pass_end_the_watch() {
    let server = Server::start().await;
    for _ in 0..40 {
        server.on(EVENTS, Reply::problem(503, "unavailable", "Unavailable", &json!({})));
    }
    assert_eq!(watch(&server).await.exit, Exit::Unavailable);
    assert_eq!(server.asked().len(), 21);
}

#[tokio::test]
async fn progress_makes_earlier_failures_forgotten() {
    let server = Server::start().await;
    for number in 0..30 {
        server.on(EVENTS, stream(&[log(&format!("e{number}"), "line\n")]).cut());
    }
    server.on(EVENTS, stream(&[end("succeeded")]));
    let ran = watch(&server).await.done();
    assert_eq!(ran.stdout, "line\n".repeat(30));
}

#[tokio::test]
async fn refusals_are_not_repeated() {
    for (status, exit) in [(404, Exit::Refused), (400, Exit::Refused), (401, Exit::NotAllowed)] {
        let server = Server::start().await;
        server.on(EVENTS, Reply::problem(status, "some", "Something", &json!({})));
        assert_eq!(watch(&server).await.exit, exit, "{status}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_fails_for_good_is_left_and_one_that_may_mend_is_not() {
    let failed = |retryable: bool| {
        let message = json!({ "message": "The CI system refuses.", "retryable": retryable });
        stream(&[event("error", &message), reconnect()])
    };
    let server = Server::start().await;
    server.on(EVENTS, failed(true)).on(EVENTS, failed(false));
    let ran = watch(&server).await;
    assert_eq!(ran.exit, Exit::Unavailable);
    assert_eq!(server.asked().len(), 2);
    assert!(ran.stderr.ends_with("gatehouse: The CI system refuses.\n"), "{ran:?}");
}

#[tokio::test]
async fn whoever_is_not_admitted_any_more_is_told_so_and_does_not_come_back() {
    for (reason, why) in [
        ("credential_ended", "your session or key has ended: log in again, or use another key"),
        ("role_lost", "your role or key does not allow watching any more"),
    ] {
        let server = Server::start().await;
        server.on(EVENTS, stream(&[log("e1", "one\n"), event("end", &json!({ "reason": reason }))]));
        let ran = watch(&server).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::NotAllowed, "one\n"), "{reason}");
        assert_eq!(ran.stderr, format!("gatehouse: {why}; run r-1 goes on\n"));
        assert_eq!(server.lines(), [EVENTS]);
    }
}

#[tokio::test]
async fn whoever_comes_back_after_the_end_learns_the_outcome_from_the_run() {
    let server = Server::start().await;
    server.on(EVENTS, Reply::empty(204));
    server.on("GET /v1/runs/r-1", Reply::ok(&json!({ "run": { "run_id": "r-1", "status": "cancelled" } })));
    assert_eq!(watch(&server).await.exit, Exit::RunCancelled);
}

#[tokio::test]
async fn logs_keep_their_colours_on_terminals_only() {
    let server = Server::start().await;
    let text = "\u{1b}[32mgreen\u{1b}[0m\u{1b}[2J\r\n";
    for _ in 0..3 {
        server.on(EVENTS, stream(&[log("e1", text), end("succeeded")]));
    }
    let mut ada = Person::with_token(&server);
    let plain = ada.run(&["runs", "watch", "r-1"]).await.done();
    assert_eq!((plain.stdout.as_str(), plain.stderr.as_str()), ("green\n", "-- run succeeded\n"));
    ada.terminal = true;
    let coloured = ada.run(&["runs", "watch", "r-1"]).await.done();
    assert_eq!(coloured.stdout, "\u{1b}[32mgreen\u{1b}[0m\n");
    assert_eq!(coloured.stderr, "\u{1b}[2m-- run succeeded\u{1b}[0m\n");
    ada.environment.no_color = true;
    let plain = ada.run(&["runs", "watch", "r-1"]).await.done();
    assert_eq!((plain.stdout.as_str(), plain.stderr.as_str()), ("green\n", "-- run succeeded\n"));
}

#[tokio::test]
async fn standard_error_of_the_run_is_marked() {
    let server = Server::start().await;
    let data = json!({ "step": "task", "stream": "stderr", "text": "oops\n" });
    let error = format!("id: e2\nevent: log\ndata: {data}\n\n");
    server.on(EVENTS, stream(&[log("e1", "fine\n"), error, end("failed")]));
    assert_eq!(watch(&server).await.stdout, "fine\nstderr| oops\n");
}

#[tokio::test]
async fn machines_get_an_event_on_each_line() {
    let server = Server::start().await;
    server.on(EVENTS, stream(&[log("e1", "one\n"), reconnect()])).on(EVENTS, stream(&[end("failed")]));
    let ran = Person::with_token(&server).run(&["runs", "watch", "r-1", "--json"]).await;
    assert_eq!(ran.exit, Exit::RunFailed);
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let data = json!({ "step": "task", "stream": "stdout", "text": "one\n" });
    assert_eq!(
        lines,
        [
            json!({ "event": "log", "id": "e1", "data": data }),
            json!({ "event": "end", "id": "end", "data": { "status": "failed" } }),
        ]
    );
}

#[tokio::test]
async fn numbers_of_events_are_told_as_they_come() {
    let version = r#"{"build":12345678901234567890123,"ratio":1.0}"#;
    let data = format!(r#"{{"name":"get","phase":"finished","version":{version}}}"#);
    let server = Server::start().await;
    for _ in 0..2 {
        server.on(EVENTS, stream(&[format!("event: step\ndata: {data}\n\n"), end("succeeded")]));
    }
    let ada = Person::with_token(&server);
    let ran = ada.run(&["runs", "watch", "r-1"]).await.done();
    assert!(ran.stderr.starts_with("-- get finished: build 12345678901234567890123, ratio 1.0\n"), "{ran:?}");
    let ran = ada.run(&["runs", "watch", "r-1", "--json"]).await.done();
    assert!(ran.stdout.starts_with(&format!(r#"{{"data":{data},"event":"step","id":null}}"#)), "{ran:?}");
}

#[tokio::test]
async fn whoever_interrupts_leaves_the_run_alone() {
    let server = Server::start().await;
    server.on(EVENTS, stream(&[log("e1", "one\n")]).stays_open());
    let asked = server.clone();
    let interrupted = async move {
        while asked.asked().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let ran = Person::with_token(&server).run_until(&["runs", "watch", "r-1"], interrupted).await;
    assert_eq!(ran.exit, Exit::Interrupted);
    assert_eq!(server.lines(), [EVENTS]);
}
