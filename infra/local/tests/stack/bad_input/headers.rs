//! Headers and queries.

use serde_json::json;

use super::{Settled, assert_refused, case, json_operations, process};
use crate::support::Call;

#[tokio::test]
async fn queries_are_refused_by_parameter() {
    let settled = Settled::start().await;
    let run = &settled.run;
    let mut cases = Vec::new();
    let get = |path: String| Call::get(path);
    for list in ["/v1/jobs", "/v1/jobs/hello/runs"] {
        for (query, says) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=256", "limit"),
            ("limit=-1", "limit"),
            ("limit=1.5", "limit"),
            ("limit=abc", "limit"),
            ("limit=", "limit"),
            ("limit=1&limit=2", "limit"),
            ("cursor=", "cursor"),
            ("cursor=!", "cursor"),
            ("cursor=AAAA", "cursor"),
            ("cursor=%00", "cursor"),
            ("cursor=Sk9CUw", "cursor"),
            ("offset=1", "offset"),
            ("Limit=1", "Limit"),
        ] {
            cases.push(case(get(format!("{list}?{query}")), &["invalid-query"], says));
        }
        let long = format!("{list}?cursor={}", "A".repeat(5000));
        cases.push(case(get(long), &["invalid-query"], "cursor"));
    }
    for (query, says) in [
        ("project=Bad!", "project"),
        ("project=", "project"),
        ("project=a%23b", "project"),
        ("project=example&project=other", "project"),
        ("environment=..", "environment"),
        ("environment=-prod", "environment"),
    ] {
        cases.push(case(get(format!("/v1/jobs?{query}")), &["invalid-query"], says));
    }
    for (path, says) in [
        (format!("/v1/runs/{run}/log?follow=maybe"), "follow"),
        (format!("/v1/runs/{run}/log?tail=10"), "tail"),
        (format!("/v1/runs/{run}/events?before=e1"), "before"),
        (format!("/v1/runs/{run}/events?after=e1&after=e2"), "after"),
    ] {
        cases.push(case(get(path), &["invalid-query"], says));
    }
    let body = process(&json!(["true"]));
    let file = json!({ "jobs": [] });
    for (call, says) in [
        (Call::put("/v1/jobs/new?tenant=Bad!").json(&body), "tenant"),
        (Call::put("/v1/jobs/new?tenant=example&dry_run=1").json(&body), "dry_run"),
        (Call::post("/v1/jobs/import?atomic=perhaps").json(&file), "atomic"),
        (Call::post("/v1/jobs/import?tenant=a%2Fb").json(&file), "tenant"),
        (Call::post("/v1/jobs/import?dry_run=true").json(&file), "dry_run"),
    ] {
        cases.push(case(call, &["invalid-query"], says));
    }
    assert_refused(&settled.client(), cases).await;
    settled.assert_nothing_was_written().await;
}

#[tokio::test]
async fn operations_without_a_query_refuse_one() {
    let settled = Settled::start().await;
    let run = &settled.run;
    let if_match = |call: Call| call.header("if-match", "\"rev_0\"");
    let discover = Call::post("/v1/jobs/discover?who=Ada").json(&json!({ "project": "example" }));
    let calls = [
        Call::get("/v1/jobs/hello?who=Ada"),
        if_match(Call::delete("/v1/jobs/hello?who=Ada")),
        discover,
        Call::get("/v1/providers?who=Ada"),
        Call::get("/v1/providers/process?who=Ada"),
        Call::put("/v1/providers/new?who=Ada").json(&json!({ "kind": "concourse" })),
        if_match(Call::delete("/v1/providers/concourse?who=Ada")),
        Call::post("/v1/providers/process/check?who=Ada"),
        Call::post("/v1/jobs/hello/runs?who=Ada"),
        Call::get(format!("/v1/runs/{run}?who=Ada")),
        Call::post(format!("/v1/runs/{run}/cancel?who=Ada")),
        Call::post(format!("/v1/runs/{run}/rerun?who=Ada")),
    ];
    let cases = calls.map(|call| case(call, &["invalid-query"], "who"));
    assert_refused(&settled.client(), cases.into()).await;
    settled.assert_nothing_was_written().await;
}

#[tokio::test]
async fn headers_that_cannot_be_are_refused() {
    let settled = Settled::start().await;
    let platform = settled.client();
    let header: &[&str] = &["invalid-header"];
    let body = process(&json!(["true"]));
    let mut cases = Vec::new();
    let long = "k".repeat(256);
    for key in [&b""[..], b"\"\"", b"a b", b"a\xe4b", "schlüssel".as_bytes(), b"a\tb", long.as_bytes()] {
        for call in [Call::post("/v1/jobs/hello/runs"), Call::post(format!("/v1/runs/{}/rerun", settled.run))]
        {
            cases.push(case(call.header("idempotency-key", key), header, "dempotency-"));
        }
    }
    let provider = json!({ "kind": "concourse" });
    for (name, value, says) in [
        ("if-match", &b"rev_0"[..], "If-Match"),
        ("if-match", b"*", "If-Match"),
        ("if-match", b"W/\"rev_0\"", "If-Match"),
        ("if-match", b"", "If-Match"),
        ("if-match", b"\"", "If-Match"),
        ("if-match", b"\"\xe4\"", "if-match"),
        ("if-none-match", b"\"rev_0\"", "If-None-Match"),
        ("if-none-match", b"", "If-None-Match"),
    ] {
        for call in [
            Call::put("/v1/jobs/hello").json(&body),
            Call::delete("/v1/jobs/hello"),
            Call::put("/v1/providers/concourse").json(&provider),
            Call::delete("/v1/providers/concourse"),
        ] {
            cases.push(case(call.header(name, value), header, says));
        }
    }
    let both = Call::delete("/v1/jobs/hello").header("if-match", "\"a\"").header("if-none-match", "*");
    cases.push(case(both, header, "contradict"));
    let events = || Call::get(format!("/v1/runs/{}/events", settled.run));
    cases.push(case(events().header("last-event-id", b"e\xe4"), header, "last-event-id"));
    cases.push(case(Call::get("/v1/jobs").header("x-long", "x".repeat(11_000)), &["bad-request"], "header"));
    for host in ["", "a/b", "a@b", "a b", "[", "localhost:99999"] {
        cases.push(case(Call::get("/v1/jobs").header("host", host), &["bad-request"], ""));
    }
    for call in json_operations(&settled.run).into_iter().filter(|call| !call.describe().contains("import")) {
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/yaml",
            "json",
            "",
            "application/json-seq",
            "application/jsonp",
            "multipart/form-data; boundary=x",
        ] {
            cases.push(case(call.clone().body(kind, "{}"), &["unsupported-media-type"], "application/json"));
        }
    }
    assert_refused(&platform, cases).await;
    settled.assert_nothing_was_written().await;
}
