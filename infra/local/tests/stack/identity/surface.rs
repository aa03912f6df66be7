//! What holds for every operation: headers of answers, and which bodies are taken at all.

use std::collections::BTreeSet;

use gatehouse_domain::access::ENDPOINTS;
use gatehouse_http::{
    extract::{MAX_ITEMS, MAX_MEMBERS, MAX_TEXT},
    request_log::SECURITY_HEADERS,
};
use gatehouse_local::command::openapi;
use http::{Method, header};
use serde_json::{Map, Value, json};

use super::access::{call, things};
use crate::support::{Anonymous, Answer, Call, Resume, TestStack, people::Person};

/// What a page of any site can send without asking first.
const UNASKED: [&str; 4] =
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"];

/// The operations that take JSON, as the description has them.
fn with_json_bodies() -> BTreeSet<String> {
    let description: Value = serde_json::from_str(&openapi::description().unwrap()).unwrap();
    let operations = description["paths"].as_object().unwrap().values();
    let operations = operations.flat_map(|methods| methods.as_object().unwrap().values());
    let taking =
        operations.filter(|operation| operation["requestBody"]["content"].get("application/json").is_some());
    taking.map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn assert_sealed(what: &str, answer: &Answer) {
    for (name, value) in SECURITY_HEADERS {
        let said = answer.header(name.as_str());
        if name == header::STRICT_TRANSPORT_SECURITY {
            assert_eq!(said, None, "{what}: this is plain HTTP");
        } else if name == header::CACHE_CONTROL && what.contains("jwks") {
            assert_eq!(said, Some("public, max-age=300"), "everybody may keep public keys");
        } else {
            assert_eq!(said, Some(value), "{what}: {} {name}", answer.status);
        }
    }
}

#[tokio::test]
async fn every_answer_tells_browsers_to_keep_it_to_themselves() {
    let stack = TestStack::start_with_people().await;
    let things = things(&stack).await;
    let (root, nobody) = (stack.log_in(Person::ROOT).await, stack.client(&Anonymous));
    for operation in ENDPOINTS.iter().map(|endpoint| endpoint.id).filter(|id| *id != "log_out") {
        for (who, client) in [("root", &root), ("nobody", &nobody)] {
            let answer = client.send(call(operation, &things)).await;
            assert_sealed(&format!("{operation} by {who}"), &answer);
        }
    }
    let mut streaming = Resume::Start.call(&things.run);
    streaming = streaming.header("accept", "text/event-stream");
    assert_sealed("a stream", &root.send(streaming).await);
    let others = [
        Call::get("/health"),
        Call::get("/openapi.json"),
        Call::get("/.well-known/jwks.json"),
        Call::post("/auth/login").body("application/json", "{}"),
        Call::post("/provisioning/callback").body("application/json", "{}"),
        Call::post("/services/deployments/callback"),
        Call::get("/nowhere"),
        Call::new(Method::PATCH, "/v1/jobs"),
        Call::new(Method::TRACE, "/v1/jobs"),
        Call::get("/v1/jobs").header("host", ""),
        Call::get("/v1/jobs").header("host", "evil.example"),
        Call::get("/v1/jobs").header("origin", "http://evil.example"),
        Call::get("/v1/jobs").body("application/octet-stream", vec![0; 10 * 1024 * 1024 + 1]),
        Call::get("/v1/jobs").header("x-long", "x".repeat(11_000)),
    ];
    for other in others {
        let what = other.describe();
        assert_sealed(&what, &nobody.send(other).await);
    }
    stack.stop().await;
}

#[tokio::test]
async fn no_operation_takes_a_body_with_a_member_twice() {
    let stack = TestStack::start_with_people().await;
    let things = things(&stack).await;
    let root = stack.log_in(Person::ROOT).await;
    let twice = [
        (r#"{"a":1,"a":1}"#, "/a"),
        (r#"{"a":1,"b":{},"\u0061":2}"#, "/a"),
        (r#"{"roles":{"acme":"viewer","acme":"admin"}}"#, "/roles/acme"),
        (r#"{"x":[{},{"y":{"c/d":[],"c/d":null}}]}"#, "/x/1/y/c~1d"),
    ];
    let mut asked = 0;
    for operation in
        ENDPOINTS.iter().map(|endpoint| endpoint.id).filter(|id| with_json_bodies().contains(*id))
    {
        for (body, pointer) in twice {
            let answer = root.send(call(operation, &things).body_instead("application/json", body)).await;
            let problem = answer.problem(422, "validation-failed");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{operation}: {problem}");
            asked += 1;
        }
    }
    let login =
        Call::post("/auth/login").body("application/json", r#"{"username":"root","username":"root"}"#);
    root.send(login).await.problem(422, "validation-failed");
    assert!(asked > 80, "{asked} were asked");
    stack.stop().await;
}

#[tokio::test]
async fn no_operation_takes_a_list_an_object_or_a_text_without_end() {
    let stack = TestStack::start_with_people().await;
    let things = things(&stack).await;
    let root = stack.log_in(Person::ROOT).await;
    let numbers: Vec<usize> = (0..=MAX_ITEMS).collect();
    let members: Map<String, Value> = (0..=MAX_MEMBERS).map(|name| (name.to_string(), Value::Null)).collect();
    let endless = [json!(numbers), json!(members), json!("x".repeat(MAX_TEXT + 1))];
    for operation in
        ENDPOINTS.iter().map(|endpoint| endpoint.id).filter(|id| with_json_bodies().contains(*id))
    {
        for value in &endless {
            for (body, pointer) in
                [(json!({ "a": value }), "/a"), (json!({ "a": [{ "b": value }] }), "/a/0/b")]
            {
                let answer = root
                    .send(call(operation, &things).body_instead("application/json", body.to_string()))
                    .await;
                let problem = answer.problem(422, "validation-failed");
                let error = &problem["errors"][0];
                assert_eq!(error["pointer"], pointer, "{operation}: {error}");
                assert!(
                    error["detail"].as_str().unwrap().starts_with("must be at most"),
                    "{operation}: {error}"
                );
            }
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn no_operation_takes_a_body_that_a_page_can_send_unasked() {
    let stack = TestStack::start_with_people().await;
    let things = things(&stack).await;
    let root = stack.log_in(Person::ROOT).await;
    for operation in
        ENDPOINTS.iter().map(|endpoint| endpoint.id).filter(|id| with_json_bodies().contains(*id))
    {
        for kind in UNASKED {
            let answer = root.send(call(operation, &things).body_instead(kind, "{}")).await;
            assert_eq!(answer.status, 415, "{operation} as {kind:?}: {}", answer.text());
            answer.problem(415, "unsupported-media-type");
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn no_path_takes_trace() {
    let stack = TestStack::start_with_people().await;
    let things = things(&stack).await;
    let root = stack.log_in(Person::ROOT).await;
    for endpoint in ENDPOINTS {
        let answer = root.send(call(endpoint.id, &things).method_instead(Method::TRACE)).await;
        let body = answer.expect(405);
        assert_eq!(body.json()["type"], "/problems/method-not-allowed", "{}", endpoint.id);
        let allowed = body.header("allow").unwrap_or_default();
        assert!(endpoint.methods.iter().all(|method| allowed.contains(method)), "{}: {allowed}", endpoint.id);
    }
    stack.stop().await;
}
