use std::time::Duration;

use gatehouse_domain::access::Scope;
use gatehouse_testkit::app::{Answer, Call, TestApp};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::start;

fn rotate(app: &TestApp) -> Call<'_> {
    app.as_platform_admin().post("/v1/signing-keys/rotate")
}

/// The ids of keys are made from random keys: here they are numbered.
fn numbered(mut answer: Answer) -> Answer {
    for (number, key) in answer.body["signing_keys"].as_array_mut().unwrap().iter_mut().enumerate() {
        assert_eq!(key["kid"].as_str().unwrap().len(), 43, "{key}");
        key["kid"] = json!(format!("key {number}"));
    }
    answer
}

#[tokio::test]
async fn the_first_key_signs_at_once_and_the_next_after_ten_minutes() {
    let app = start().await;
    let list = async || app.as_platform_admin().get("/v1/signing-keys").await;
    assert_eq!(list().await.body, json!({ "signing_keys": [] }));
    assert_snapshot!(numbered(rotate(&app).await), @r#"
    201 Created
    {
      "signing_keys": [
        {
          "kid": "key 0",
          "published_at": "2026-09-21T14:13:20Z",
          "signs_from": "2026-09-21T14:13:20Z",
          "state": "current"
        }
      ]
    }
    "#);
    app.system.advance(Duration::from_hours(1));
    let rotated = rotate(&app).await;
    assert_eq!(rotated.body, list().await.body);
    assert_snapshot!(numbered(rotated), @r#"
    201 Created
    {
      "signing_keys": [
        {
          "kid": "key 0",
          "published_at": "2026-09-21T14:13:20Z",
          "signs_from": "2026-09-21T14:13:20Z",
          "state": "current"
        },
        {
          "kid": "key 1",
          "published_at": "2026-09-21T15:13:20Z",
          "signs_from": "2026-09-21T15:23:20Z",
          "state": "next"
        }
      ]
    }
    "#);
    assert_snapshot!(rotate(&app).await, @"
    409 Conflict
    conflict: A new key is published already and signs from 2026-09-21T15:23:20Z on.
    ");
    app.system.advance(Duration::from_mins(10));
    let states: Vec<Value> = list().await.body["signing_keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["state"].clone())
        .collect();
    assert_eq!(states, ["retiring", "current"]);
}

#[tokio::test]
async fn private_halves_are_secrets_and_public_ones_are_published() {
    let app = start().await;
    let keys = async || app.anonymous().get("/.well-known/jwks.json").await;
    assert_snapshot!(keys().await, @r#"
    200 OK
    cache-control: public, max-age=300
    {
      "keys": []
    }
    "#);
    rotate(&app).await;
    let published = keys().await;
    assert_eq!(published.header("cache-control"), "public, max-age=300");
    let key = &published.body["keys"][0];
    assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA")));
    assert!(key.get("d").is_none(), "{key}");
    assert_eq!(app.secrets.names(), [format!("signing-key/{}", key["kid"].as_str().unwrap())]);
    assert_eq!(app.anonymous().get("/.well-known/jwks.json?kid=x").await.problem(), "invalid-query");
}

#[tokio::test]
async fn a_key_whose_private_half_cannot_be_kept_is_not_published() {
    let app = start().await;
    app.secrets.refuse_writes(true);
    assert_snapshot!(rotate(&app).await, @"
    503 Service Unavailable
    retry-after: 2
    unavailable: A part of Gatehouse does not answer just now; nothing was lost.
    ");
    let keys = app.anonymous().get("/.well-known/jwks.json").await;
    assert_eq!(keys.body, json!({ "keys": [] }));
}

#[tokio::test]
async fn signing_keys_are_for_platform_admins() {
    let app = start().await;
    for client in [app.as_admin("acme"), app.as_api_key(&[Scope::All], "acme")] {
        assert_eq!(client.get("/v1/signing-keys").await.problem(), "forbidden");
        assert_eq!(client.post("/v1/signing-keys/rotate").await.problem(), "forbidden");
    }
    assert_eq!(app.anonymous().get("/v1/signing-keys").await.problem(), "unauthorized");
    assert_eq!(app.as_platform_admin().get("/v1/signing-keys?all").await.problem(), "invalid-query");
    assert_eq!(app.as_platform_admin().post("/v1/signing-keys/rotate?now").await.problem(), "invalid-query");
}
