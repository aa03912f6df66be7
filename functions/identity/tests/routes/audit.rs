use gatehouse_domain::access::Scope;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{all, log_in, start, texts, with_grace};

#[tokio::test]
async fn shows_who_did_what_the_newest_act_first() {
    let (app, _) = with_grace().await;
    app.system.advance(std::time::Duration::from_secs(1));
    log_in(&app, "grace", "a wrong guess").await;
    app.system.advance(std::time::Duration::from_secs(1));
    app.as_admin("acme").put("/v1/projects/payments").json(&json!({})).await;
    let shown = app.as_platform_admin().get("/v1/audit").await;
    let cursor = shown.body["next_cursor"].as_str().unwrap();
    assert_snapshot!(shown.to_string().replace(cursor, "CURSOR"), @r#"
    200 OK
    link: <?limit=50&cursor=CURSOR&until=2026-09-21T14:13:22Z>; rel="next"
    {
      "entries": [
        {
          "action": "project.put",
          "actor": "user:ada",
          "at": "2026-09-21T14:13:22Z",
          "id": "aud_#1",
          "outcome": "done",
          "request_id": "req_test",
          "source_ip": "192.0.2.1",
          "target": "project:payments",
          "tenant": "acme",
          "user_agent": "tests"
        },
        {
          "action": "session.login",
          "actor": "user:grace",
          "at": "2026-09-21T14:13:21Z",
          "detail": "refused",
          "id": "aud_#2",
          "outcome": "refused",
          "request_id": "req_test",
          "source_ip": "192.0.2.1",
          "target": "user:grace",
          "user_agent": "tests"
        },
        {
          "action": "user.create",
          "actor": "user:root",
          "at": "2026-09-21T14:13:20Z",
          "detail": "acme=developer",
          "id": "aud_#3",
          "outcome": "done",
          "request_id": "req_test",
          "source_ip": "192.0.2.1",
          "target": "user:grace",
          "user_agent": "tests"
        }
      ],
      "next_cursor": "CURSOR"
    }
    "#);
    // What belongs to a tenant is seen there, and nothing of people's sessions.
    let entries = all(&app.as_admin("acme"), "/v1/audit?", "entries").await;
    assert_eq!(texts(&entries, "action"), ["project.put"]);
    let until = app.as_platform_admin().get("/v1/audit?until=2026-09-21T14:13:20Z").await;
    assert_eq!(texts(until.body["entries"].as_array().unwrap(), "action"), ["user.create"]);
}

#[tokio::test]
async fn what_was_written_for_a_name_is_not_kept_unless_it_can_be_one() {
    let app = start().await;
    log_in(&app, "my secret password!", "x").await;
    let trail = app.as_platform_admin().get("/v1/audit").await;
    let entry = &trail.body["entries"][0];
    assert_eq!((&entry["actor"], &entry["outcome"]), (&json!("user:?"), &json!("refused")));
    assert!(!trail.text.contains("secret"), "{trail}");
}

#[tokio::test]
async fn a_trail_is_read_by_those_whose_it_is() {
    let app = start().await;
    app.as_admin("acme").put("/v1/projects/payments").json(&json!({})).await;
    let none: [Value; 0] = [];
    for query in ["", "tenant=acme&", "actor=user:ada&"] {
        let seen = all(&app.as_admin("beta"), &format!("/v1/audit?{query}"), "entries").await;
        assert_eq!(seen, none, "{query}");
        let seen = all(&app.as_admin("acme"), &format!("/v1/audit?{query}"), "entries").await;
        assert_eq!(texts(&seen, "target"), ["project:payments"], "{query}");
    }
    assert_eq!(app.anonymous().get("/v1/audit").await.problem(), "unauthorized");
    assert_eq!(app.as_developer("acme").get("/v1/audit").await.problem(), "forbidden");
    assert_eq!(app.as_api_key(&[Scope::All], "acme").get("/v1/audit").await.status, 200);
    assert_eq!(app.as_api_key(&[Scope::JobsRead], "acme").get("/v1/audit").await.problem(), "forbidden");
}

#[tokio::test]
async fn refuses_what_it_does_not_understand() {
    let app = start().await;
    let acme = app.as_admin("acme");
    for bad in ["until=yesterday", "cursor=x", "limit=0", "unknown=1"] {
        assert_eq!(acme.get(format!("/v1/audit?{bad}")).await.problem(), "invalid-query", "{bad}");
    }
    assert_snapshot!(acme.get("/v1/audit?tenant=acme&actor=user:ada").await, @"
    400 Bad Request
    invalid-query: Filter by tenant or by actor, not by both.
    ");
    assert_snapshot!(app.as_person("ada", "acme=admin,beta=admin").get("/v1/audit").await, @"
    400 Bad Request
    invalid-query: Say with ?tenant= which tenant's trail you want to read.
    ");
    assert_snapshot!(acme.get(format!("/v1/audit?actor={}", "x".repeat(201))).await, @"
    400 Bad Request
    invalid-query: `actor` is longer than any actor's name.
    ");
}
