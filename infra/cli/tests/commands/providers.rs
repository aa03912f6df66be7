use gatehouse_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Person, Reply, Server};

fn provider() -> Value {
    json!({
        "name": "concourse", "kind": "concourse", "url": "https://ci.example.com",
        "auth": { "grant": "password", "username": "ci" }, "scopes": { "acme": ["main"] }, "open_to_all": false,
        "updated_at": "2026-01-01T00:00:00Z", "updated_by": "user:root",
    })
}

#[tokio::test]
async fn providers_are_listed() {
    let server = Server::start().await;
    server.on("GET /v1/providers", Reply::ok(&json!({ "providers": [provider()] })));
    let ran = Person::with_token(&server).run(&["providers", "list"]).await.done();
    assert_eq!(
        ran.stdout,
        "NAME       KIND       URL                     UPDATED\n\
         concourse  concourse  https://ci.example.com  2026-01-01T00:00:00Z\n"
    );
}

#[tokio::test]
async fn what_will_not_work_is_said_and_fails() {
    let server = Server::start().await;
    let team = json!({
        "team": "main", "roles": ["viewer"], "list": true, "trigger": false, "watch": true, "cancel": false,
        "remedy": "give it a role",
    });
    let jobs = json!([
        { "job_id": "a", "trigger": "waits", "detail": "it is paused" },
        { "job_id": "b", "trigger": "fails", "detail": "it is gone" },
    ]);
    let problems = json!(["tenant `acme` may not", "job `b`: it is gone"]);
    let check = json!({ "ok": false, "problems": problems, "jobs": jobs, "teams": [team] });
    server.on("POST /v1/providers/concourse/check", Reply::ok(&json!({ "check": check })));
    let ran = Person::with_token(&server).run(&["providers", "check", "concourse"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert_eq!(ran.stderr, "tenant `acme` may not\njob `b`: it is gone\njob `a`: waits: it is paused\n");
    assert_eq!(
        ran.stdout,
        "TEAM  ROLES   LIST  TRIGGER  WATCH  CANCEL  REMEDY\n\
         main  viewer  true  false    true   false   give it a role\n"
    );
}

/// What is sent when the provider is shared so.
async fn shared(with: &[&str]) -> Value {
    let server = Server::start().await;
    let reply = || Reply::ok(&json!({ "provider": provider() })).with("etag", "\"rev_1\"");
    server.on("GET /v1/providers/concourse", reply()).on("PUT /v1/providers/concourse", reply());
    Person::with_token(&server).run(&[&["providers", "share", "concourse"], with].concat()).await.done();
    let put = server.asked()[1].clone();
    assert_eq!(put.header("if-match"), Some("\"rev_1\""));
    let body = put.json();
    for kept in ["kind", "url", "auth"] {
        assert_eq!(body[kept], provider()[kept], "{kept}");
    }
    body
}

#[tokio::test]
async fn a_provider_is_shared_and_otherwise_left_as_it_is() {
    let with = ["--scopes", "acme=main, team-a", "--scopes", "*=public", "--scopes", "acme=ops"];
    let body = shared(&with).await;
    assert_eq!(body["scopes"], json!({ "acme": ["main", "team-a", "ops"], "*": ["public"] }));
    assert!(body.get("open_to_all").is_none() && body.get("name").is_none(), "{body}");
    assert_eq!(shared(&["--closed"]).await["scopes"], json!({}));
    let open = shared(&["--open-to-all"]).await;
    assert_eq!((&open["open_to_all"], open.get("scopes")), (&json!(true), None));
}
