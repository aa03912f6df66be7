//! What holds for every operation: headers of answers, and which bodies are taken at all.

use std::collections::{BTreeMap, BTreeSet};

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

fn description() -> Value {
    serde_json::from_str(&openapi::description().unwrap()).unwrap()
}

/// The operations that take JSON, each with the schema of its body, as the description has them.
fn json_bodies(description: &Value) -> BTreeMap<String, Value> {
    let operations = description["paths"].as_object().unwrap().values();
    let operations = operations.flat_map(|methods| methods.as_object().unwrap().values());
    let bodies = operations.filter_map(|operation| {
        let content = operation["requestBody"]["content"].get("application/json")?;
        Some((operation["operationId"].as_str().unwrap().to_owned(), content["schema"].clone()))
    });
    bodies.collect()
}

fn with_json_bodies() -> BTreeSet<String> {
    json_bodies(&description()).into_keys().collect()
}

/// Each list and map in what the schema describes, by JSON pointer, with the bound that it says.
fn bounds(description: &Value, schema: &Value, pointer: &str, found: &mut BTreeMap<String, Option<usize>>) {
    if let Some(component) = schema["$ref"].as_str() {
        let component = description.pointer(component.trim_start_matches('#')).expect("a component");
        return bounds(description, component, pointer, found);
    }
    let number = |keyword: &str| schema[keyword].as_u64().map(|bound| usize::try_from(bound).unwrap());
    let types = [&schema["type"], &schema["type"][0], &schema["type"][1]];
    if types.contains(&&json!("array")) {
        found.insert(pointer.to_owned(), number("maxItems"));
    }
    if ![Value::Null, json!(false)].contains(&schema["additionalProperties"]) {
        found.insert(pointer.to_owned(), number("maxProperties"));
    }
    for part in ["oneOf", "anyOf", "allOf"].iter().filter_map(|part| schema[part].as_array()).flatten() {
        bounds(description, part, pointer, found);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        bounds(description, property, &format!("{pointer}/{name}"), found);
    }
    for (place, below) in [("items", "0"), ("additionalProperties", "0")] {
        if schema[place].is_object() {
            bounds(description, &schema[place], &format!("{pointer}/{below}"), found);
        }
    }
}

/// A list in a body that a rule bounds.
struct Bounded {
    /// The operations that take it.
    operations: &'static [&'static str],
    /// What the first of them is asked to make.
    path: &'static str,
    /// A body without the list.
    body: Value,
    /// Where the list goes, as a JSON pointer.
    list: &'static str,
    item: fn(usize) -> Value,
}

fn bounded_by_rules() -> Vec<Bounded> {
    let job =
        json!({ "project": "example", "provider": { "kind": "process", "ref": { "command": ["true"] } } });
    let mut lists = vec![
        Bounded {
            operations: &["put_job"],
            path: "/v1/jobs/crowded",
            body: job,
            list: "/parameters",
            item: |n| json!({ "name": format!("p{n}"), "type": "string", "deliver": { "as": "env", "name": format!("P{n}") } }),
        },
        Bounded {
            operations: &["put_project"],
            path: "/v1/projects/crowded",
            body: json!({ "tenant": "example" }),
            list: "/accepted_services",
            item: |n| json!(format!("service-{n}")),
        },
        Bounded {
            operations: &["mint_api_key"],
            path: "/v1/api-keys",
            body: json!({ "name": "crowded", "tenants": ["example"] }),
            list: "/scopes",
            item: |_| json!("jobs:read"),
        },
    ];
    let service =
        json!({ "name": "crowded", "tenant": "example", "project": "example", "owner": "somebody" });
    let operations = &["create_service", "put_service"];
    let link = |n| json!({ "name": format!("l{n}"), "url": format!("https://example.com/{n}") });
    let environment = |n| json!({ "name": format!("e{n}"), "category": "dev" });
    let path = "/services";
    lists.push(Bounded { operations, path, body: service.clone(), list: "/links", item: link });
    lists.push(Bounded { operations, path, body: service, list: "/environments", item: environment });
    lists
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

#[test]
fn each_list_of_a_body_has_a_bound() {
    let description = description();
    for (operation, schema) in json_bodies(&description) {
        let mut found = BTreeMap::new();
        bounds(&description, &schema, "", &mut found);
        for (pointer, bound) in found {
            let bound = bound.unwrap_or_else(|| panic!("{operation}: `{pointer}` has no bound"));
            let by_rules = bounded_by_rules()
                .iter()
                .any(|it| it.operations.contains(&&*operation) && it.list == pointer);
            // Below one that a rule bounds, rules have their own bounds too, which the list's own test holds.
            let inside = pointer.starts_with("/jobs/0/");
            assert_eq!(
                by_rules || inside,
                ![MAX_ITEMS, MAX_MEMBERS].contains(&bound),
                "{operation}: {pointer}"
            );
        }
    }
}

#[tokio::test]
async fn one_item_more_than_a_list_is_said_to_take_is_refused_there() {
    let stack = TestStack::start_with_people().await;
    let root = stack.log_in(Person::ROOT).await;
    let description = description();
    let bodies = json_bodies(&description);
    for Bounded { operations, path, mut body, list, item } in bounded_by_rules() {
        let operation = operations[0];
        let method = ENDPOINTS.iter().find(|endpoint| endpoint.id == operation).expect("one").methods[0];
        let mut found = BTreeMap::new();
        bounds(&description, &bodies[operation], "", &mut found);
        let bound = found[list].expect("a bound");
        // The refused one first: it makes nothing.
        for (length, refused) in [(bound + 1, true), (bound, false)] {
            body[&list[1..]] = (0..length).map(item).collect();
            let said = root.send(Call::new(method.parse().unwrap(), path).json(&body)).await.text();
            let is = said.to_lowercase().contains("at most") && said.contains(&bound.to_string());
            assert_eq!(is, refused, "{operation} with {length} in {list}: {said}");
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
