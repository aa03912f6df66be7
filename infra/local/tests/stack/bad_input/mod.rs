//! Whatever is sent, the answer is a 4xx that names the fault, and nothing is written.

mod bodies;
mod headers;
mod paths;

use futures_util::future::join_all;
use gatehouse_testkit::concourse::ConcourseTwin;
use serde_json::{Value, json};

use crate::support::{Answer, Call, Client, Key, TestStack, concourse, table::Kept};

const MALFORMED: &[&str] = &["malformed-body"];
const INVALID: &[&str] = &["validation-failed"];
const UNREADABLE: &[&str] = &["malformed-body", "validation-failed"];

/// A stack that has a job, a finished run and a provider.
struct Settled {
    stack: TestStack,
    before: Kept,
    run: String,
    _twin: ConcourseTwin,
}

impl Settled {
    async fn start() -> Self {
        let twin = ConcourseTwin::example().start().await;
        let stack = TestStack::start().await;
        let platform = stack.client(&Key::PLATFORM);
        concourse::register(&platform, &twin).await;
        let run = platform.trigger("hello").await;
        platform.ended(&run).await;
        let directory = stack.stop().await;
        let before = Kept::read(&directory.path().join("data")).await;
        Self { stack: TestStack::start_in(directory).await, before, run, _twin: twin }
    }

    fn client(&self) -> Client {
        self.stack.client(&Key::PLATFORM)
    }

    async fn assert_nothing_was_written(self) {
        let directory = self.stack.stop().await;
        let after = Kept::read(&directory.path().join("data")).await;
        assert_eq!(after, self.before);
    }
}

/// A request, and what its refusal must say.
struct Case {
    call: Call,
    slugs: &'static [&'static str],
    says: String,
}

fn case(call: Call, slugs: &'static [&'static str], says: impl Into<String>) -> Case {
    Case { call, slugs, says: says.into() }
}

/// What is wrong with the refusal, if anything.
fn flaw(answer: &Answer, slugs: &[&str], says: &str) -> Option<String> {
    if !answer.status.is_client_error() {
        return Some(format!("answered {}: {}", answer.status, answer.text()));
    }
    if answer.header("content-type") != Some("application/problem+json") {
        return Some(format!("is no problem: {answer:?}"));
    }
    let problem = answer.json();
    let kind = problem["type"].as_str().unwrap_or_default().trim_start_matches("/problems/").to_owned();
    let detail = problem["detail"].as_str().unwrap_or_default();
    let told = format!("{detail} {}", problem["errors"]);
    // Where API Gateway refuses in general terms, its template cannot know the status.
    let right_status = problem["status"] == answer.status.as_u16() || problem["status"].is_null();
    let right = slugs.contains(&kind.as_str()) && told.contains(says) && !detail.is_empty() && right_status;
    (!right).then(|| format!("should be one of {slugs:?} and say {says:?}: {problem}"))
}

async fn assert_refused(client: &Client, cases: Vec<Case>) {
    let mut flaws = Vec::new();
    for case in cases {
        let what = case.call.describe();
        let answer = client.send(case.call).await;
        flaws.extend(flaw(&answer, case.slugs, &case.says).map(|flaw| format!("{what}\n  {flaw}")));
    }
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

/// The operations that take JSON.
fn json_operations(run: &str) -> Vec<Call> {
    vec![
        Call::put("/v1/jobs/new?tenant=example"),
        Call::put("/v1/providers/new"),
        Call::post("/v1/jobs/discover"),
        Call::post("/v1/jobs/import?tenant=example"),
        Call::post("/v1/jobs/hello/runs"),
        Call::post(format!("/v1/runs/{run}/cancel")),
    ]
}

fn process(command: &Value) -> Value {
    json!({ "project": "example", "provider": { "kind": "process", "ref": { "command": command } } })
}

#[tokio::test]
async fn many_bad_requests_at_once_do_not_hurt() {
    let settled = Settled::start().await;
    let platform = settled.client();
    let calls = (0..60).map(|number| match number % 3 {
        0 => Call::put("/v1/jobs/new").body("application/json", "{"),
        1 => Call::get("/v1/jobs?limit=0"),
        _ => Call::post("/v1/jobs/%00/runs"),
    });
    for answer in join_all(calls.map(|call| platform.send(call))).await {
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    settled.assert_nothing_was_written().await;
}
