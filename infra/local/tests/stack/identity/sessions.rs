//! Logging in and out.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{
    Anonymous, Call, TestStack,
    people::{Bearer, Person},
};

fn log_in(name: &str, password: &str) -> Call {
    Call::post("/auth/login").json(&json!({ "username": name, "password": password }))
}

#[tokio::test]
async fn a_person_logs_in_and_is_known() {
    let stack = TestStack::start_with_people().await;
    let answer = stack.client(&Anonymous).send(log_in("dev", "dev-canary-password")).await.expect(200).json();
    assert_eq!((&answer["token_type"], &answer["user"]["user_name"]), (&json!("Bearer"), &json!("dev")));
    let roles = json!({ "example": "developer", "other": "viewer" });
    assert_eq!(answer["user"]["roles"], roles);
    let session = Bearer(answer["token"].as_str().unwrap().to_owned());
    let me = stack.client(&session).get("/auth/me").await.expect(200).json();
    let expected = json!({
        "kind": "user", "subject": "dev", "tenants": ["example", "other"], "roles": roles,
    });
    assert_eq!(me, expected);
    stack.stop().await;
}

#[tokio::test]
async fn a_session_that_was_ended_opens_nothing_from_then_on_and_others_go_on() {
    let stack = TestStack::start_with_people().await;
    let (first, second) = (stack.session(Person::VIEWER).await, stack.session(Person::VIEWER).await);
    let (first, second) = (stack.client(&first), stack.client(&second));
    first.get("/v1/jobs").await.expect(200);
    second.get("/v1/jobs").await.expect(200);
    let ended = first.send(Call::post("/auth/logout")).await.expect(200).json();
    assert_eq!(ended["flushed"], true);
    first.get("/v1/jobs").await.problem(401, "unauthorized");
    first.get("/v1/jobs/hello").await.problem(401, "unauthorized");
    second.get("/v1/jobs").await.expect(200);
    stack.stop().await;
}

#[tokio::test]
async fn a_hundred_people_log_in_at_once_with_one_name() {
    let stack = TestStack::start_with_people().await;
    let anonymous = stack.client(&Anonymous);
    let answers = join_all((0..100).map(|_| anonymous.send(log_in("admin", "admin-canary-password")))).await;
    let mut counts = [0, 0];
    for answer in &answers {
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(&answer.body) else { panic!("no JSON") };
        let Some(token) = body["token"].as_str() else {
            assert!(matches!(answer.status.as_u16(), 409 | 429 | 503), "{}", answer.text());
            continue;
        };
        let session = stack.client(&Bearer(token.to_owned()));
        let status = session.get("/auth/me").await.status.as_u16();
        counts[usize::from(status == 200)] += 1;
        assert!(matches!(status, 200 | 401), "{status}");
    }
    // Twenty sessions at most; those that began first made room.
    assert!((1..=20).contains(&counts[1]), "{counts:?}");
    stack.stop().await;
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions_and_keeps_this_one() {
    let stack = TestStack::start_with_people().await;
    let (this, other) = (stack.log_in(Person::DEVELOPER).await, stack.log_in(Person::DEVELOPER).await);
    other.get("/auth/me").await.expect(200);
    let change = |current: &str, new: &str| {
        Call::post("/auth/password").json(&json!({ "current_password": current, "new_password": new }))
    };
    this.send(change("wrong", "green canary only")).await.problem(401, "login-refused");
    this.send(change("dev-canary-password", "password")).await.problem(422, "validation-failed");
    this.send(change("dev-canary-password", "green canary only")).await.expect(200);
    this.get("/auth/me").await.expect(200);
    other.get("/auth/me").await.problem(401, "unauthorized");
    let anonymous = stack.client(&Anonymous);
    anonymous.send(log_in("dev", "dev-canary-password")).await.problem(401, "login-refused");
    anonymous.send(log_in("dev", "green canary only")).await.expect(200);
    stack.stop().await;
}
