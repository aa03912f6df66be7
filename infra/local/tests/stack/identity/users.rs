//! Users: creating and changing them, and what a change means at once.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Anonymous, Answer, Call, Client, TestStack, people::Person};

async fn patch(client: &Client, name: &str, body: &Value) -> Answer {
    let path = format!("/v1/users/{name}");
    let shown = client.get(&path).await.expect(200);
    let etag = shown.header("etag").expect("a user has an ETag").to_owned();
    client.send(Call::patch(path).json(body).header("if-match", etag)).await
}

#[tokio::test]
async fn a_user_is_created_listed_and_logs_in() {
    let stack = TestStack::start_with_people().await;
    let root = stack.log_in(Person::ROOT).await;
    let body = json!({
        "user_name": "grace@example.com", "password": "blue skies only", "display_name": "Grace",
        "roles": { "example": "viewer" },
    });
    let created = root.send(Call::post("/v1/users").json(&body)).await.expect(201).json();
    assert_eq!(created["user"]["roles"], json!({ "example": "viewer" }));
    assert!(created["user"].get("password").is_none());
    root.send(Call::post("/v1/users").json(&body)).await.problem(409, "conflict");
    let users = root.all("/v1/users?limit=2", "users").await;
    let names: Vec<_> = users.iter().map(|user| user["user_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["admin", "dev", "grace@example.com", "other-admin", "root", "viewer"]);
    let log_in = json!({ "username": "grace@example.com", "password": "blue skies only" });
    stack.client(&Anonymous).send(Call::post("/auth/login").json(&log_in)).await.expect(200);
    stack.stop().await;
}

#[tokio::test]
async fn what_a_user_cannot_be_is_refused_by_field() {
    let stack = TestStack::start_with_people().await;
    let root = stack.log_in(Person::ROOT).await;
    for (body, pointer) in [
        (json!({ "user_name": "new", "password": "short" }), "/password"),
        (json!({ "user_name": "new", "password": "Password1" }), "/password"),
        (
            json!({ "user_name": "new", "password": "blue skies only", "roles": { "example": "owner" } }),
            "/roles/example",
        ),
        (
            json!({ "user_name": "new", "password": "blue skies only", "roles": { "Bad!": "viewer" } }),
            "/roles/Bad!",
        ),
        (json!({ "user_name": "a#b", "password": "blue skies only" }), "/user_name"),
        (json!({ "user_name": "new", "password": "blue skies only", "display_name": "" }), "/display_name"),
    ] {
        let problem = root.send(Call::post("/v1/users").json(&body)).await.problem(422, "validation-failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    root.get("/v1/users/new").await.problem(404, "not-found");
    stack.stop().await;
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
    let reset = json!({ "password": "green fields only" });
    let answer = root.send(Call::post("/v1/users/viewer/password").json(&reset)).await.expect(200);
    assert_eq!(answer.json()["flushed"], true);
    viewer.get("/auth/me").await.problem(401, "unauthorized");
    let anonymous = stack.client(&Anonymous);
    let log_in = |password: &str| {
        Call::post("/auth/login").json(&json!({ "username": "viewer", "password": password }))
    };
    anonymous.send(log_in("viewer-password")).await.problem(401, "login-refused");
    anonymous.send(log_in("green fields only")).await.expect(200);
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

#[tokio::test]
async fn the_last_platform_admin_stays_one() {
    let stack = TestStack::start_with_people().await;
    let root = stack.log_in(Person::ROOT).await;
    for change in
        [json!({ "roles": {} }), json!({ "state": "disabled" }), json!({ "roles": { "*": "viewer" } })]
    {
        patch(&root, "root", &change).await.problem(409, "last-platform-admin");
    }
    patch(&root, "admin", &json!({ "roles": { "*": "admin" } })).await.expect(200);
    // Both try to remove the other at once: one of them stays.
    let admin = stack.log_in(Person::ADMIN).await;
    let demotion = json!({ "roles": { "example": "viewer" } });
    let answers = join_all([patch(&root, "admin", &demotion), patch(&admin, "root", &demotion)]).await;
    let demoted = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(demoted <= 1, "{answers:?}");
    let both = [stack.log_in(Person::ROOT).await, stack.log_in(Person::ADMIN).await];
    let mut able = 0;
    for client in &both {
        able += usize::from(client.get("/v1/users").await.status == 200);
    }
    assert_eq!(able, 2 - demoted);
    stack.stop().await;
}

#[tokio::test]
async fn a_hundred_changes_at_once_are_one_change() {
    let stack = TestStack::start_with_people().await;
    let root = stack.log_in(Person::ROOT).await;
    let etag = root.get("/v1/users/viewer").await.expect(200).header("etag").unwrap().to_owned();
    let changes = (0..100).map(|n| {
        let name = json!({ "display_name": format!("Viewer {n}") });
        root.send(Call::patch("/v1/users/viewer").json(&name).header("if-match", etag.clone()))
    });
    let answers = join_all(changes).await;
    let done: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(done.len(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert!(matches!(answer.status.as_u16(), 412 | 503), "{}", answer.text());
    }
    let stands = root.get("/v1/users/viewer").await.expect(200).json();
    assert_eq!(stands["user"]["display_name"], done[0].json()["user"]["display_name"]);
    stack.stop().await;
}
