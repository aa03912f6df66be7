use std::time::Duration;

use futures_util::future::join_all;
use gatehouse_domain::access::Scope;
use gatehouse_testkit::app::{Answer, TestApp};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{all, grace, log_in, start, texts, with_grace};

async fn patch(app: &TestApp, name: &str, body: &Value) -> Answer {
    let root = app.as_platform_admin();
    let shown = root.get(format!("/v1/users/{name}")).await;
    root.patch(format!("/v1/users/{name}")).if_match(shown.etag()).json(body).await
}

async fn create(app: &TestApp, name: &str, roles: &Value) {
    let body = json!({ "user_name": name, "password": "blue canary only", "roles": roles });
    let created = app.as_platform_admin().post("/v1/users").json(&body).await;
    assert_eq!(created.status, 201, "{created}");
}

mod create {
    use super::*;

    #[tokio::test]
    async fn creates_a_user_who_logs_in() {
        let (app, created) = with_grace().await;
        assert_snapshot!(created, @r#"
        201 Created
        etag: "rev_#1"
        {
          "user": {
            "created_at": "2026-09-21T14:13:20Z",
            "display_name": "Grace",
            "must_change_password": true,
            "roles": {
              "acme": "developer"
            },
            "second_factor": false,
            "state": "active",
            "updated_at": "2026-09-21T14:13:20Z",
            "updated_by": "user:root",
            "user_name": "grace"
          }
        }
        "#);
        assert_eq!(log_in(&app, "grace", "blue canary only").await.status, 200);
        assert_snapshot!(app.as_platform_admin().post("/v1/users").json(&grace()).await, @"
        409 Conflict
        conflict: There is a user `grace` already.
        ");
    }

    #[tokio::test]
    async fn names_every_field_that_is_refused() {
        let app = start().await;
        let with = |member: &str, value: Value| {
            let mut body = json!({ "user_name": "new", "password": "blue canary only" });
            body[member] = value;
            body
        };
        for (body, pointer) in [
            (with("password", json!("short")), "/password"),
            (with("password", json!("Password1")), "/password"),
            (with("password", json!("x".repeat(1025))), "/password"),
            (with("roles", json!({ "example": "owner" })), "/roles/example"),
            (with("roles", json!({ "Bad!": "viewer" })), "/roles/Bad!"),
            (with("user_name", json!("a#b")), "/user_name"),
            (with("display_name", json!("")), "/display_name"),
            (with("admin", json!(true)), "/admin"),
        ] {
            let refused = app.as_platform_admin().post("/v1/users").json(&body).await;
            assert_eq!(refused.problem(), "validation-failed");
            assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{refused}");
        }
        let many: serde_json::Map<String, Value> =
            (0..51).map(|number| (format!("t{number}"), json!("viewer"))).collect();
        let refused = app.as_platform_admin().post("/v1/users").json(&with("roles", many.into())).await;
        assert_snapshot!(refused, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/roles`.
          "/roles": must name at most 50 tenants
        "#);
        assert_eq!(app.as_platform_admin().get("/v1/users/new").await.problem(), "not-found");
    }
}

mod list {
    use super::*;

    #[tokio::test]
    async fn lists_users_by_name() {
        let app = start().await;
        for name in ["root", "grace@example.com", "admin", "viewer", "dev"] {
            create(&app, name, &json!({})).await;
        }
        let users = all(&app.as_platform_admin(), "/v1/users?", "users").await;
        assert_eq!(texts(&users, "user_name"), ["admin", "dev", "grace@example.com", "root", "viewer"]);
        assert!(users.iter().all(|user| user.get("password").is_none()));
    }

    #[tokio::test]
    async fn refuses_what_it_does_not_understand() {
        let app = start().await;
        for bad in ["limit=0", "limit=101", "cursor=x", "name=a"] {
            let refused = app.as_platform_admin().get(format!("/v1/users?{bad}")).await;
            assert_eq!(refused.problem(), "invalid-query", "{bad}");
        }
    }
}

mod show {
    use super::*;

    #[tokio::test]
    async fn shows_a_user_with_their_etag() {
        let (app, created) = with_grace().await;
        let shown = app.as_platform_admin().get("/v1/users/grace").await;
        assert_eq!((shown.etag(), &shown.body), (created.etag(), &created.body));
        assert_snapshot!(app.as_platform_admin().get("/v1/users/nobody").await, @"
        404 Not Found
        not-found: There is no such user.
        ");
        assert_eq!(app.as_platform_admin().get("/v1/users/a%23b").await.problem(), "invalid-path");
    }
}

mod edit {
    use super::*;

    #[tokio::test]
    async fn changes_roles_and_flushes() {
        let (app, _) = with_grace().await;
        assert_snapshot!(patch(&app, "grace", &json!({ "roles": { "acme": "admin" } })).await, @r#"
        200 OK
        etag: "rev_#1"
        {
          "effective_by": "2026-09-21T14:13:20Z",
          "flushed": true,
          "user": {
            "created_at": "2026-09-21T14:13:20Z",
            "display_name": "Grace",
            "must_change_password": true,
            "roles": {
              "acme": "admin"
            },
            "second_factor": false,
            "state": "active",
            "updated_at": "2026-09-21T14:13:20Z",
            "updated_by": "user:root",
            "user_name": "grace"
          }
        }
        "#);
        assert_eq!(app.flushes.count(), 1);
        let trail = app.as_platform_admin().get("/v1/audit?limit=1").await;
        assert_eq!(trail.body["entries"][0]["detail"], "acme=developer to acme=admin");
    }

    #[tokio::test]
    async fn what_is_left_out_stays() {
        let (app, _) = with_grace().await;
        let changed = patch(&app, "grace", &json!({ "display_name": "G." })).await;
        let user = &changed.body["user"];
        assert_eq!((&user["display_name"], &user["roles"]), (&json!("G."), &json!({ "acme": "developer" })));
        let enabled = patch(&app, "grace", &json!({})).await;
        assert_eq!(enabled.body["user"]["display_name"], "G.");
    }

    #[tokio::test]
    async fn a_user_who_is_disabled_cannot_log_in_until_they_are_enabled() {
        let (app, _) = with_grace().await;
        app.system.advance(Duration::from_secs(1));
        let disabled = patch(&app, "grace", &json!({ "state": "disabled" })).await;
        assert_eq!(disabled.body["user"]["state"], "disabled");
        assert_eq!(log_in(&app, "grace", "blue canary only").await.problem(), "login-refused");
        app.system.advance(Duration::from_secs(1));
        assert_eq!(patch(&app, "grace", &json!({ "state": "active" })).await.status, 200);
        assert_eq!(log_in(&app, "grace", "blue canary only").await.status, 200);
        let trail = app.as_platform_admin().get("/v1/audit?actor=user:root").await;
        let entries = trail.body["entries"].as_array().unwrap();
        assert_eq!(texts(entries, "action"), ["user.enable", "user.disable", "user.create"]);
    }

    #[tokio::test]
    async fn needs_the_etag_of_the_user() {
        let (app, created) = with_grace().await;
        let edit = || app.as_platform_admin().patch("/v1/users/grace").json(&json!({ "display_name": "G." }));
        assert_snapshot!(edit().await, @r#"
        428 Precondition Required
        precondition-required: It exists already; send its ETag in If-Match to replace or delete it.
          etag: "\"rev_#1\""
        "#);
        assert_snapshot!(edit().if_match("\"rev_old\"").await, @"
        412 Precondition Failed
        precondition-failed: It is not as expected any more; read it again and repeat the change.
        ");
        assert_eq!(edit().if_match(created.etag()).await.status, 200);
        assert_eq!(edit().if_match(created.etag()).await.problem(), "precondition-failed");
        let nobody = app.as_platform_admin().patch("/v1/users/nobody").if_match(created.etag());
        assert_eq!(nobody.json(&json!({})).await.problem(), "not-found");
    }

    #[tokio::test]
    async fn refuses_fields() {
        let (app, _) = with_grace().await;
        assert_snapshot!(patch(&app, "grace", &json!({ "roles": { "acme": "owner" } })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/roles/acme`.
          "/roles/acme": `owner` is not a role: there are viewer, developer and admin
        "#);
        assert_eq!(patch(&app, "grace", &json!({ "state": "gone" })).await.problem(), "validation-failed");
        assert_eq!(
            patch(&app, "grace", &json!({ "display_name": " " })).await.problem(),
            "validation-failed"
        );
    }

    #[tokio::test]
    async fn the_last_platform_admin_stays_one() {
        let app = start().await;
        create(&app, "root", &json!({ "*": "admin" })).await;
        for change in
            [json!({ "roles": {} }), json!({ "state": "disabled" }), json!({ "roles": { "*": "viewer" } })]
        {
            assert_eq!(patch(&app, "root", &change).await.problem(), "last-platform-admin");
        }
        assert_snapshot!(patch(&app, "root", &json!({ "roles": {} })).await, @"
        409 Conflict
        last-platform-admin: This is the last platform admin; make somebody else one first.
        ");
        create(&app, "admin", &json!({ "*": "admin" })).await;
        // Both are removed at once: one of them stays.
        let demotion = json!({ "roles": { "acme": "viewer" } });
        let answers = join_all([patch(&app, "admin", &demotion), patch(&app, "root", &demotion)]).await;
        let demoted = answers.iter().filter(|answer| answer.status == 200).count();
        assert!(demoted <= 1, "{answers:?}");
        let users = all(&app.as_platform_admin(), "/v1/users?", "users").await;
        let able = users.iter().filter(|user| user["roles"] == json!({ "*": "admin" })).count();
        assert_eq!(able, 2 - demoted);
    }

    #[tokio::test]
    async fn a_hundred_changes_at_once_are_one_change() {
        let (app, created) = with_grace().await;
        let changes = (0..100).map(async |number| {
            let name = json!({ "display_name": format!("Grace {number}") });
            app.as_platform_admin().patch("/v1/users/grace").if_match(created.etag()).json(&name).await
        });
        let answers = join_all(changes).await;
        let done: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(done.len(), 1);
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert!(matches!(answer.status.as_u16(), 412 | 503), "{answer}");
        }
        let stands = app.as_platform_admin().get("/v1/users/grace").await;
        assert_eq!(stands.body["user"]["display_name"], done[0].body["user"]["display_name"]);
    }
}

mod reset_password {
    use super::*;

    #[tokio::test]
    async fn replaces_the_password_and_flushes() {
        let (app, _) = with_grace().await;
        let reset = |name: &str, password: &str| {
            let body = json!({ "password": password });
            app.as_platform_admin().post(format!("/v1/users/{name}/password")).json(&body)
        };
        assert_snapshot!(reset("grace", "green canary only").await, @r#"
        200 OK
        {
          "effective_by": "2026-09-21T14:13:20Z",
          "flushed": true
        }
        "#);
        assert_eq!(log_in(&app, "grace", "blue canary only").await.problem(), "login-refused");
        assert_eq!(log_in(&app, "grace", "green canary only").await.status, 200);
        assert_snapshot!(reset("grace", "short").await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/password`.
          "/password": must have at least 8 characters
        "#);
        assert_eq!(reset("nobody", "green canary only").await.problem(), "not-found");
    }
}

#[tokio::test]
async fn users_are_for_platform_admins() {
    let (app, created) = with_grace().await;
    for client in [
        app.as_admin("acme"),
        app.as_api_key(&[Scope::UsersRead], "*"),
        app.as_service("acme", "payments", "worker"),
    ] {
        let password = json!({ "password": "green canary only" });
        for answer in [
            client.post("/v1/users").json(&grace()).await,
            client.patch("/v1/users/grace").if_match(created.etag()).json(&json!({})).await,
            client.post("/v1/users/grace/password").json(&password).await,
        ] {
            assert_eq!(answer.problem(), "forbidden");
        }
    }
    for path in ["/v1/users", "/v1/users/grace"] {
        assert_eq!(app.anonymous().get(path).await.problem(), "unauthorized");
        assert_eq!(app.as_admin("acme").get(path).await.problem(), "forbidden");
        assert_eq!(app.as_api_key(&[Scope::UsersRead], "*").get(path).await.status, 200);
    }
}
