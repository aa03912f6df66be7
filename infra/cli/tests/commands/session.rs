use gatehouse_cli::Exit;
use serde_json::json;

use crate::support::{Person, Reply, Server};

#[tokio::test]
async fn whoever_logs_in_is_known_from_then_on() {
    let server = Server::start().await;
    let me = json!({ "kind": "user", "subject": "ada", "tenants": "*", "roles": { "*": "admin" } });
    server.on("GET /auth/me", Reply::ok(&me));
    let ada = Person::at(&server);
    ada.log_in(&server, "session-1").await;
    let said = ada.run(&["whoami"]).await.done().stdout;
    assert_eq!(said, "kind     user\nroles    *=admin\nsubject  ada\ntenants  *\n");
    let asked = server.asked();
    assert_eq!(asked[0].json(), json!({ "username": "ada", "password": "correct horse" }));
    assert_eq!(asked[0].header("authorization"), None);
    assert_eq!(asked[1].header("authorization"), Some("Bearer session-1"));
}

#[tokio::test]
async fn name_and_password_are_asked_for_at_a_terminal() {
    let server = Server::start().await;
    let session = json!({ "token": "session-1", "expires_at": "2026-01-01T08:00:00Z", "user": {} });
    server.on("POST /auth/login", Reply::ok(&session));
    let ada = Person::at(&server).on_a_terminal().types(&["ada", "correct horse"]);
    let ran = ada.run(&["login"]).await.done();
    ran.never_says(&["session-1", "correct horse"]);
    assert_eq!(ran.stderr, format!("logged in at {} as ada until 2026-01-01T08:00:00Z\n", server.url));
    assert_eq!(server.only().json(), json!({ "username": "ada", "password": "correct horse" }));
}

#[tokio::test]
async fn whoever_logs_in_is_told_when_the_session_will_not_be_used() {
    let server = Server::start().await;
    let session = json!({ "token": "session-1", "expires_at": "2026-01-01T08:00:00Z", "user": {} });
    server.on("POST /auth/login", Reply::ok(&session));
    let ada = Person::with_token(&server).types(&["correct horse"]);
    let ran = ada.run(&["login", "--username", "ada"]).await.done();
    assert!(ran.stderr.contains("warning: GATEHOUSE_TOKEN is set"), "{ran:?}");
    assert_eq!(server.only().header("authorization"), None);
}

#[tokio::test]
async fn without_a_terminal_the_password_has_to_come_from_standard_input() {
    let server = Server::start().await;
    let ran = Person::at(&server).run(&["login", "--username", "ada"]).await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.stderr.contains("--password-stdin"), "{ran:?}");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_login_that_is_refused_keeps_nothing() {
    let server = Server::start().await;
    server.on("POST /auth/login", Reply::problem(401, "login-refused", "Login refused", &json!({})));
    let mut ada = Person::at(&server);
    ada.stdin = "wrong horse\n".to_owned();
    let ran = ada.run(&["login", "--username", "ada", "--password-stdin"]).await;
    assert_eq!(ran.exit, Exit::NotAllowed);
    ran.never_says(&["wrong horse"]);
    assert_eq!(ran.stderr, "gatehouse: Login refused (401)\n  About login-refused.\n  request_id: req-1\n");
    assert!(!ada.credentials().exists());
}

#[tokio::test]
async fn too_many_logins_say_when_to_try_again() {
    let server = Server::start().await;
    let throttled =
        Reply::problem(429, "throttled", "Too many requests", &json!({})).with("retry-after", "30");
    server.on("POST /auth/login", throttled);
    let mut ada = Person::at(&server);
    ada.stdin = "correct horse".to_owned();
    let ran = ada.run(&["login", "--username", "ada", "--password-stdin"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stderr.contains("Try again after 30 s."), "{ran:?}");
}

#[tokio::test]
async fn logging_out_ends_the_session_there_and_here() {
    let server = Server::start().await;
    let ended = json!({ "effective_by": "2026-01-01T00:00:00Z", "flushed": true });
    server.on("POST /auth/logout", Reply::ok(&ended));
    let ada = Person::at(&server);
    ada.log_in(&server, "session-1").await;
    let ran = ada.run(&["logout"]).await.done();
    assert!(ran.stderr.contains("it holds everywhere by 2026-01-01T00:00:00Z"), "{ran:?}");
    assert_eq!(server.asked()[1].header("authorization"), Some("Bearer session-1"));
    assert_eq!(ada.run(&["whoami"]).await.exit, Exit::NotAllowed);
    assert_eq!(server.asked().len(), 2, "nothing is sent without a session");
}

#[tokio::test]
async fn a_session_that_had_ended_already_is_forgotten() {
    let server = Server::start().await;
    server.on("POST /auth/logout", Reply::problem(401, "unauthorized", "Unauthorized", &json!({})));
    let ada = Person::at(&server);
    ada.log_in(&server, "session-1").await;
    ada.run(&["logout"]).await.done();
    assert!(!std::fs::read_to_string(ada.credentials()).unwrap().contains("session-1"));
}

#[tokio::test]
async fn a_session_that_could_not_be_ended_is_kept() {
    let server = Server::start().await;
    server.on("POST /auth/logout", Reply::problem(503, "unavailable", "Unavailable", &json!({})));
    let ada = Person::at(&server);
    ada.log_in(&server, "session-1").await;
    assert_eq!(ada.run(&["logout"]).await.exit, Exit::Unavailable);
    assert!(std::fs::read_to_string(ada.credentials()).unwrap().contains("session-1"));
}

#[tokio::test]
async fn machines_get_what_the_server_said() {
    let server = Server::start().await;
    let me = json!({ "kind": "api_key", "subject": "key_1", "tenants": ["acme"], "scopes": ["jobs:read"] });
    server.on("GET /auth/me", Reply::ok(&me));
    let ran = Person::with_token(&server).run(&["whoami", "--json"]).await.done();
    assert_eq!(ran.stdout, format!("{me}\n"));
    assert_eq!(ran.stderr, "");
}
