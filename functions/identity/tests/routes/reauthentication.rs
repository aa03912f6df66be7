//! Saying one's password again, and changing one that somebody else chose.

use std::time::Duration;

use futures_util::future::join_all;
use gatehouse_domain::{
    access::{ENDPOINTS, Scope},
    caller::{Caller, Grant, RequiredAction},
    clock::Clock,
    reauthentication::ASKED_AT,
    users::{FindAccount, FindUser},
};
use gatehouse_testkit::app::{Answer, Client, TestApp, callers};
use insta::assert_snapshot;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{log_in, start, texts, with_grace};

/// Somebody who may do everything, and said their password then.
fn root_since(app: &TestApp, authenticated_at: Timestamp) -> Client<'_> {
    app.as_caller(callers::person_since("root", "*=admin", "ses_root", authenticated_at))
}

/// A request of each endpoint of this function that asks for a password of late.
async fn asked(client: &Client<'_>) -> Vec<(&'static str, Answer)> {
    let user = json!({ "user_name": "new", "password": "blue canary only" });
    let key = json!({ "name": "n", "scopes": ["jobs:read"], "tenants": "*" });
    let password = json!({ "password": "green canary only" });
    vec![
        ("enrol_second_factor", client.post("/auth/second-factor").await),
        ("renew_recovery_codes", client.post("/auth/second-factor/recovery-codes").await),
        ("remove_second_factor", client.delete("/auth/second-factor").await),
        ("create_user", client.post("/v1/users").json(&user).await),
        ("edit_user", client.patch("/v1/users/grace").json(&json!({})).await),
        ("reset_password", client.post("/v1/users/grace/password").json(&password).await),
        ("reset_second_factor", client.delete("/v1/users/grace/second-factor").await),
        ("mint_api_key", client.post("/v1/api-keys").json(&key).await),
        ("put_tenant", client.put("/v1/tenants/acme").json(&json!({ "display_name": "Acme" })).await),
    ]
}

#[tokio::test]
async fn what_outlives_a_session_takes_a_password_of_late() {
    let (app, _) = with_grace().await;
    let now = app.system.now();
    let late = root_since(&app, now - Duration::from_mins(10) - Duration::from_secs(1));
    let refused = asked(&late).await;
    let here = ASKED_AT.iter().filter(|endpoint| endpoint.function == "identity");
    assert_eq!(
        refused.iter().map(|(endpoint, _)| *endpoint).collect::<Vec<_>>(),
        here.map(|endpoint| endpoint.id).collect::<Vec<_>>()
    );
    for (endpoint, answer) in &refused {
        assert_eq!(answer.problem(), "reauthentication-required", "{endpoint}: {answer}");
    }
    assert_snapshot!(refused[0].1, @"
    403 Forbidden
    reauthentication-required: This takes a password that was said in the last ten minutes. Say it again with `POST /auth/reauthenticate`, and repeat the request.
    ");
    for (endpoint, answer) in asked(&root_since(&app, now - Duration::from_mins(10))).await {
        assert_ne!(answer.problem(), "reauthentication-required", "{endpoint}: {answer}");
    }
    // Reading, and taking away, do not ask.
    assert_eq!(late.get("/v1/users").await.status, 200);
    assert_eq!(late.delete("/v1/users/grace/sessions").await.status, 200);
    // Nobody is there to answer for a key.
    for (endpoint, answer) in asked(&app.as_api_key(&[Scope::All], "*")).await {
        assert_ne!(answer.problem(), "reauthentication-required", "{endpoint}: {answer}");
    }
}

/// `grace` in a session that began when this was called.
async fn in_session(app: &TestApp) -> (Client<'_>, String) {
    assert_eq!(log_in(app, "grace", "blue canary only").await.status, 200);
    let account = app.table.table.find_account(&"grace".parse().unwrap()).await.unwrap().unwrap();
    let (id, _) = account.sessions.iter().next_back().expect("a session");
    (app.as_caller(callers::person("grace", "acme=developer", id.as_str())), id.to_string())
}

async fn authenticated_at(app: &TestApp, session: &str) -> Timestamp {
    let account = app.table.table.find_account(&"grace".parse().unwrap()).await.unwrap().unwrap();
    account.sessions[&session.parse().unwrap()].authenticated_at()
}

#[tokio::test]
async fn a_password_that_is_said_again_counts_from_then_on_and_is_flushed() {
    let (app, _) = with_grace().await;
    let (grace, session) = in_session(&app).await;
    app.system.advance(Duration::from_hours(1));
    let say = |password: &str| grace.post("/auth/reauthenticate").json(&json!({ "password": password }));
    assert_snapshot!(say("a wrong guess").await, @"
    401 Unauthorized
    login-refused: The current password is wrong.
    ");
    assert_eq!(authenticated_at(&app, &session).await, app.system.now() - Duration::from_hours(1));
    app.system.advance(Duration::from_secs(1));
    assert_snapshot!(say("blue canary only").await, @r#"
    200 OK
    {
      "effective_by": "2026-09-21T15:13:21Z",
      "flushed": true
    }
    "#);
    assert_eq!((authenticated_at(&app, &session).await, app.flushes.count()), (app.system.now(), 1));
    let trail = app.as_platform_admin().get("/v1/audit?actor=user:grace").await;
    let entries = trail.body["entries"].as_array().unwrap();
    assert_eq!(texts(entries, "action")[..2], ["session.reauthenticate", "session.reauthenticate"]);
    assert_eq!(texts(entries, "outcome")[..2], ["done", "refused"]);
}

#[tokio::test]
async fn guesses_are_limited_together_with_those_at_changing_the_password_and_right_ones_do_not_count() {
    let (app, _) = with_grace().await;
    let (grace, _) = in_session(&app).await;
    let say = |password: &str| grace.post("/auth/reauthenticate").json(&json!({ "password": password }));
    for _ in 0..10 {
        assert_eq!(say("blue canary only").await.status, 200);
    }
    let guesses = join_all((0..9).map(async |_| say("a wrong guess").await)).await;
    assert_eq!(guesses.iter().filter(|answer| answer.problem() == "login-refused").count(), 6);
    assert_eq!(guesses.iter().filter(|answer| answer.problem() == "throttled").count(), 3);
    assert_eq!(say("blue canary only").await.problem(), "throttled");
    let change = json!({ "current_password": "a wrong guess", "new_password": "green canary only" });
    assert_eq!(grace.post("/auth/password").json(&change).await.problem(), "throttled");
}

#[tokio::test]
async fn refuses_what_is_no_password_of_a_session() {
    let (app, _) = with_grace().await;
    let (grace, session) = in_session(&app).await;
    let body = json!({ "password": "blue canary only" });
    assert_eq!(app.anonymous().post("/auth/reauthenticate").json(&body).await.problem(), "unauthorized");
    let key = app.as_api_key(&[Scope::All], "*").post("/auth/reauthenticate").json(&body).await;
    assert_eq!(key.problem(), "forbidden");
    let unknown = grace.post("/auth/reauthenticate").json(&json!({ "pass": "x" })).await;
    assert_eq!(unknown.problem(), "validation-failed");
    let long = json!({ "password": "x".repeat(1025) });
    assert_eq!(grace.post("/auth/reauthenticate").json(&long).await.problem(), "login-refused");
    // A session that was ended meanwhile is not brought back.
    assert_eq!(grace.delete(format!("/auth/sessions/{session}")).await.status, 200);
    assert_eq!(grace.post("/auth/reauthenticate").json(&body).await.problem(), "conflict");
    assert!(
        app.table.table.find_account(&"grace".parse().unwrap()).await.unwrap().unwrap().sessions.is_empty()
    );
}

mod required_action {
    use super::*;

    async fn must_change(app: &TestApp) -> bool {
        let user = app.table.table.find_user(&"grace".parse().unwrap()).await.unwrap().unwrap();
        user.must_change_password
    }

    fn change(current: &str, new: &str) -> Value {
        json!({ "current_password": current, "new_password": new })
    }

    /// `grace` as the authorizer knows her until she has chosen a password.
    fn restricted(app: &TestApp) -> Client<'_> {
        let Caller { subject, grant } = callers::person("grace", "acme=developer", "ses_grace");
        let Grant::User { roles, session, authenticated_at, .. } = grant else { panic!("a person") };
        let required_action = Some(RequiredAction::ChangePassword);
        app.as_caller(Caller {
            subject,
            grant: Grant::User { roles, session, authenticated_at, required_action },
        })
    }

    #[tokio::test]
    async fn a_password_that_somebody_else_chose_is_to_be_changed_first() {
        let (app, created) = with_grace().await;
        assert_eq!(created.body["user"]["must_change_password"], true);
        let login = log_in(&app, "grace", "blue canary only").await;
        assert_eq!(login.body["required_action"], "change_password");
        let grace = restricted(&app);
        assert_snapshot!(grace.get("/auth/me").await, @r#"
        200 OK
        {
          "kind": "user",
          "required_action": "change_password",
          "roles": {
            "acme": "developer"
          },
          "subject": "grace",
          "tenants": [
            "acme"
          ]
        }
        "#);
        assert_snapshot!(grace.get("/v1/tenants").await, @"
        403 Forbidden
        action-required: Somebody else chose your password. Choose another one first, with `POST /auth/password`.
        ");
        let same = grace.post("/auth/password").json(&change("blue canary only", "blue canary only")).await;
        assert_snapshot!(same, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/new_password`.
          "/new_password": is the one that you have
        "#);
        assert!(must_change(&app).await);
        let changed = grace.post("/auth/password").json(&change("blue canary only", "green canary only"));
        assert_eq!(changed.await.status, 200);
        assert!(!must_change(&app).await);
        let login = log_in(&app, "grace", "green canary only").await;
        assert_eq!(login.body.get("required_action"), None);
    }

    #[tokio::test]
    async fn nothing_else_of_this_function_is_open_until_then() {
        let app = start().await;
        let grace = restricted(&app);
        for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.function == "identity") {
            let path = endpoint
                .path
                .replace("{user_name}", "grace")
                .replace("{session_id}", "ses_00000000000000000000000000")
                .replace("{key_id}", "key_00000000000000000000")
                .replace("{tenant}", "acme")
                .replace("{project}", "payments");
            let answer = grace.call(endpoint.methods[0].parse().unwrap(), path).await;
            let open = ["show_caller", "log_out", "change_password"].contains(&endpoint.id);
            assert_eq!(answer.problem() != "action-required", open, "{}: {answer}", endpoint.id);
        }
    }

    #[tokio::test]
    async fn a_reset_requires_it_again_unless_it_is_ones_own() {
        let (app, _) = with_grace().await;
        let own = app.as_person("grace", "*=admin");
        let password = |text: &str| json!({ "password": text });
        let reset = own.post("/v1/users/grace/password").json(&password("green canary only")).await;
        assert_eq!((reset.status.as_u16(), must_change(&app).await), (200, false));
        let root = app.as_platform_admin();
        let reset = root.post("/v1/users/grace/password").json(&password("brown canary only")).await;
        assert_eq!((reset.status.as_u16(), must_change(&app).await), (200, true));
        // What else is changed of them leaves it.
        let etag = root.get("/v1/users/grace").await.etag().to_owned();
        let edit = root.patch("/v1/users/grace").if_match(&etag).json(&json!({ "display_name": "G." })).await;
        assert_eq!(
            (&edit.body["user"]["must_change_password"], must_change(&app).await),
            (&json!(true), true)
        );
    }
}
