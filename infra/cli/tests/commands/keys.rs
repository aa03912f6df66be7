use serde_json::{Value, json};

use crate::support::{Person, Reply, Server};

fn key() -> Value {
    json!({
        "key_id": "key_1", "name": "ci", "scopes": ["jobs:read", "runs:write"], "tenants": ["acme", "beta"],
        "state": "active", "created_at": "2026-01-01T00:00:00Z", "created_by": "ada",
    })
}

#[tokio::test]
async fn a_minted_key_stands_alone_on_standard_output() {
    let server = Server::start().await;
    server.on("POST /v1/api-keys", Reply::json(201, &json!({ "key": "gh_new", "api_key": key() })));
    let mint = ["keys", "mint", "--name", "ci", "--scopes", "jobs:read,runs:write", "--tenants", "acme,beta"];
    let ran =
        Person::with_token(&server).run(&[&mint[..], &["--expires-in-days", "30"]].concat()).await.done();
    assert_eq!(ran.stdout, "gh_new\n");
    assert_eq!(ran.stderr, "key_1 was made. This is the key; it is shown only now:\n");
    let scopes = json!(["jobs:read", "runs:write"]);
    assert_eq!(
        server.only().json(),
        json!({ "name": "ci", "scopes": scopes, "tenants": ["acme", "beta"], "expires_in_days": 30 })
    );
}

#[tokio::test]
async fn a_key_for_all_tenants_says_so_as_the_api_does() {
    let server = Server::start().await;
    let made = json!({ "key": "gh_new", "api_key": key() });
    server.on("POST /v1/api-keys", Reply::json(201, &made));
    let mint = ["keys", "mint", "--name", "ci", "--scopes", "*", "--tenants", "*", "--json"];
    let ran = Person::with_token(&server).run(&mint).await.done();
    assert_eq!(ran.stdout, format!("{made}\n"));
    assert_eq!(server.only().json(), json!({ "name": "ci", "scopes": ["*"], "tenants": "*" }));
}

#[tokio::test]
async fn keys_are_listed_page_by_page() {
    let server = Server::start().await;
    server
        .on("GET /v1/api-keys", Reply::ok(&json!({ "api_keys": [key()], "next_cursor": "c1" })))
        .on("GET /v1/api-keys", Reply::ok(&json!({ "api_keys": [key()] })));
    let ran = Person::with_token(&server).run(&["keys", "list"]).await.done();
    let row = "key_1  ci    active  jobs:read,runs:write  acme,beta  -        -\n";
    assert_eq!(
        ran.stdout,
        format!("ID     NAME  STATE   SCOPES                TENANTS    EXPIRES  LAST USED\n{row}{row}")
    );
    assert_eq!(server.lines(), ["GET /v1/api-keys?limit=100", "GET /v1/api-keys?limit=100&cursor=c1"]);
}

#[tokio::test]
async fn a_key_is_revoked_for_a_reason() {
    let server = Server::start().await;
    let revoked = json!({ "api_key": key(), "effective_by": "2026-01-01T00:00:00Z", "flushed": true });
    server.on("POST /v1/api-keys/key_1/revoke", Reply::ok(&revoked));
    let ran =
        Person::with_token(&server).run(&["keys", "revoke", "key_1", "--reason", "leaked"]).await.done();
    assert_eq!(ran.stderr, "key_1 is revoked\nit holds everywhere by 2026-01-01T00:00:00Z\n");
    assert_eq!(server.only().json(), json!({ "reason": "leaked" }));
}
