use gatehouse_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Person, Reply, Server};

fn run(status: &str) -> Value {
    json!({
        "run_id": "main:web:hello:7", "job_id": "hello", "status": status, "project": "web",
        "created_at": "2026-01-01T00:00:00Z", "provider": { "name": "ci", "kind": "concourse", "status": "x" },
        "triggered_by": "ada", "web_url": "https://ci.example.com/7",
    })
}

fn started() -> Reply {
    Reply::json(201, &json!({ "run": run("queued") }))
}

#[tokio::test]
async fn the_id_of_a_triggered_run_stands_alone_on_standard_output() {
    let server = Server::start().await;
    server.on("POST /v1/jobs/hello/runs", started());
    let trigger = ["runs", "trigger", "hello", "-p", "who=Ada", "-p", "count=3", "-p", "dry:=true"];
    let ran = Person::with_token(&server).run(&trigger).await.done();
    assert_eq!(ran.stdout, "main:web:hello:7\n");
    assert_eq!(ran.stderr, "queued https://ci.example.com/7\n");
    let asked = server.only();
    assert_eq!(asked.json(), json!({ "parameters": { "who": "Ada", "count": "3", "dry": true } }));
    assert!(asked.header("idempotency-key").is_some_and(|key| key.starts_with("cli_")));
}

#[tokio::test]
async fn parameters_that_were_not_delivered_are_a_warning() {
    for json in [true, false] {
        let server = Server::start().await;
        let mut run = run("queued");
        run["undelivered"] = json!(["git_sha", "odd\u{1b}[31m"]);
        server.on("POST /v1/jobs/hello/runs", Reply::json(201, &json!({ "run": run })));
        let trigger = ["runs", "trigger", "hello", "-p", "git_sha=abc123"];
        let trigger: Vec<_> = trigger.into_iter().chain(json.then_some("--json")).collect();
        let ran = Person::with_token(&server).run(&trigger).await.done();
        let warning = "warning: kept with the run, and not delivered to the CI system: git_sha, odd";
        assert!(ran.stderr.contains(warning) && !ran.stderr.contains('\u{1b}'), "{ran:?}");
        if json {
            assert_eq!(ran.json()["run"], run);
        } else {
            assert_eq!(ran.stdout, "main:web:hello:7\n");
        }
    }
}

#[tokio::test]
async fn the_key_that_is_given_is_the_key_that_is_sent() {
    let server = Server::start().await;
    server.on("POST /v1/jobs/hello/runs", started());
    let trigger = ["runs", "trigger", "hello", "--idempotency-key", "once", "--json"];
    let ran = Person::with_token(&server).run(&trigger).await.done();
    assert_eq!(ran.json(), json!({ "run": run("queued") }));
    assert_eq!(server.only().header("idempotency-key"), Some("once"));
}

#[tokio::test]
async fn a_parameter_that_is_given_twice_starts_nothing() {
    let server = Server::start().await;
    let trigger = ["runs", "trigger", "hello", "-p", "who=Ada", "-p", "who=Grace"];
    assert_eq!(Person::with_token(&server).run(&trigger).await.exit, Exit::Usage);
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn when_nobody_knows_whether_a_run_was_started_the_key_to_repeat_with_is_told() {
    let unknown = Reply::problem(504, "outcome-unknown", "Outcome unknown", &json!({}));
    let lost = Reply::stream(&["{\"run\":"]).cut();
    let gateway = Reply::empty(502);
    for reply in [unknown, lost, gateway] {
        let server = Server::start().await;
        server.on("POST /v1/jobs/hello/runs", reply);
        let ran = Person::with_token(&server).run(&["runs", "trigger", "hello"]).await;
        assert_eq!(ran.exit, Exit::Unavailable);
        let key = server.only().header("idempotency-key").unwrap().to_owned();
        assert!(ran.stderr.contains(&format!("--idempotency-key {key}")), "{ran:?}");
    }
}

#[tokio::test]
async fn a_refusal_does_not_suggest_to_repeat() {
    let server = Server::start().await;
    let refused = Reply::problem(422, "validation-failed", "Validation failed", &json!({}));
    server.on("POST /v1/jobs/hello/runs", refused);
    let ran = Person::with_token(&server).run(&["runs", "trigger", "hello"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(!ran.stderr.contains("--idempotency-key"), "{ran:?}");
}

#[tokio::test]
async fn a_run_can_be_triggered_and_watched_in_one_go() {
    let server = Server::start().await;
    let end = "id: end\nevent: end\ndata: {\"status\":\"failed\"}\n\n";
    server
        .on("POST /v1/jobs/hello/runs", started())
        .on("GET /v1/runs/main:web:hello:7/events", Reply::stream(&[end]));
    let ran = Person::with_token(&server).run(&["runs", "trigger", "hello", "--watch"]).await;
    assert_eq!(ran.exit, Exit::RunFailed);
    assert_eq!(server.lines()[1], "GET /v1/runs/main:web:hello:7/events");
}

#[tokio::test]
async fn cancelling_asks_and_forcing_says_so() {
    let server = Server::start().await;
    let cancelling = Reply::json(202, &json!({ "run": run("cancelling") }));
    server.on("POST /v1/runs/r-1/cancel", cancelling.clone()).on("POST /v1/runs/r-1/cancel", cancelling);
    let ada = Person::with_token(&server);
    assert_eq!(ada.run(&["runs", "cancel", "r-1"]).await.done().stderr, "r-1 is cancelling\n");
    ada.run(&["runs", "cancel", "r-1", "--force"]).await.done();
    let bodies: Vec<_> = server.asked().iter().map(crate::support::Asked::json).collect();
    assert_eq!(bodies, [json!({}), json!({ "force": true })]);
}

#[tokio::test]
async fn a_run_that_has_ended_cannot_be_cancelled() {
    let server = Server::start().await;
    server.on("POST /v1/runs/r-1/cancel", Reply::problem(409, "run-ended", "Run ended", &json!({})));
    assert_eq!(Person::with_token(&server).run(&["runs", "cancel", "r-1"]).await.exit, Exit::Refused);
}

#[tokio::test]
async fn the_newest_runs_of_a_job_are_listed() {
    let server = Server::start().await;
    server
        .on("GET /v1/jobs/hello/runs", Reply::ok(&json!({ "runs": [run("running")], "next_cursor": "c1" })))
        .on(
            "GET /v1/jobs/hello/runs",
            Reply::ok(&json!({ "runs": [run("succeeded")], "next_cursor": "c2" })),
        );
    let ran = Person::with_token(&server).run(&["runs", "list", "hello", "--limit", "2"]).await.done();
    assert_eq!(
        ran.stdout,
        "RUN               STATUS     CREATED               FINISHED  BY\n\
         main:web:hello:7  running    2026-01-01T00:00:00Z  -         ada\n\
         main:web:hello:7  succeeded  2026-01-01T00:00:00Z  -         ada\n"
    );
    let path = "GET /v1/jobs/hello/runs?limit";
    assert_eq!(server.lines(), [format!("{path}=2"), format!("{path}=1&cursor=c1")]);
}

#[tokio::test]
async fn a_run_is_shown_member_by_member() {
    let server = Server::start().await;
    server.on("GET /v1/runs/main:web:hello:7", Reply::ok(&json!({ "run": run("running") })));
    let ran = Person::with_token(&server).run(&["runs", "show", "main:web:hello:7"]).await.done();
    assert!(ran.stdout.contains("status        running\n"), "{}", ran.stdout);
}
