//! Ids and paths.

use serde_json::json;

use super::{Settled, assert_refused, case, flaw, process};
use crate::support::Call;

const BAD_PATH: &[&str] =
    &["invalid-path", "no-such-route", "not-found", "method-not-allowed", "bad-request"];

#[tokio::test]
async fn ids_that_cannot_be_are_refused() {
    let settled = Settled::start().await;
    let long = "x".repeat(10_000);
    let ids = [
        "..", ".", "...", "%2e%2e", "..%2f..", "a%2Fb", "%2F", "%5c", "a%23b", "%23", "%00", "a%00b",
        "a%20b", "%0d%0a", "%C3%A4", "%FF", "%", "%zz", "%2", "a;b", "a,b", "a'b", "a&b", "a$b", "a+b", "*",
        "-a", "a=b", "{job_id}", "a%25b", "$%7Bx%7D", &long,
    ];
    let run_ids =
        ["%23", "a#b", "%2e%2e", "%2F", "%00", "a%20b", "%C3%A4", "%FF", "%zz", "a,b", "*", "a$b", &long];
    let if_match = |call: Call| call.header("if-match", "\"rev_0\"");
    let body = process(&json!(["true"]));
    let mut cases = Vec::new();
    for id in ids {
        for call in [
            Call::get(format!("/v1/jobs/{id}")),
            Call::put(format!("/v1/jobs/{id}?tenant=example")).json(&body),
            if_match(Call::delete(format!("/v1/jobs/{id}"))),
            Call::get(format!("/v1/jobs/{id}/runs")),
            Call::post(format!("/v1/jobs/{id}/runs")),
            Call::get(format!("/v1/providers/{id}")),
            Call::put(format!("/v1/providers/{id}")).json(&json!({ "kind": "concourse" })),
            if_match(Call::delete(format!("/v1/providers/{id}"))),
            Call::post(format!("/v1/providers/{id}/check")),
        ] {
            cases.push(case(call, BAD_PATH, ""));
        }
    }
    for id in run_ids {
        for suffix in ["", "/events", "/log"] {
            cases.push(case(Call::get(format!("/v1/runs/{id}{suffix}")), BAD_PATH, ""));
        }
        for suffix in ["/cancel", "/rerun"] {
            cases.push(case(Call::post(format!("/v1/runs/{id}{suffix}")), BAD_PATH, ""));
        }
    }
    // One fault that is always named.
    cases.push(case(Call::get("/v1/jobs/a%2Fb"), &["invalid-path"], "A job id must be 1 to 128 characters"));
    cases.push(case(
        Call::get("/v1/providers/a%00"),
        &["invalid-path"],
        "A provider must be 1 to 39 characters",
    ));
    cases.push(case(Call::get("/v1/runs/a%20b"), &["invalid-path"], "A run id is 1 to 1,024 characters"));
    assert_refused(&settled.client(), cases).await;
    settled.assert_nothing_was_written().await;
}

#[tokio::test]
async fn paths_that_lead_nowhere_are_refused() {
    let settled = Settled::start().await;
    let paths = [
        "/",
        "//",
        "/v1",
        "/v2/jobs",
        "//v1/jobs",
        "/v1//jobs",
        "/v1/jobs//runs",
        "/v1/jobs/hello//runs",
        "/v1/%6aobs",
        "/V1/jobs",
        "/v1/jobs/hello/runs/x",
        "/v1/jobs/../jobs",
        "/v1/jobs/../../v1/jobs",
        "/v1/jobs/hello/../hello",
        "/%2e%2e/v1/jobs",
        "/v1/jobs%2Fhello",
        "/v1/jobs%00",
        "/v1/runs",
        "/local/v1/jobs",
        "/v1/jobs/hello/runs/..%2f..",
    ];
    let mut cases: Vec<_> =
        paths.iter().map(|path| case(Call::get(*path), &["no-such-route", "invalid-path"], "")).collect();
    for method in ["PATCH", "OPTIONS", "HEAD", "PROPFIND", "GETT"] {
        let method = http::Method::from_bytes(method.as_bytes()).unwrap();
        if method != http::Method::HEAD {
            cases.push(case(Call::new(method, "/v1/jobs/hello"), &["no-such-route"], ""));
        }
    }
    cases.push(case(Call::delete("/v1/jobs"), &["no-such-route"], ""));
    let platform = settled.client();
    assert_refused(&platform, cases).await;
    // Clients do not send these, so they are written by hand.
    for path in [
        "/v1/jobs/absent#b",
        "/v1/jobs/absent\\..\\hello",
        "http://localhost/v1/jobs/absent",
        "*",
        "/v1/jobs/\u{e4}",
    ] {
        let answer = platform.raw("GET", path.as_bytes()).await;
        assert_eq!(flaw(&answer, BAD_PATH, ""), None, "{path}");
    }
    // These are no HTTP, so that no problem can be told of them.
    for path in [&b"/v1/jobs/a b"[..], b"/v1/jobs/a\0b", b"/v1/jobs/\xff", b""] {
        let answer = platform.raw("GET", path).await;
        assert!(answer.status.is_client_error(), "{path:?}: {answer:?}");
    }
    settled.assert_nothing_was_written().await;
}
