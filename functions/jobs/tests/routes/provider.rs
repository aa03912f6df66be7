use gatehouse_domain::{access::Scope, providers::Credentials, secret::SecretName};
use gatehouse_testkit::app::{Answer, TestApp};
use insta::assert_snapshot;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{start, start_in_a_private_network, start_with_ci};

fn concourse(url: &str) -> Value {
    json!({ "kind": "concourse", "url": url,
        "auth": { "grant": "password", "username": "ci", "password": "s3cret" } })
}

/// The function with the provider `concourse`, and what was answered when it was registered.
async fn with_a_provider() -> (TestApp, Answer) {
    let app = start().await;
    let body = concourse("https://ci.example.com/");
    let saved = app.as_platform_admin().put("/v1/providers/concourse").json(&body).await;
    (app, saved)
}

/// The password that is kept for the provider.
fn password(app: &TestApp) -> Option<String> {
    let kept = app.secrets.get(&SecretName::provider_credentials(&"concourse".parse().unwrap()))?;
    Some(Credentials::from_secret(&kept.into()).unwrap().secret.expose_secret().to_owned())
}

mod list {
    use super::*;

    #[tokio::test]
    async fn shows_every_provider_without_secrets() {
        let (app, _) = with_a_provider().await;
        let client = json!({ "kind": "concourse", "url": "https://other.example.com",
            "auth": { "grant": "client_credentials", "client_id": "gatehouse", "client_secret": "s3cret" } });
        app.as_platform_admin().put("/v1/providers/other").json(&client).await;
        let listed = app.as_platform_admin().get("/v1/providers").await;
        assert_snapshot!(listed, @r#"
        200 OK
        {
          "providers": [
            {
              "auth": {
                "grant": "password",
                "username": "ci"
              },
              "capabilities": {
                "discover": true,
                "force_cancel": false,
                "live_logs": true,
                "parameters": true,
                "rerun": true
              },
              "kind": "concourse",
              "name": "concourse",
              "updated_at": "2026-09-21T14:13:20Z",
              "updated_by": "user:root",
              "url": "https://ci.example.com"
            },
            {
              "auth": {
                "client_id": "gatehouse",
                "grant": "client_credentials"
              },
              "capabilities": {
                "discover": true,
                "force_cancel": false,
                "live_logs": true,
                "parameters": true,
                "rerun": true
              },
              "kind": "concourse",
              "name": "other",
              "updated_at": "2026-09-21T14:13:20Z",
              "updated_by": "user:root",
              "url": "https://other.example.com"
            }
          ]
        }
        "#);
        assert!(!listed.text.contains("s3cret"));
    }

    #[tokio::test]
    async fn is_for_those_who_may_read() {
        let app = start().await;
        assert_eq!(app.anonymous().get("/v1/providers").await.problem(), "unauthorized");
        let jobs = app.as_api_key(&[Scope::JobsRead], "*").get("/v1/providers").await;
        assert_snapshot!(jobs, @"
        403 Forbidden
        forbidden: This takes an API key with the scope `providers:read`, or the role `viewer`.
        ");
        assert_eq!(app.as_platform_admin().get("/v1/providers?limit=1").await.problem(), "invalid-query");
    }
}

mod show {
    use super::*;

    #[tokio::test]
    async fn shows_a_provider_with_its_etag() {
        let (app, saved) = with_a_provider().await;
        let shown = app.as_platform_admin().get("/v1/providers/concourse").await;
        assert_eq!((shown.etag(), &shown.body), (saved.etag(), &saved.body));
    }

    #[tokio::test]
    async fn needs_one() {
        let app = start().await;
        assert_snapshot!(app.as_platform_admin().get("/v1/providers/none").await, @"
        404 Not Found
        not-found: There is no such provider.
        ");
        assert_snapshot!(app.as_platform_admin().get("/v1/providers/a%00").await, @"
        400 Bad Request
        invalid-path: A provider must be 1 to 39 characters of a-z, 0-9 and '-', not starting with '-'.
        ");
        assert_eq!(app.anonymous().get("/v1/providers/none").await.problem(), "unauthorized");
    }
}

mod put {
    use super::*;

    #[tokio::test]
    async fn registers_a_provider_and_keeps_its_secret() {
        let (app, saved) = with_a_provider().await;
        assert_snapshot!(saved, @r#"
        201 Created
        etag: "rev_#1"
        {
          "provider": {
            "auth": {
              "grant": "password",
              "username": "ci"
            },
            "capabilities": {
              "discover": true,
              "force_cancel": false,
              "live_logs": true,
              "parameters": true,
              "rerun": true
            },
            "kind": "concourse",
            "name": "concourse",
            "updated_at": "2026-09-21T14:13:20Z",
            "updated_by": "user:root",
            "url": "https://ci.example.com"
          }
        }
        "#);
        assert_eq!(password(&app).as_deref(), Some("s3cret"));
    }

    #[tokio::test]
    async fn refuses_to_send_passwords_in_the_clear() {
        let app = start().await;
        for url in ["http://ci.example.com", "http://10.1.2.3:8080", "http://[fd00::1]/"] {
            let refused = app.as_platform_admin().put("/v1/providers/concourse").json(&concourse(url)).await;
            assert_eq!((refused.status.as_u16(), refused.problem()), (422, "validation-failed"), "{url}");
            let error = &refused.body["errors"][0];
            assert_eq!(error["pointer"], "/url");
            assert!(error["detail"].as_str().unwrap().starts_with("must be https"), "{error}");
        }
        assert_eq!(password(&app), None);
        let here = concourse("http://127.0.0.1:8080");
        assert_eq!(app.as_platform_admin().put("/v1/providers/concourse").json(&here).await.status, 201);
    }

    #[tokio::test]
    async fn replaces_the_provider_whose_etag_is_sent() {
        let (app, saved) = with_a_provider().await;
        let put = || app.as_platform_admin().put("/v1/providers/concourse");
        let changed = put().if_match(saved.etag()).json(&concourse("https://two.example.com")).await;
        assert_eq!(
            (changed.status.as_u16(), &changed.body["provider"]["url"]),
            (200, &json!("https://two.example.com"))
        );
        assert_ne!(changed.etag(), saved.etag());
        assert_snapshot!(put().json(&concourse("https://three.example.com")).await, @r#"
        428 Precondition Required
        precondition-required: It exists already; send its ETag in If-Match to replace or delete it.
          etag: "\"rev_#1\""
        "#);
        let old = put().if_match(saved.etag()).json(&concourse("https://three.example.com")).await;
        assert_snapshot!(old, @"
        412 Precondition Failed
        precondition-failed: It is not as expected any more; read it again and repeat the change.
        ");
        let only_new = put().header("if-none-match", "*").json(&concourse("https://three.example.com")).await;
        assert_eq!(only_new.problem(), "precondition-failed");
        let absent = app.as_platform_admin().put("/v1/providers/none").if_match("\"rev_0\"");
        let absent = absent.json(&concourse("https://three.example.com")).await;
        assert_eq!(absent.problem(), "precondition-failed");
        let shown = app.as_platform_admin().get("/v1/providers/concourse").await;
        assert_eq!(shown.body, changed.body);
    }

    /// Each member of a provider that says where its secret goes, with another value, and how a refusal names it.
    fn other_places() -> Vec<(&'static str, Value, &'static str)> {
        let auth = |grant: &str, member: &str, name: &str| json!({ "grant": grant, member: name });
        let client = auth("client_credentials", "client_id", "ci");
        vec![
            ("url", json!("http://ci.example.com"), "/auth/password for another url"),
            ("url", json!("https://two.example.com"), "/auth/password for another url"),
            ("url", json!("https://ci.example.com:8443"), "/auth/password for another url"),
            ("url", json!("https://ci.example.com/other"), "/auth/password for another url"),
            ("auth", auth("password", "username", "else"), "/auth/password for another account"),
            ("auth", client, "/auth/client_secret for another account"),
            ("ca_certificate", json!(format!("{CA}other")), "/auth/password for another ca_certificate"),
            ("ca_certificate", Value::Null, "/auth/password for another ca_certificate"),
        ]
    }

    const CA: &str = "-----BEGIN CERTIFICATE-----";

    #[tokio::test]
    async fn a_secret_goes_only_where_it_was_given_for() {
        for (member, value, expected) in other_places() {
            let app = start_in_a_private_network().await;
            let put = |tag: &str, body: &Value| {
                let call = app.as_platform_admin().put("/v1/providers/concourse");
                if tag.is_empty() { call.json(body) } else { call.if_match(tag).json(body) }
            };
            let token = SecretName::provider_token(&"concourse".parse().unwrap());
            let mut body = concourse("https://ci.example.com");
            body["ca_certificate"] = json!(CA);
            let saved = put("", &body).await;
            app.secrets.put(&token, &"a token of before".to_owned().into());
            let mut moved = body.clone();
            moved["auth"].as_object_mut().unwrap().remove("password");
            moved[member] = value.clone();
            let refused = put(saved.etag(), &moved).await;
            assert_eq!(refused.problem(), "validation-failed", "{member}: {value}\n{refused}");
            let error = &refused.body["errors"][0];
            let (pointer, which) = expected.split_once(" for ").unwrap();
            assert_eq!(error["pointer"], pointer, "{refused}");
            let detail = format!("is needed again: what is kept was given for {which}");
            assert_eq!(error["detail"], detail, "{refused}");
            let shown = app.as_platform_admin().get("/v1/providers/concourse").await;
            assert_eq!((shown.etag(), password(&app).as_deref()), (saved.etag(), Some("s3cret")));
            assert!(app.secrets.get(&token).is_some());
            // With its secret it goes there, and the token of before is forgotten.
            let secret = pointer.trim_start_matches("/auth/");
            moved["auth"][secret] = json!("another");
            let changed = put(saved.etag(), &moved).await;
            assert_eq!((changed.status.as_u16(), password(&app).as_deref()), (200, Some("another")));
            assert_eq!(app.secrets.get(&token), None, "{member}: {value}");
        }
    }

    #[tokio::test]
    async fn takes_no_secret_while_the_account_and_the_place_stay() {
        let (app, saved) = with_a_provider().await;
        let put = |tag: &str| app.as_platform_admin().put("/v1/providers/concourse").if_match(tag);
        let mut tag = saved.etag().to_owned();
        for spelling in ["https://ci.example.com", "https://ci.example.com/", "https://CI.example.com"] {
            let mut kept = concourse(spelling);
            kept["auth"].as_object_mut().unwrap().remove("password");
            let answer = put(&tag).json(&kept).await;
            assert_eq!(
                (answer.status.as_u16(), password(&app).as_deref()),
                (200, Some("s3cret")),
                "{answer}"
            );
            assert!(!answer.text.contains("s3cret"));
            tag = answer.etag().to_owned();
        }
    }

    #[tokio::test]
    async fn a_new_provider_needs_its_secret() {
        let app = start().await;
        let mut body = concourse("https://ci.example.com");
        body["auth"].as_object_mut().unwrap().remove("password");
        assert_snapshot!(app.as_platform_admin().put("/v1/providers/concourse").json(&body).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/auth`.
          "/auth": a new account needs its password or client_secret
        "#);
    }

    #[tokio::test]
    async fn refuses_what_cannot_be_registered() {
        let (app, _) = start_with_ci().await;
        let put = |body: &Value| app.as_platform_admin().put("/v1/providers/new").json(body);
        assert_snapshot!(put(&json!({ "kind": "concourse" })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/url`, `/auth`.
          "/url": is required
          "/auth": is required
        "#);
        assert_snapshot!(put(&json!({ "kind": "process" })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/kind`.
          "/kind": `process` is built into the local stack; there is nothing to set
        "#);
        let deployed = start().await;
        let process =
            deployed.as_platform_admin().put("/v1/providers/new").json(&json!({ "kind": "process" }));
        assert_snapshot!(process.await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/kind`.
          "/kind": this deployment does not have this kind of provider
        "#);
    }

    #[tokio::test]
    async fn registers_nothing_when_the_secret_cannot_be_kept() {
        let app = start().await;
        app.secrets.refuse_writes(true);
        let body = concourse("https://ci.example.com");
        assert_snapshot!(app.as_platform_admin().put("/v1/providers/concourse").json(&body).await, @"
        503 Service Unavailable
        retry-after: 2
        unavailable: A part of Gatehouse does not answer just now; nothing was lost.
        ");
        assert_eq!(app.as_platform_admin().get("/v1/providers/concourse").await.problem(), "not-found");
    }

    #[tokio::test]
    async fn is_for_platform_admins() {
        let app = start().await;
        let body = concourse("https://ci.example.com");
        let path = "/v1/providers/concourse";
        assert_eq!(app.anonymous().put(path).json(&body).await.problem(), "unauthorized");
        assert_snapshot!(app.as_admin("acme").put(path).json(&body).await, @"
        403 Forbidden
        forbidden: This takes an API key for all tenants with the scope `providers:write`, or a platform admin.
        ");
        let reader = app.as_api_key(&[Scope::ProvidersRead], "*").put(path).json(&body).await;
        assert_eq!(reader.problem(), "forbidden");
        assert_eq!(app.secrets.names(), [""; 0]);
    }
}

mod delete {
    use super::*;

    #[tokio::test]
    async fn deletes_the_provider_with_its_secrets() {
        let (app, saved) = with_a_provider().await;
        let delete = || app.as_platform_admin().delete("/v1/providers/concourse");
        assert_snapshot!(delete().await, @r#"
        428 Precondition Required
        precondition-required: It exists already; send its ETag in If-Match to replace or delete it.
          etag: "\"rev_#1\""
        "#);
        assert_snapshot!(delete().if_match("\"rev_old\"").await, @"
        412 Precondition Failed
        precondition-failed: It is not as expected any more; read it again and repeat the change.
        ");
        assert_eq!(password(&app).as_deref(), Some("s3cret"));
        assert_eq!(delete().if_match(saved.etag()).await.status, 204);
        assert_eq!(app.secrets.names(), [""; 0]);
        assert_snapshot!(delete().if_match(saved.etag()).await, @"
        404 Not Found
        not-found: There is no such provider.
        ");
    }

    #[tokio::test]
    async fn is_for_platform_admins() {
        let (app, saved) = with_a_provider().await;
        let path = "/v1/providers/concourse";
        assert_eq!(app.anonymous().delete(path).if_match(saved.etag()).await.problem(), "unauthorized");
        assert_eq!(app.as_admin("acme").delete(path).if_match(saved.etag()).await.problem(), "forbidden");
        assert_eq!(password(&app).as_deref(), Some("s3cret"));
    }
}
