use gatehouse_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Person, Reply, Server};

fn session(id: &str, current: bool) -> Value {
    json!({
        "session_id": id, "current": current, "started_at": "2026-01-01T00:00:00Z",
        "last_seen_at": "2026-01-01T01:00:00Z", "expires_at": "2026-01-01T12:00:00Z",
        "source_ip": "192.0.2.1", "user_agent": "curl/8.5.0",
    })
}

fn effect() -> Reply {
    Reply::ok(&json!({ "effective_by": "2026-01-01T00:00:00Z", "flushed": true }))
}

fn ended(count: u64) -> Reply {
    Reply::ok(&json!({ "ended": count, "effective_by": "2026-01-01T00:00:00Z", "flushed": true }))
}

/// What a server says that wants the password again.
fn say_it_again() -> Reply {
    Reply::problem(403, "reauthentication-required", "Say your password again", &json!({}))
}

#[tokio::test]
async fn ones_own_sessions_are_listed_and_ended() {
    let server = Server::start().await;
    let sessions = json!({ "sessions": [session("ses_1", true), session("ses_2", false)] });
    server
        .on("GET /auth/sessions", Reply::ok(&sessions))
        .on("DELETE /auth/sessions/ses_2", ended(1))
        .on("DELETE /auth/sessions", ended(3))
        .on("DELETE /v1/users/grace/sessions", ended(0));
    let ada = Person::with_token(&server);
    let ran = ada.run(&["sessions", "list"]).await.done();
    assert!(ran.stdout.contains("ses_1  true      2026-01-01T00:00:00Z"), "{}", ran.stdout);
    for (command, said) in [
        (&["sessions", "end", "ses_2"][..], "1 session has ended\n"),
        (&["sessions", "end", "--others"], "3 sessions have ended\n"),
        (&["users", "logout", "grace"], "0 sessions have ended\n"),
    ] {
        let ran = ada.run(command).await.done();
        assert!(ran.stderr.starts_with(said), "{ran:?}");
    }
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn a_password_is_asked_for_again_where_the_server_wants_it_and_the_command_goes_on() {
    let commands: [(&[&str], &str, Reply); 4] = [
        (
            &["keys", "mint", "--name", "ci", "--scopes", "*", "--tenants", "*"],
            "POST /v1/api-keys",
            Reply::json(201, &json!({ "key": "gh_new", "api_key": { "key_id": "key_1" } })),
        ),
        (
            &["tokens", "rotate", "tok_1"],
            "POST /v1/tokens/tok_1/rotate",
            Reply::json(201, &json!({ "token": "a.b.c", "jti": "tok_2" })),
        ),
        (
            &["users", "disable", "grace"],
            "PATCH /v1/users/grace",
            Reply::ok(&json!({ "user": { "user_name": "grace" } })),
        ),
        (
            &["users", "create", "grace", "--roles", "acme=viewer"],
            "POST /v1/users",
            Reply::json(201, &json!({ "user": { "user_name": "grace" } })),
        ),
    ];
    for (command, line, reply) in commands {
        let server = Server::start().await;
        server
            .on("GET /v1/users/grace", Reply::ok(&json!({ "user": {} })).with("etag", "\"v7\""))
            .on(line, say_it_again())
            .on("POST /auth/reauthenticate", effect())
            .on(line, reply);
        let types = if command[1] == "create" {
            &["new password", "new password", "correct horse"][..]
        } else {
            &["correct horse"]
        };
        let ada = Person::with_token(&server).types(types);
        ada.run(command).await.done().never_says(&["correct horse", "new password"]);
        let asked = server.asked();
        let [first, said, second] = &asked[asked.len() - 3..] else { panic!("three") };
        assert_eq!(said.json(), json!({ "password": "correct horse" }));
        assert_eq!((&first.line, &first.body), (&second.line, &second.body));
        assert_eq!(first.header("if-match"), second.header("if-match"));
    }
}

#[tokio::test]
async fn a_wrong_password_sends_nothing_again() {
    let server = Server::start().await;
    let refused = Reply::problem(401, "login-refused", "Login refused", &json!({}));
    server.on("POST /v1/api-keys", say_it_again()).on("POST /auth/reauthenticate", refused);
    let ada = Person::with_token(&server).types(&["wrong horse"]);
    let ran = ada.run(&["keys", "mint", "--name", "ci", "--scopes", "*", "--tenants", "*"]).await;
    assert_eq!(ran.exit, Exit::NotAllowed);
    assert!(!ran.stderr.contains("GATEHOUSE_TOKEN"), "{ran:?}");
    assert_eq!(server.lines(), ["POST /v1/api-keys", "POST /auth/reauthenticate"]);
}

#[tokio::test]
async fn where_nobody_can_be_asked_it_is_said_what_to_do() {
    let server = Server::start().await;
    server.on("POST /v1/api-keys", say_it_again());
    let mut ada = Person::with_token(&server);
    let ran = ada.run(&["keys", "mint", "--name", "ci", "--scopes", "*", "--tenants", "*"]).await;
    assert_eq!(ran.exit, Exit::NotAllowed);
    assert!(ran.stderr.contains("gatehouse reauthenticate --password-stdin"), "{ran:?}");
    assert_eq!(server.lines(), ["POST /v1/api-keys"]);
    server.on("POST /auth/reauthenticate", effect());
    ada.stdin = "correct horse\n".to_owned();
    ada.run(&["reauthenticate", "--password-stdin"]).await.done().never_says(&["correct horse"]);
    assert_eq!(server.asked()[1].json(), json!({ "password": "correct horse" }));
}

#[tokio::test]
async fn whoever_did_not_choose_their_password_is_told_so_and_changes_it() {
    let server = Server::start().await;
    let login = json!({
        "token": "session-1", "expires_at": "2026-01-01T08:00:00Z", "required_action": "change_password",
        "user": {},
    });
    server.on("POST /auth/login", Reply::ok(&login)).on("POST /auth/password", effect());
    let ada = Person::at(&server).types(&["first horse"]);
    let ran = ada.run(&["login", "--url", &server.url, "--username", "ada"]).await.done();
    assert!(ran.stderr.contains("change it first, with `gatehouse password`"), "{ran:?}");
    let ada = ada.types(&["first horse", "second horse", "second horse"]);
    ada.run(&["password"]).await.done().never_says(&["horse"]);
    let change = json!({ "current_password": "first horse", "new_password": "second horse" });
    assert_eq!(server.asked()[1].json(), change);
    assert_eq!(server.asked()[1].header("authorization"), Some("Bearer session-1"));
}

#[tokio::test]
async fn both_passwords_come_from_standard_input_as_two_lines() {
    let server = Server::start().await;
    server.on("POST /auth/password", effect());
    let mut ada = Person::with_token(&server);
    for bad in ["", "one\n", "one\n\n", "one\ntwo\nthree\n"] {
        bad.clone_into(&mut ada.stdin);
        assert_eq!(ada.run(&["password", "--passwords-stdin"]).await.exit, Exit::Usage, "{bad:?}");
    }
    assert!(server.asked().is_empty());
    "first horse\r\nsecond horse\r\n".clone_into(&mut ada.stdin);
    ada.run(&["password", "--passwords-stdin"]).await.done();
    let change = json!({ "current_password": "first horse", "new_password": "second horse" });
    assert_eq!(server.only().json(), change);
}
