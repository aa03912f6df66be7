//! Bodies, as a whole and member by member.

use serde_json::{Value, json};

use super::{INVALID, MALFORMED, Settled, UNREADABLE, assert_refused, case, json_operations, process};
use crate::support::{Call, Key, TestStack};

/// What a body may measure, in bytes.
const MEBIBYTE: usize = 1024 * 1024;

/// `base` with one member set.
fn with(mut base: Value, pointer: &str, value: Value) -> Value {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    base.pointer_mut(parent).unwrap()[member] = value;
    base
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be_are_refused() {
    let settled = Settled::start().await;
    let deep = "[".repeat(10_000);
    let bodies: [(&[u8], &[&str]); 16] = [
        (b"{", MALFORMED),
        (b"{\"pro", MALFORMED),
        (b"{} x", UNREADABLE),
        (b"}", MALFORMED),
        (b"\xff\xfe", MALFORMED),
        (b"{\"\xff\": 1}", MALFORMED),
        (b"nul", MALFORMED),
        (b"\"\\ud800\"", UNREADABLE),
        (deep.as_bytes(), UNREADABLE),
        (b"null", INVALID),
        (b"true", INVALID),
        (b"17", INVALID),
        (b"\"text\"", INVALID),
        (b"[]", INVALID),
        (b"[{}]", INVALID),
        (b"{\"no_such_member\": 1}", INVALID),
    ];
    let cases = json_operations(&settled.run).into_iter().flat_map(|call| {
        bodies.map(|(body, slugs)| case(call.clone().body("application/json", body.to_vec()), slugs, ""))
    });
    assert_refused(&settled.client(), cases.collect()).await;
    settled.assert_nothing_was_written().await;
}

#[tokio::test]
async fn a_run_takes_as_many_parameters_as_fit_and_no_more() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    let parameters: Vec<_> = (0..50)
        .map(|number| {
            let name = format!("p{number}");
            json!({ "name": name, "type": "string", "deliver": { "as": "env", "name": name } })
        })
        .collect();
    let job = with(process(&json!(["sh", "-c", "echo ${#p0} ${#p49}"])), "/parameters", json!(parameters));
    platform.send(Call::put("/v1/jobs/many").json(&job)).await.expect(201);
    let trigger = |length: usize| {
        let value = "x".repeat(length);
        let values: serde_json::Map<_, _> =
            (0..50).map(|number| (format!("p{number}"), json!(value))).collect();
        platform.send(Call::post("/v1/jobs/many/runs").json(&json!({ "parameters": values })))
    };
    let run = trigger(1300).await.expect(201).run_id();
    platform.ended(&run).await;
    assert_eq!(platform.log(&run).await, "1300 1300\n");
    let rerun = platform.send(Call::post(format!("/v1/runs/{run}/rerun"))).await.expect(201).run_id();
    platform.ended(&rerun).await;
    assert_eq!(platform.log(&rerun).await, "1300 1300\n");
    let problem = trigger(4096).await.problem(422, "validation-failed");
    assert_eq!(problem["errors"][0]["pointer"], "/parameters");
    assert_eq!(platform.all("/v1/jobs/many/runs", "runs").await.len(), 2);
    stack.stop().await;
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused() {
    let settled = Settled::start().await;
    let padded = |size: usize| {
        let mut body = vec![b' '; size];
        body[..2].copy_from_slice(b"{}");
        body
    };
    let mut cases = Vec::new();
    let is_import = |call: &Call| call.path().starts_with("/v1/jobs/import");
    for call in json_operations(&settled.run).into_iter().filter(|call| !is_import(call)) {
        let call = call.body("application/json", padded(MEBIBYTE + 1));
        cases.push(case(call, &["body-too-large"], "larger"));
    }
    // Larger than the function takes, than Lambda does, than API Gateway does.
    for size in [4 * MEBIBYTE + 1, 7 * MEBIBYTE, 10 * MEBIBYTE + 1] {
        let call = Call::post("/v1/jobs/import").body("application/yaml", padded(size));
        cases.push(case(call, &["body-too-large"], "larger"));
    }
    // Also where nobody reads the body.
    let get = Call::get("/v1/jobs").body("application/octet-stream", vec![0; 10 * MEBIBYTE + 1]);
    cases.push(case(get, &["body-too-large"], "larger"));
    let platform = settled.client();
    assert_refused(&platform, cases).await;
    // What is just small enough is read.
    let call = Call::put("/v1/jobs/new").body("application/json", padded(MEBIBYTE));
    platform.send(call).await.problem(422, "validation-failed");
    settled.assert_nothing_was_written().await;
}
