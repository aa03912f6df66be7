//! What a tenant learns of the names that others have given.

use serde_json::{Value, json};

use crate::support::{Answer, Call, Client, TestStack, people::Person};

/// An answer without what differs between any two: the request's id and the name that was asked for.
fn told(answer: &Answer, name: &str) -> (u16, String) {
    let mut body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
    }
    (answer.status.as_u16(), body.to_string().replace(name, "NAME"))
}

fn job(project: &str) -> Value {
    json!({ "project": project, "provider": { "kind": "process", "ref": { "command": ["true"] } } })
}

/// Every request by name that creates nothing.
fn without_creating(name: &str) -> Vec<Call> {
    let with = |call: Call| [call.clone().header("if-match", "\"rev_x\""), call];
    let mut calls = vec![
        Call::get(format!("/v1/jobs/{name}")),
        Call::get(format!("/v1/jobs/{name}/runs")),
        Call::post(format!("/v1/jobs/{name}/runs")),
        Call::get(format!("/v1/projects/{name}")),
        Call::put(format!("/v1/jobs/{name}")).json(&job("own")).header("if-match", "\"rev_x\""),
        Call::put(format!("/v1/projects/{name}")).json(&json!({})).header("if-match", "\"rev_x\""),
        Call::post("/v1/tokens").json(&json!({ "project": name, "service": "worker" })),
        Call::get(format!("/v1/jobs?project={name}")),
        Call::get(format!("/v1/tokens?project={name}")),
        Call::post("/services").json(&json!({ "name": "s", "project": name, "owner": "o" })),
        Call::post("/services")
            .json(&json!({ "name": "s", "project": "own", "owner": "o", "build_job": name })),
    ];
    calls.extend(with(Call::delete(format!("/v1/jobs/{name}"))));
    calls.extend(with(Call::delete(format!("/v1/projects/{name}"))));
    calls
}

/// Every request that creates something by a name of the whole installation.
fn creating(name: &str) -> Vec<Call> {
    let entry = |id: &str, project: &str| {
        let mut entry = job(project);
        entry["job_id"] = json!(id);
        Call::post("/v1/jobs/import").json(&json!({ "jobs": [entry] }))
    };
    let only_new = |call: Call| [call.clone().header("if-none-match", "*"), call];
    let mut calls = vec![entry(name, "own"), entry("new", name)];
    calls.extend(only_new(Call::put(format!("/v1/jobs/{name}")).json(&job("own"))));
    calls.extend(only_new(Call::put("/v1/jobs/new").json(&job(name))));
    calls.extend(only_new(Call::put(format!("/v1/projects/{name}")).json(&json!({}))));
    calls
}

async fn send(client: &Client, call: Call, name: &str) -> (u16, String) {
    told(&client.send(call).await, name)
}

#[tokio::test]
async fn names_of_others_are_names_of_nothing_until_one_is_created() {
    let stack = TestStack::start_with_people().await;
    let (root, other) = (stack.log_in(Person::ROOT).await, stack.log_in(Person::OTHER_ADMIN).await);
    // The tenant `example` has a job and a project of this one name.
    let file = json!({ "jobs": [{ "job_id": "theirs", "project": "theirs",
        "provider": { "kind": "process", "ref": { "command": ["true"] } } }] });
    root.send(Call::post("/v1/jobs/import?tenant=example").json(&file)).await.expect(200);
    other.send(Call::put("/v1/projects/own").json(&json!({}))).await.expect(201);
    for (foreign, absent) in without_creating("theirs").into_iter().zip(without_creating("absent")) {
        let what = foreign.describe();
        assert_eq!(send(&other, foreign, "theirs").await, send(&other, absent, "absent").await, "{what}");
    }
    for call in creating("theirs") {
        let what = call.describe();
        let (status, said) = send(&other, call, "theirs").await;
        assert!(status == 409 || said.contains("refused\":1"), "{what}: {status} {said}");
        assert!(said.contains("cannot be used; choose another"), "{what}: {said}");
        for hint in ["example", "yours", "tenant", "belong", "taken", "other"] {
            assert!(!said.replace("another", "").contains(hint), "{what}: {said}");
        }
    }
    stack.stop().await;
}
