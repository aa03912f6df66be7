use gatehouse_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Person, Reply, Server, TOKEN};

fn token(jti: &str) -> Value {
    json!({
        "jti": jti, "project": "web", "service": "worker", "tenant": "acme", "description": "nightly",
        "state": "active", "created_at": "2026-01-01T00:00:00Z", "created_by": "ada",
        "expires_at": "2026-04-01T00:00:00Z",
    })
}

fn minted() -> Value {
    json!({
        "token": "eyJ.new.token", "jti": "tok_new", "expiresAt": "2026-04-01T00:00:00Z", "project": "web",
        "service": "worker",
    })
}

#[tokio::test]
async fn a_minted_token_stands_alone_on_standard_output() {
    let server = Server::start().await;
    server.on("POST /v1/tokens", Reply::json(201, &minted()));
    let mint = ["tokens", "mint", "--project", "web", "--service", "worker", "--description", "nightly"];
    let ran =
        Person::with_token(&server).run(&[&mint[..], &["--expires-in-days", "30"]].concat()).await.done();
    assert_eq!(ran.stdout, "eyJ.new.token\n");
    assert!(ran.stderr.contains("tok_new for worker of web, until 2026-04-01T00:00:00Z"), "{ran:?}");
    assert!(!ran.stderr.contains("eyJ.new.token"), "{ran:?}");
    let asked = server.only();
    assert_eq!(asked.header("authorization"), Some(&*format!("Bearer {TOKEN}")));
    assert_eq!(
        asked.json(),
        json!({ "project": "web", "service": "worker", "description": "nightly", "expires_in_days": 30 })
    );
}

#[tokio::test]
async fn what_is_not_given_is_not_sent() {
    let server = Server::start().await;
    server.on("POST /v1/tokens", Reply::json(201, &minted()));
    let mint = ["tokens", "mint", "--project", "web", "--service", "worker", "--json"];
    let ran = Person::with_token(&server).run(&mint).await.done();
    assert_eq!(ran.stdout, format!("{}\n", minted()));
    assert_eq!(server.only().json(), json!({ "project": "web", "service": "worker" }));
}

#[tokio::test]
async fn a_list_is_followed_to_its_end_also_through_empty_pages() {
    let server = Server::start().await;
    server
        .on("GET /v1/tokens", Reply::ok(&json!({ "tokens": [token("tok_1")], "next_cursor": "c/1" })))
        .on("GET /v1/tokens", Reply::ok(&json!({ "tokens": [], "next_cursor": "c2" })))
        .on("GET /v1/tokens", Reply::ok(&json!({ "tokens": [token("tok_longer")] })));
    let list = ["tokens", "list", "--project", "web", "--state", "all", "--unused-for-days", "7"];
    let more = ["--service", "worker", "--expiring-within-days", "14"];
    let ran = Person::with_token(&server).run(&[&list[..], &more].concat()).await.done();
    assert_eq!(
        ran.stdout,
        "JTI         PROJECT  SERVICE  STATE   EXPIRES               LAST USED  DESCRIPTION\n\
         tok_1       web      worker   active  2026-04-01T00:00:00Z  -          nightly\n\
         tok_longer  web      worker   active  2026-04-01T00:00:00Z  -          nightly\n"
    );
    let query = "project=web&service=worker&state=all&unused_for_days=7&expiring_within_days=14&limit=100";
    let expected = ["", "&cursor=c%2F1", "&cursor=c2"].map(|rest| format!("GET /v1/tokens?{query}{rest}"));
    assert_eq!(server.lines(), expected);
}

#[tokio::test]
async fn machines_get_each_page_on_a_line_of_its_own() {
    let server = Server::start().await;
    let pages =
        [json!({ "tokens": [token("tok_1")], "next_cursor": "c1" }), json!({ "tokens": [token("tok_2")] })];
    for page in &pages {
        server.on("GET /v1/tokens", Reply::ok(page));
    }
    let ran = Person::with_token(&server).run(&["tokens", "list", "--json"]).await.done();
    assert_eq!(ran.stdout, format!("{}\n{}\n", pages[0], pages[1]));
}

#[tokio::test]
async fn a_list_that_goes_in_circles_is_left() {
    let server = Server::start().await;
    for _ in 0..3 {
        server.on("GET /v1/tokens", Reply::ok(&json!({ "tokens": [], "next_cursor": "same" })));
    }
    assert_eq!(Person::with_token(&server).run(&["tokens", "list"]).await.exit, Exit::Unavailable);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_token_is_shown_member_by_member() {
    let server = Server::start().await;
    server.on("GET /v1/tokens/tok_1", Reply::ok(&json!({ "token": token("tok_1") })));
    let ran = Person::with_token(&server).run(&["tokens", "show", "tok_1"]).await.done();
    assert!(ran.stdout.contains("created_by   ada\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("jti          tok_1\n"), "{}", ran.stdout);
}

#[tokio::test]
async fn revoking_says_from_when_on_it_holds() {
    let server = Server::start().await;
    let revoked = |flushed: bool| {
        let by = if flushed { "2026-01-01T00:00:00Z" } else { "2026-01-01T00:05:00Z" };
        let token = token("tok_1");
        Reply::ok(&json!({ "token": token, "revoked": true, "effective_by": by, "flushed": flushed }))
    };
    server
        .on("POST /v1/tokens/tok_1/revoke", revoked(true))
        .on("POST /v1/tokens/tok_1/revoke", revoked(false));
    let ada = Person::with_token(&server);
    let ran = ada.run(&["tokens", "revoke", "tok_1", "--reason", "leaked"]).await.done();
    assert_eq!(ran.stderr, "tok_1 is revoked\nit holds everywhere by 2026-01-01T00:00:00Z\n");
    let ran = ada.run(&["tokens", "revoke", "tok_1"]).await.done();
    assert!(ran.stderr.contains("warning: "), "{ran:?}");
    assert!(ran.stderr.contains("it holds by 2026-01-01T00:05:00Z"), "{ran:?}");
    let bodies: Vec<_> = server.asked().iter().map(crate::support::Asked::json).collect();
    assert_eq!(bodies, [json!({ "reason": "leaked" }), json!({})]);
}

#[tokio::test]
async fn rotating_prints_the_new_token_and_names_the_old_one() {
    let server = Server::start().await;
    let mut rotated = minted();
    rotated["replaces"] = json!("tok_old");
    server
        .on("POST /v1/tokens/tok_old/rotate", Reply::json(201, &rotated))
        .on("POST /v1/tokens/tok_old/rotate", Reply::json(201, &rotated));
    let ada = Person::with_token(&server);
    let ran = ada.run(&["tokens", "rotate", "tok_old"]).await.done();
    assert_eq!(ran.stdout, "eyJ.new.token\n");
    assert!(ran.stderr.contains("it takes the place of tok_old"), "{ran:?}");
    let rotate = ["tokens", "rotate", "tok_old", "--grace-seconds", "60", "--expires-in-days", "9"];
    ada.run(&rotate).await.done();
    let bodies: Vec<_> = server.asked().iter().map(crate::support::Asked::json).collect();
    assert_eq!(bodies, [json!({}), json!({ "grace_seconds": 60, "expires_in_days": 9 })]);
}
