//! Logging in and out.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{
    Anonymous, Call, Client, TestStack,
    people::{Bearer, Person, code_of},
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

#[tokio::test]
async fn a_session_is_ended_from_another_one_and_by_an_admin() {
    let stack = TestStack::start_with_people().await;
    let (this, other) = (stack.log_in(Person::VIEWER).await, stack.log_in(Person::VIEWER).await);
    other.get("/auth/me").await.expect(200);
    let listed = this.get("/auth/sessions").await.expect(200).json();
    let sessions = listed["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{listed}");
    assert!(sessions.iter().all(|session| session["source_ip"] == "127.0.0.1"), "{listed}");
    let theirs = sessions.iter().find(|session| session["current"] == false).unwrap();
    let path = format!("/auth/sessions/{}", theirs["session_id"].as_str().unwrap());
    assert_eq!(this.send(Call::delete(path)).await.expect(200).json()["flushed"], true);
    other.get("/auth/me").await.problem(401, "unauthorized");
    this.get("/auth/me").await.expect(200);
    let root = stack.log_in(Person::ROOT).await;
    let ended = root.send(Call::delete("/v1/users/viewer/sessions")).await.expect(200).json();
    assert_eq!(ended["ended"], 1);
    this.get("/auth/me").await.problem(401, "unauthorized");
    stack.stop().await;
}

#[tokio::test]
async fn whoever_did_not_choose_their_password_gets_no_further_than_choosing_one() {
    let stack = TestStack::start_with_people().await;
    let root = stack.log_in(Person::ROOT).await;
    let user =
        json!({ "user_name": "grace", "password": "blue canary only", "roles": { "example": "admin" } });
    root.send(Call::post("/v1/users").json(&user)).await.expect(201);
    let login = stack.client(&Anonymous).send(log_in("grace", "blue canary only")).await.expect(200).json();
    assert_eq!(login["required_action"], "change_password");
    let grace = stack.client(&Bearer(login["token"].as_str().unwrap().to_owned()));
    assert_eq!(grace.get("/auth/me").await.expect(200).json()["required_action"], "change_password");
    grace.get("/v1/jobs").await.problem(403, "forbidden");
    grace.get("/auth/sessions").await.problem(403, "forbidden");
    let mint = json!({ "project": "example", "service": "worker" });
    grace.send(Call::post("/v1/tokens").json(&mint)).await.problem(403, "forbidden");
    let change = json!({ "current_password": "blue canary only", "new_password": "green canary only" });
    grace.send(Call::post("/auth/password").json(&change)).await.expect(200);
    grace.get("/v1/jobs").await.expect(200);
    grace.send(Call::post("/v1/tokens").json(&mint)).await.expect(201);
    stack.stop().await;
}

#[tokio::test]
async fn a_tenant_that_wants_a_second_factor_gets_it_from_sessions_that_go_on() {
    let stack = TestStack::start_with_people().await;
    let (root, viewer) = (stack.log_in(Person::ROOT).await, stack.log_in(Person::VIEWER).await);
    viewer.get("/v1/jobs").await.expect(200);
    let enrol = async |client: &Client| {
        let enrolled = client.send(Call::post("/auth/second-factor")).await.expect(200).json();
        let code = code_of(enrolled["secret"].as_str().expect("a secret"));
        let confirm = Call::post("/auth/second-factor/confirm").json(&json!({ "code": code }));
        let confirmed = client.send(confirm).await.expect(200).json();
        (code, confirmed["recovery_codes"][0].as_str().expect("a code").to_owned())
    };
    // Whoever wants one of others needs one as well.
    enrol(&root).await;
    let wanted = json!({ "display_name": "Example", "require_second_factor": true });
    root.send(Call::put("/v1/tenants/example").json(&wanted)).await.expect(200);
    root.get("/v1/jobs").await.expect(200);
    viewer.get("/v1/jobs").await.problem(403, "forbidden");
    assert_eq!(viewer.get("/auth/me").await.expect(200).json()["required_action"], "enrol_second_factor");
    let (spent, recovery) = enrol(&viewer).await;
    viewer.get("/v1/jobs").await.expect(200);
    let anonymous = stack.client(&Anonymous);
    let log_in = |code: &str| {
        let body = json!({ "username": "viewer", "password": "viewer-canary-password", "code": code });
        Call::post("/auth/login").json(&body)
    };
    let body = json!({ "username": "viewer", "password": "viewer-canary-password" });
    anonymous.send(Call::post("/auth/login").json(&body)).await.problem(401, "second-factor-required");
    anonymous.send(log_in(&spent)).await.problem(401, "login-refused");
    anonymous.send(log_in(&recovery)).await.expect(200);
    root.send(Call::delete("/v1/users/viewer/second-factor")).await.expect(200);
    viewer.get("/auth/me").await.problem(401, "unauthorized");
    let again = stack.log_in(Person::VIEWER).await;
    again.get("/v1/jobs").await.problem(403, "forbidden");
    stack.stop().await;
}
