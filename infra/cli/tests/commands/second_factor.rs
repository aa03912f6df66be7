use gatehouse_cli::Exit;
use serde_json::json;

use crate::support::{Person, Reply, Server};

fn code_wanted() -> Reply {
    Reply::problem(401, "second-factor-required", "Second factor required", &json!({}))
}

fn effect() -> Reply {
    Reply::ok(&json!({ "effective_by": "2026-01-01T00:00:00Z", "flushed": true }))
}

fn confirmed() -> Reply {
    Reply::ok(&json!({
        "recovery_codes": ["aaaa-bbbb-cccc-dddd", "eeee-ffff-gggg-hhhh"],
        "effective_by": "2026-01-01T00:00:00Z", "flushed": true,
    }))
}

fn session() -> Reply {
    Reply::ok(&json!({ "token": "session-1", "expires_at": "2026-01-01T08:00:00Z", "user": {} }))
}

#[tokio::test]
async fn a_login_asks_for_a_code_where_one_is_wanted() {
    let server = Server::start().await;
    server.on("POST /auth/login", code_wanted()).on("POST /auth/login", session());
    let ada = Person::at(&server).types(&["correct horse", "123456"]);
    ada.run(&["login", "--username", "ada"]).await.done().never_says(&["123456", "correct horse"]);
    let asked = server.asked();
    assert_eq!(asked[0].json(), json!({ "username": "ada", "password": "correct horse" }));
    assert_eq!(asked[1].json(), json!({ "username": "ada", "password": "correct horse", "code": "123456" }));
}

#[tokio::test]
async fn a_code_can_be_given_and_has_to_be_where_there_is_nobody_to_ask() {
    let server = Server::start().await;
    server.on("POST /auth/login", code_wanted()).on("POST /auth/login", session());
    let mut ada = Person::at(&server);
    ada.stdin = "correct horse\n".to_owned();
    let ran = ada.run(&["login", "--username", "ada", "--password-stdin"]).await;
    assert_eq!(ran.exit, Exit::NotAllowed);
    assert!(ran.stderr.contains("--code"), "{ran:?}");
    ada.run(&["login", "--username", "ada", "--password-stdin", "--code", "123456"]).await.done();
    assert_eq!(server.asked()[1].json()["code"], "123456");
}

#[tokio::test]
async fn enrolling_shows_the_secret_confirms_it_and_shows_the_recovery_codes() {
    let server = Server::start().await;
    let secret = json!({ "secret": "JBSWY3DP", "uri": "otpauth://totp/Gatehouse:ada?secret=JBSWY3DP" });
    server
        .on("POST /auth/second-factor", Reply::ok(&secret))
        .on("POST /auth/second-factor/confirm", confirmed());
    let ran = Person::with_token(&server).types(&["123456"]).run(&["second-factor", "enrol"]).await.done();
    assert_eq!(
        ran.stdout,
        "otpauth://totp/Gatehouse:ada?secret=JBSWY3DP\naaaa-bbbb-cccc-dddd\neeee-ffff-gggg-hhhh\n"
    );
    assert_eq!(server.asked()[1].json(), json!({ "code": "123456" }));
}

#[tokio::test]
async fn where_nobody_can_be_asked_the_code_is_confirmed_later() {
    let server = Server::start().await;
    let secret = json!({ "secret": "JBSWY3DP", "uri": "otpauth://totp/Gatehouse:ada?secret=JBSWY3DP" });
    server
        .on("POST /auth/second-factor", Reply::ok(&secret))
        .on("POST /auth/second-factor/confirm", confirmed())
        .on("DELETE /auth/second-factor", effect())
        .on("DELETE /v1/users/grace/second-factor", effect());
    let ada = Person::with_token(&server);
    let ran = ada.run(&["second-factor", "enrol"]).await.done();
    assert!(ran.stderr.contains("second-factor confirm CODE"), "{ran:?}");
    let ran = ada.run(&["second-factor", "confirm", "123456"]).await.done();
    assert_eq!(ran.stdout, "aaaa-bbbb-cccc-dddd\neeee-ffff-gggg-hhhh\n");
    ada.run(&["second-factor", "remove"]).await.done();
    ada.run(&["users", "reset-second-factor", "grace"]).await.done();
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn new_recovery_codes_stand_alone_on_standard_output() {
    let server = Server::start().await;
    server.on("POST /auth/second-factor/recovery-codes", confirmed());
    let ran = Person::with_token(&server).run(&["second-factor", "recovery-codes"]).await.done();
    assert_eq!(ran.stdout, "aaaa-bbbb-cccc-dddd\neeee-ffff-gggg-hhhh\n");
    assert!(ran.stderr.contains("take the place of those before"), "{ran:?}");
    assert!(server.only().body.is_empty());
}

#[tokio::test]
async fn saying_the_password_again_asks_for_a_code_where_one_is_wanted() {
    let server = Server::start().await;
    let wanted = Reply::problem(403, "reauthentication-required", "Say your password again", &json!({}));
    server
        .on("DELETE /auth/second-factor", wanted)
        .on("POST /auth/reauthenticate", code_wanted())
        .on("POST /auth/reauthenticate", effect())
        .on("DELETE /auth/second-factor", effect());
    let ada = Person::with_token(&server).types(&["correct horse", "123456"]);
    ada.run(&["second-factor", "remove"]).await.done().never_says(&["correct horse", "123456"]);
    let asked = server.asked();
    assert_eq!(asked[2].json(), json!({ "password": "correct horse", "code": "123456" }));
    assert_eq!(asked.len(), 4);
}

#[tokio::test]
async fn whoever_needs_a_second_factor_is_told_so() {
    let server = Server::start().await;
    let login = json!({
        "token": "session-1", "expires_at": "2026-01-01T08:00:00Z",
        "required_action": "enrol_second_factor", "user": {},
    });
    server.on("POST /auth/login", Reply::ok(&login));
    let ada = Person::at(&server).types(&["correct horse"]);
    let ran = ada.run(&["login", "--username", "ada"]).await.done();
    assert!(ran.stderr.contains("gatehouse second-factor enrol"), "{ran:?}");
}
