use gatehouse_domain::{
    access::Scope,
    api_key::{PresentedKey, authenticate},
    clock::Clock,
};
use gatehouse_testkit::app::{Answer, TestApp};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{all, start, texts};

/// Mints a key that is called `name`.
async fn mint(app: &TestApp, name: &str) -> Answer {
    let body = json!({ "name": name, "scopes": ["jobs:read"], "tenants": ["acme"], "expires_in_days": 30 });
    app.as_platform_admin().post("/v1/api-keys").json(&body).await
}

fn id(minted: &Answer) -> &str {
    minted.body["api_key"]["key_id"].as_str().unwrap()
}

/// Whether the key opens anything while `root`, whose key it is, may log in.
async fn opens(app: &TestApp, minted: &Answer) -> bool {
    let root = json!({ "user_name": "root", "password": "blue canary only", "roles": { "*": "admin" } });
    let created = app.as_platform_admin().post("/v1/users").json(&root).await;
    assert!(matches!(created.status.as_u16(), 201 | 409), "{created}");
    let key = PresentedKey::parse(minted.body["key"].as_str().unwrap()).expect("a key of ours");
    authenticate(&*app.table.table, &key, app.system.now()).await.unwrap().is_some()
}

mod mint {
    use super::*;

    #[tokio::test]
    async fn a_key_is_for_a_hundred_tenants_or_for_all() {
        let app = start().await;
        let of = |tenants: usize| {
            let tenants: Vec<_> = (0..tenants).map(|tenant| format!("t{tenant}")).collect();
            json!({ "name": "many", "scopes": ["jobs:read"], "tenants": tenants })
        };
        let root = app.as_platform_admin();
        assert_eq!(root.post("/v1/api-keys").json(&of(100)).await.status, 201);
        for tenants in [101, 5_000] {
            let refused = root.post("/v1/api-keys").json(&of(tenants)).await;
            assert_eq!((refused.status.as_u16(), refused.problem()), (422, "validation-failed"));
            assert_eq!(refused.body["errors"][0]["pointer"], "/tenants");
        }
    }

    #[tokio::test]
    async fn shows_the_key_once() {
        let app = start().await;
        let minted = mint(&app, "nightly").await;
        assert_snapshot!(minted, @r#"
        201 Created
        {
          "api_key": {
            "created_at": "2026-09-21T14:13:20Z",
            "created_by": "user:root",
            "expires_at": "2026-10-21T14:13:20Z",
            "key_id": "key_#1",
            "minted_by": "user:root",
            "name": "nightly",
            "scopes": [
              "jobs:read"
            ],
            "state": "active",
            "tenants": [
              "acme"
            ]
          },
          "key": "gh_#1"
        }
        "#);
        let key = minted.body["key"].as_str().unwrap();
        assert!(key.starts_with("gh_") && key.len() == 41, "{key}");
        assert!(opens(&app, &minted).await);
        let shown = app.as_platform_admin().get(format!("/v1/api-keys/{}", id(&minted))).await;
        assert_eq!(shown.body["api_key"], minted.body["api_key"]);
        assert!(!shown.text.contains(key));
    }

    #[tokio::test]
    async fn a_key_for_all_tenants_need_not_end() {
        let app = start().await;
        let body = json!({ "name": "all", "scopes": ["*"], "tenants": "*" });
        let minted = app.as_platform_admin().post("/v1/api-keys").json(&body).await;
        let key = &minted.body["api_key"];
        assert_eq!((&key["tenants"], key.get("expires_at")), (&json!("*"), None));
    }

    #[tokio::test]
    async fn names_the_field_that_is_refused() {
        let app = start().await;
        let with = |member: &str, value: Value| {
            let mut body = json!({ "name": "n", "scopes": ["*"], "tenants": "*" });
            body[member] = value;
            body
        };
        for (body, pointer) in [
            (with("name", json!("")), "/name"),
            (with("scopes", json!([])), "/scopes"),
            (with("scopes", json!(["jobs:read", "jobs:fly"])), "/scopes/1"),
            (with("tenants", json!([])), "/tenants"),
            (with("tenants", json!("example")), "/tenants"),
            (with("tenants", json!(["Bad!"])), "/tenants"),
            (with("expires_in_days", json!(0)), "/expires_in_days"),
            (with("expires_in_days", json!(3651)), "/expires_in_days"),
        ] {
            let refused = app.as_platform_admin().post("/v1/api-keys").json(&body).await;
            assert_eq!(refused.problem(), "validation-failed");
            assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{refused}");
        }
        assert_eq!(all(&app.as_platform_admin(), "/v1/api-keys?", "api_keys").await.len(), 0);
    }
}

mod list {
    use super::*;

    #[tokio::test]
    async fn lists_keys_the_newest_first() {
        let app = start().await;
        for name in ["first", "second", "third"] {
            mint(&app, name).await;
            app.system.advance(std::time::Duration::from_secs(1));
        }
        let keys = all(&app.as_platform_admin(), "/v1/api-keys?", "api_keys").await;
        assert_eq!(texts(&keys, "name"), ["third", "second", "first"]);
        let refused = app.as_platform_admin().get("/v1/api-keys?cursor=x").await;
        assert_eq!(refused.problem(), "invalid-query");
    }
}

mod show {
    use super::*;

    #[tokio::test]
    async fn a_key_that_does_not_exist_is_not_found() {
        let app = start().await;
        let root = app.as_platform_admin();
        assert_snapshot!(root.get("/v1/api-keys/key_00000000000000000000").await, @"
        404 Not Found
        not-found: There is no such key.
        ");
        assert_snapshot!(root.get("/v1/api-keys/nonsense").await, @"
        400 Bad Request
        invalid-path: A key id is `key_` and 20 hexadecimal digits.
        ");
    }

    #[tokio::test]
    async fn a_key_expires() {
        let app = start().await;
        let minted = mint(&app, "nightly").await;
        app.system.advance(std::time::Duration::from_hours(30 * 24));
        let shown = app.as_platform_admin().get(format!("/v1/api-keys/{}", id(&minted))).await;
        assert_eq!(shown.body["api_key"]["state"], "expired");
        assert!(!opens(&app, &minted).await);
    }
}

mod revoke {
    use super::*;

    #[tokio::test]
    async fn a_revoked_key_opens_nothing() {
        let app = start().await;
        let minted = mint(&app, "nightly").await;
        let path = format!("/v1/api-keys/{}/revoke", id(&minted));
        let revoked = app.as_platform_admin().post(&path).json(&json!({ "reason": "leaked" })).await;
        assert_snapshot!(revoked, @r#"
        200 OK
        {
          "api_key": {
            "created_at": "2026-09-21T14:13:20Z",
            "created_by": "user:root",
            "expires_at": "2026-10-21T14:13:20Z",
            "key_id": "key_#1",
            "minted_by": "user:root",
            "name": "nightly",
            "revoked_at": "2026-09-21T14:13:20Z",
            "revoked_by": "user:root",
            "revoked_reason": "leaked",
            "scopes": [
              "jobs:read"
            ],
            "state": "revoked",
            "tenants": [
              "acme"
            ]
          },
          "effective_by": "2026-09-21T14:13:20Z",
          "flushed": true
        }
        "#);
        assert_eq!(app.flushes.count(), 1);
        assert!(!opens(&app, &minted).await);
        // Again flushes once more and changes nothing of who and why.
        let again = app.as_person("other", "*=admin").post(&path).json(&json!({ "reason": "again" })).await;
        assert_eq!((again.status.as_u16(), &again.body["api_key"]), (200, &revoked.body["api_key"]));
        assert_eq!(app.flushes.count(), 2);
    }

    #[tokio::test]
    async fn refuses_what_it_does_not_understand() {
        let app = start().await;
        let minted = mint(&app, "nightly").await;
        let path = format!("/v1/api-keys/{}/revoke", id(&minted));
        let revoke = |body: Value| app.as_platform_admin().post(&path).json(&body);
        assert_snapshot!(revoke(json!({ "reason": "x".repeat(501) })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/reason`.
          "/reason": must be at most 500 bytes
        "#);
        assert_eq!(revoke(json!({ "why": "leaked" })).await.problem(), "validation-failed");
        let absent = app.as_platform_admin().post("/v1/api-keys/key_00000000000000000000/revoke").await;
        assert_eq!(absent.problem(), "not-found");
        assert!(opens(&app, &minted).await);
    }
}

#[tokio::test]
async fn keys_are_for_platform_admins() {
    let app = start().await;
    let minted = mint(&app, "nightly").await;
    let path = format!("/v1/api-keys/{}", id(&minted));
    let body = json!({ "name": "n", "scopes": ["*"], "tenants": ["acme"] });
    for client in [app.as_admin("acme"), app.as_api_key(&[Scope::KeysWrite], "acme")] {
        assert_eq!(client.get("/v1/api-keys").await.problem(), "forbidden");
        assert_eq!(client.get(&path).await.problem(), "forbidden");
        assert_eq!(client.post("/v1/api-keys").json(&body).await.problem(), "forbidden");
        assert_eq!(client.post(format!("{path}/revoke")).await.problem(), "forbidden");
    }
    assert_eq!(app.anonymous().get("/v1/api-keys").await.problem(), "unauthorized");
}
