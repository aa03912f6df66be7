//! One's own sessions, and those of others.

use std::time::Duration;

use gatehouse_domain::{access::Scope, users::FindAccount};
use gatehouse_testkit::app::{Client, TestApp, callers};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{log_in, start, texts, with_grace};

/// The ids of the sessions of `grace` that the table has.
async fn ids(app: &TestApp) -> Vec<String> {
    let account = app.table.table.find_account(&"grace".parse().unwrap()).await.unwrap().unwrap();
    account.sessions.keys().map(ToString::to_string).collect()
}

/// Logs `grace` in from this address, and returns the id of the session.
async fn begin(app: &TestApp, address: &str) -> String {
    let before = ids(app).await;
    let login = log_in(app, "grace", "blue canary only").from_address(address);
    assert_eq!(login.header("user-agent", "tests").await.status, 200);
    ids(app).await.into_iter().find(|id| !before.contains(id)).expect("a session has begun")
}

fn grace<'a>(app: &'a TestApp, session: &str) -> Client<'a> {
    app.as_caller(callers::person("grace", "acme=developer", session))
}

async fn listed(client: &Client<'_>) -> Vec<Value> {
    let answer = client.get("/auth/sessions").await;
    assert_eq!(answer.status, 200, "{answer}");
    answer.body["sessions"].as_array().unwrap().clone()
}

#[tokio::test]
async fn everybody_sees_their_sessions_and_which_one_they_are_in() {
    let (app, _) = with_grace().await;
    begin(&app, "192.0.2.1").await;
    app.system.advance(Duration::from_mins(3));
    let second = begin(&app, "2001:db8::7").await;
    let mut answer = grace(&app, &second).get("/auth/sessions").await;
    for session in answer.body["sessions"].as_array_mut().unwrap() {
        assert!(session["session_id"].as_str().unwrap().starts_with("ses_"));
        session["session_id"] = json!("(an id)");
    }
    assert_snapshot!(answer, @r#"
    200 OK
    {
      "sessions": [
        {
          "current": true,
          "expires_at": "2026-09-22T02:16:20Z",
          "last_seen_at": "2026-09-21T14:16:20Z",
          "session_id": "(an id)",
          "source_ip": "2001:db8::7",
          "started_at": "2026-09-21T14:16:20Z",
          "user_agent": "tests"
        },
        {
          "current": false,
          "expires_at": "2026-09-22T02:13:20Z",
          "last_seen_at": "2026-09-21T14:13:20Z",
          "session_id": "(an id)",
          "source_ip": "192.0.2.1",
          "started_at": "2026-09-21T14:13:20Z",
          "user_agent": "tests"
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn sessions_that_are_over_are_not_listed_and_make_room() {
    let (app, _) = with_grace().await;
    let first = begin(&app, "192.0.2.1").await;
    app.system.advance(Duration::from_hours(2));
    let second = begin(&app, "192.0.2.1").await;
    let sessions = listed(&grace(&app, &second)).await;
    assert_eq!(texts(&sessions, "session_id"), std::slice::from_ref(&second));
    assert_eq!(ids(&app).await, std::slice::from_ref(&second), "one that was left is kept");
    let gone = grace(&app, &second).delete(format!("/auth/sessions/{first}")).await;
    assert_eq!(gone.problem(), "not-found");
}

#[tokio::test]
async fn one_of_them_is_ended_or_all_but_the_own() {
    let (app, _) = with_grace().await;
    let mut sessions = Vec::new();
    for last in 1..=4 {
        sessions.push(begin(&app, &format!("192.0.2.{last}")).await);
    }
    let client = grace(&app, &sessions[0]);
    let end = client.delete(format!("/auth/sessions/{}", sessions[1])).await;
    assert_snapshot!(end, @r#"
    200 OK
    {
      "effective_by": "2026-09-21T14:13:20Z",
      "ended": 1,
      "flushed": true
    }
    "#);
    assert_snapshot!(client.delete(format!("/auth/sessions/{}", sessions[1])).await, @"
    404 Not Found
    not-found: There is no such session of yours.
    ");
    assert_eq!(listed(&client).await.len(), 3);
    let others = client.delete("/auth/sessions").await;
    assert_eq!((others.status.as_u16(), &others.body["ended"]), (200, &json!(2)));
    assert_eq!(ids(&app).await, std::slice::from_ref(&sessions[0]));
    let again = client.delete("/auth/sessions").await;
    assert_eq!((again.status.as_u16(), &again.body["ended"]), (200, &json!(0)));
    // The own one can be ended as well, which is logging out.
    let own = client.delete(format!("/auth/sessions/{}", sessions[0])).await;
    assert_eq!((own.status.as_u16(), app.flushes.count()), (200, 4));
    assert!(ids(&app).await.is_empty());
    let trail = app.as_platform_admin().get("/v1/audit?actor=user:grace").await;
    let entries = trail.body["entries"].as_array().unwrap();
    let ended: Vec<_> = entries.iter().filter(|entry| entry["action"] == "session.end").cloned().collect();
    let mut details = texts(&ended, "detail");
    details.sort();
    let one = "the one that began at 2026-09-21T14:13:20Z";
    assert_eq!(details, ["0 of them", "2 of them", one, one]);
}

#[tokio::test]
async fn nobody_sees_or_ends_the_sessions_of_others_by_their_id() {
    let (app, _) = with_grace().await;
    let theirs = begin(&app, "192.0.2.1").await;
    let vera = app.as_viewer("acme");
    assert_eq!(listed(&vera).await, Vec::<Value>::new());
    let absent = "ses_00000000000000000000000000";
    for id in [theirs.as_str(), absent] {
        assert_eq!(vera.delete(format!("/auth/sessions/{id}")).await.problem(), "not-found", "{id}");
    }
    assert_eq!(vera.delete("/auth/sessions/none").await.problem(), "invalid-path");
    assert_eq!(vera.delete("/auth/sessions").await.body["ended"], 0);
    assert_eq!(ids(&app).await, [theirs]);
}

#[tokio::test]
async fn sessions_are_of_people() {
    let app = start().await;
    let id = "ses_00000000000000000000000000";
    for client in [app.as_api_key(&[Scope::All], "*"), app.as_service("acme", "payments", "worker")] {
        assert_eq!(client.get("/auth/sessions").await.problem(), "forbidden");
        assert_eq!(client.delete("/auth/sessions").await.problem(), "forbidden");
        assert_eq!(client.delete(format!("/auth/sessions/{id}")).await.problem(), "forbidden");
    }
    assert_eq!(app.anonymous().get("/auth/sessions").await.problem(), "unauthorized");
    assert_eq!(app.as_viewer("acme").get("/auth/sessions?user=root").await.problem(), "invalid-query");
    assert_eq!(app.as_viewer("acme").delete("/auth/sessions?all").await.problem(), "invalid-query");
}

#[tokio::test]
async fn an_admin_ends_all_sessions_of_another_user() {
    let (app, created) = with_grace().await;
    begin(&app, "192.0.2.1").await;
    begin(&app, "192.0.2.2").await;
    let end = app.as_platform_admin().delete("/v1/users/grace/sessions").await;
    assert_snapshot!(end, @r#"
    200 OK
    {
      "effective_by": "2026-09-21T14:13:20Z",
      "ended": 2,
      "flushed": true
    }
    "#);
    assert!(ids(&app).await.is_empty());
    let shown = app.as_platform_admin().get("/v1/users/grace").await;
    assert_eq!(shown.etag(), created.etag(), "ending sessions is an edit");
    assert_eq!(log_in(&app, "grace", "blue canary only").await.status, 200);
    assert_snapshot!(app.as_platform_admin().delete("/v1/users/nobody/sessions").await, @"
    404 Not Found
    not-found: There is no such user.
    ");
    assert_eq!(app.as_admin("acme").delete("/v1/users/grace/sessions").await.problem(), "forbidden");
}
