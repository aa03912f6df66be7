//! Users: creating and changing them, and what a change means at once.

use serde_json::{Value, json};

use crate::support::{Anonymous, Answer, Call, Client, TestStack, people::Person};

async fn patch(client: &Client, name: &str, body: &Value) -> Answer {
    let path = format!("/v1/users/{name}");
    let shown = client.get(&path).await.expect(200);
    let etag = shown.header("etag").expect("a user has an ETag").to_owned();
    client.send(Call::patch(path).json(body).header("if-match", etag)).await
}

#[tokio::test]
async fn a_change_of_roles_holds_for_sessions_that_go_on() {
    let stack = TestStack::start_with_people().await;
    let (root, viewer) = (stack.log_in(Person::ROOT).await, stack.log_in(Person::VIEWER).await);
    viewer.get("/v1/jobs/hello").await.expect(200);
    viewer.send(Call::post("/v1/jobs/hello/runs")).await.problem(403, "forbidden");
    let promoted = patch(&root, "viewer", &json!({ "roles": { "example": "developer" } })).await.expect(200);
    assert_eq!(promoted.json()["flushed"], true);
    viewer.send(Call::post("/v1/jobs/hello/runs")).await.expect(201);
    patch(&root, "viewer", &json!({ "roles": {} })).await.expect(200);
    viewer.get("/v1/jobs").await.problem(403, "forbidden");
    patch(&root, "viewer", &json!({ "state": "disabled" })).await.expect(200);
    viewer.get("/auth/me").await.problem(401, "unauthorized");
    patch(&root, "viewer", &json!({ "state": "active" })).await.expect(200);
    viewer.get("/auth/me").await.problem(401, "unauthorized");
    stack.stop().await;
}

#[tokio::test]
async fn a_password_that_is_reset_ends_every_session() {
    let stack = TestStack::start_with_people().await;
    let (root, viewer) = (stack.log_in(Person::ROOT).await, stack.log_in(Person::VIEWER).await);
    viewer.get("/auth/me").await.expect(200);
    let reset = json!({ "password": "green canary only" });
    let answer = root.send(Call::post("/v1/users/viewer/password").json(&reset)).await.expect(200);
    assert_eq!(answer.json()["flushed"], true);
    viewer.get("/auth/me").await.problem(401, "unauthorized");
    let anonymous = stack.client(&Anonymous);
    let log_in = |password: &str| {
        Call::post("/auth/login").json(&json!({ "username": "viewer", "password": password }))
    };
    anonymous.send(log_in("viewer-canary-password")).await.problem(401, "login-refused");
    anonymous.send(log_in("green canary only")).await.expect(200);
    root.send(Call::post("/v1/users/nobody/password").json(&reset)).await.problem(404, "not-found");
    stack.stop().await;
}

#[tokio::test]
async fn a_role_counts_in_its_own_tenant() {
    let stack = TestStack::start_with_people().await;
    let other_admin = stack.log_in(Person::OTHER_ADMIN).await;
    let job =
        json!({ "project": "theirs", "provider": { "kind": "process", "ref": { "command": ["true"] } } });
    other_admin.send(Call::put("/v1/jobs/their-job").json(&job)).await.expect(201);
    // A viewer there, a developer here.
    let developer = stack.log_in(Person::DEVELOPER).await;
    developer.get("/v1/jobs/their-job").await.expect(200);
    let refused = developer.send(Call::post("/v1/jobs/their-job/runs")).await.problem(403, "forbidden");
    assert!(refused["detail"].as_str().unwrap().contains("`other`"), "{refused}");
    developer.send(Call::post("/v1/jobs/hello/runs")).await.expect(201);
    // A viewer here alone sees nothing there.
    let viewer = stack.log_in(Person::VIEWER).await;
    viewer.get("/v1/jobs/their-job").await.problem(404, "not-found");
    let run = other_admin.trigger("their-job").await;
    developer.get(format!("/v1/runs/{run}")).await.expect(200);
    developer.send(Call::post(format!("/v1/runs/{run}/cancel"))).await.problem(403, "forbidden");
    viewer.get(format!("/v1/runs/{run}")).await.problem(404, "not-found");
    stack.stop().await;
}
