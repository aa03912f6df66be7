use gatehouse_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Person, Reply, Server};

fn user() -> Value {
    json!({
        "user_name": "grace", "roles": { "acme": "developer", "beta": "viewer" }, "state": "active",
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "updated_by": "ada",
    })
}

fn found() -> Reply {
    Reply::ok(&json!({ "user": user() })).with("etag", "\"v7\"")
}

fn edited() -> Reply {
    Reply::ok(&json!({ "user": user(), "effective_by": "2026-01-01T00:00:00Z", "flushed": true }))
}

#[tokio::test]
async fn users_are_listed_with_their_roles() {
    let server = Server::start().await;
    server
        .on("GET /v1/users", Reply::ok(&json!({ "users": [user()], "next_cursor": "c1" })))
        .on("GET /v1/users", Reply::ok(&json!({ "users": [] })));
    let ran = Person::with_token(&server).run(&["users", "list"]).await.done();
    assert!(ran.stdout.contains("acme=developer,beta=viewer"), "{}", ran.stdout);
    assert_eq!(server.lines(), ["GET /v1/users?limit=100", "GET /v1/users?limit=100&cursor=c1"]);
}

#[tokio::test]
async fn a_user_is_created_with_a_password_that_was_typed_twice() {
    let server = Server::start().await;
    server.on("POST /v1/users", Reply::json(201, &json!({ "user": user() })));
    let ada = Person::with_token(&server).on_a_terminal().types(&["correct horse", "correct horse"]);
    let create = ["users", "create", "grace", "--roles", "acme=developer", "--display-name", "Grace"];
    let ran = ada.run(&create).await.done();
    ran.never_says(&["correct horse"]);
    assert_eq!(
        server.only().json(),
        json!({
            "user_name": "grace", "password": "correct horse", "display_name": "Grace",
            "roles": { "acme": "developer" },
        })
    );
}

#[tokio::test]
async fn a_typing_error_in_a_new_password_changes_nothing() {
    let server = Server::start().await;
    let ada = Person::with_token(&server).on_a_terminal().types(&["correct horse", "correct house"]);
    let ran = ada.run(&["users", "password", "grace"]).await;
    assert_eq!(ran.exit, Exit::Usage);
    ran.never_says(&["correct"]);
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_password_from_standard_input_is_one_line() {
    let server = Server::start().await;
    let reset = json!({ "effective_by": "2026-01-01T00:00:00Z", "flushed": true });
    server.on("POST /v1/users/grace/password", Reply::ok(&reset));
    let mut ada = Person::with_token(&server);
    let password = ["users", "password", "grace", "--password-stdin"];
    for bad in ["", "\n", "one\ntwo\n"] {
        bad.clone_into(&mut ada.stdin);
        assert_eq!(ada.run(&password).await.exit, Exit::Usage, "{bad:?}");
    }
    assert!(server.asked().is_empty());
    " correct horse \r\n".clone_into(&mut ada.stdin);
    ada.run(&password).await.done();
    assert_eq!(server.only().json(), json!({ "password": " correct horse " }));
}

#[tokio::test]
async fn an_edit_says_which_version_it_was_made_of() {
    let cases: [(&[&str], Value); 3] = [
        (&["users", "roles", "grace", "*=admin"], json!({ "roles": { "*": "admin" } })),
        (&["users", "disable", "grace"], json!({ "state": "disabled" })),
        (&["users", "enable", "grace"], json!({ "state": "active" })),
    ];
    for (command, change) in cases {
        let server = Server::start().await;
        server.on("GET /v1/users/grace", found()).on("PATCH /v1/users/grace", edited());
        let ran = Person::with_token(&server).run(command).await.done();
        assert!(ran.stderr.contains("it holds everywhere by 2026-01-01T00:00:00Z"), "{ran:?}");
        assert_eq!(server.lines(), ["GET /v1/users/grace", "PATCH /v1/users/grace"]);
        let asked = server.asked();
        assert_eq!(asked[1].header("if-match"), Some("\"v7\""));
        assert_eq!(asked[1].json(), change);
    }
}

#[tokio::test]
async fn an_edit_that_came_too_late_is_refused() {
    let server = Server::start().await;
    let late = Reply::problem(412, "precondition-failed", "Precondition failed", &json!({}));
    server.on("GET /v1/users/grace", found()).on("PATCH /v1/users/grace", late);
    assert_eq!(Person::with_token(&server).run(&["users", "disable", "grace"]).await.exit, Exit::Refused);
}

#[tokio::test]
async fn machines_get_only_the_answer_to_the_edit() {
    let server = Server::start().await;
    server.on("GET /v1/users/grace", found()).on("PATCH /v1/users/grace", edited());
    let ran = Person::with_token(&server).run(&["users", "disable", "grace", "--json"]).await.done();
    assert_eq!(ran.json()["flushed"], json!(true));
    assert_eq!(ran.stdout.lines().count(), 1);
}

#[tokio::test]
async fn a_user_is_shown_member_by_member() {
    let server = Server::start().await;
    server.on("GET /v1/users/grace", found());
    let ran = Person::with_token(&server).run(&["users", "show", "grace"]).await.done();
    assert!(ran.stdout.contains("user_name   grace\n"), "{}", ran.stdout);
}
