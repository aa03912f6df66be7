use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use futures_util::future::join_all;
use gatehouse_domain::{
    access::Scope,
    claims::ServiceClaims,
    clock::Clock,
    tokens::{FindToken, RecordUse, authenticate},
};
use gatehouse_testkit::app::{Answer, Call, Client, TestApp};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::start;

/// The function with the project `payments` of tenant `acme`.
async fn with_payments() -> TestApp {
    let app = start().await;
    app.table.save_project("acme", "payments", None).await;
    app
}

fn mint<'a>(app: &'a TestApp, body: &Value) -> Call<'a> {
    app.as_admin("acme").post("/v1/tokens").json(body)
}

/// Mints a token for this service of `payments`.
async fn minted(app: &TestApp, service: &str) -> Answer {
    let answer = mint(app, &json!({ "project": "payments", "service": service })).await;
    assert_eq!(answer.status, 201, "{answer}");
    answer
}

fn jti(minted: &Answer) -> &str {
    minted.body["jti"].as_str().unwrap()
}

/// The answer without what is signed, which differs from run to run.
fn without_token(mut answer: Answer) -> Answer {
    answer.body["token"] = json!("(a token)");
    answer
}

/// What a token says, which everybody can read.
fn claims(minted: &Answer) -> Value {
    let payload = minted.body["token"].as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap()
}

/// Uses the token as the authorizer does. Whether it opens anything.
async fn uses(app: &TestApp, minted: &Answer) -> bool {
    let table = &app.table.table;
    let record = table.find_token(&jti(minted).parse().unwrap()).await.unwrap().unwrap();
    let claims = ServiceClaims {
        jti: record.jti,
        project: record.project,
        service: record.service,
        issued_at: record.created_at,
        expires_at: record.expires_at,
    };
    let admitted = authenticate(&**table, &claims, app.system.now()).await.unwrap();
    if let Some((_, Some(used))) = &admitted {
        table.record_use(used).await.unwrap();
    }
    admitted.is_some()
}

mod mint {
    use super::*;

    #[tokio::test]
    async fn a_token_is_what_its_users_always_had() {
        let app = with_payments().await;
        let body = json!({ "project": "payments", "service": "worker", "description": "nightly", "expiresInDays": 30 });
        let minted = mint(&app, &body).await;
        let members: Vec<_> = minted.body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["expiresAt", "jti", "project", "service", "token"]);
        let claims = claims(&minted);
        assert_eq!(
            (&claims["project"], &claims["service"], &claims["jti"], &claims["iss"]),
            (&json!("payments"), &json!("worker"), &minted.body["jti"], &json!("urn:gatehouse:test"))
        );
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 30 * 24 * 3600);
        assert_snapshot!(without_token(minted), @r#"
        201 Created
        {
          "expiresAt": "2026-10-21T14:13:20Z",
          "jti": "tok_#1",
          "project": "payments",
          "service": "worker",
          "token": "(a token)"
        }
        "#);
    }

    #[tokio::test]
    async fn a_token_lives_for_as_many_days_as_asked_for_and_for_ninety_otherwise() {
        let app = with_payments().await;
        let life = async |body: Value| {
            let claims = claims(&mint(&app, &body).await);
            (claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()) / (24 * 3600)
        };
        let other_spelling = json!({ "project": "payments", "service": "worker", "expires_in_days": 1 });
        assert_eq!(life(other_spelling).await, 1);
        assert_eq!(life(json!({ "project": "payments", "service": "worker" })).await, 90);
    }

    #[tokio::test]
    async fn refuses_what_cannot_be_minted() {
        let app = with_payments().await;
        for (body, pointer) in [
            (json!({ "project": "payments", "service": "worker", "expiresInDays": 366 }), "/expiresInDays"),
            (json!({ "project": "payments", "service": "worker", "expiresInDays": 0 }), "/expiresInDays"),
            (json!({ "project": "payments", "service": "Bad!" }), "/service"),
            (json!({ "project": "payments" }), ""),
            (json!({ "project": "payments", "service": "worker", "role": "admin" }), "/role"),
            (
                json!({ "project": "payments", "service": "worker", "description": "x".repeat(501) }),
                "/description",
            ),
        ] {
            let refused = mint(&app, &body).await;
            assert_eq!(refused.problem(), "validation-failed");
            assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{refused}");
        }
        assert_snapshot!(mint(&app, &json!({ "project": "absent", "service": "worker" })).await, @"
        422 Unprocessable Entity
        validation-failed: There is no project `absent`.
        ");
        let listed = app.as_admin("acme").get("/v1/tokens?state=all").await;
        assert_eq!(listed.body, json!({ "tokens": [] }));
    }

    #[tokio::test]
    async fn a_project_accepts_the_services_that_it_names() {
        let app = start().await;
        app.table.save_project("acme", "payments", Some("worker")).await;
        assert_snapshot!(mint(&app, &json!({ "project": "payments", "service": "stranger" })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/service`.
          "/service": the project does not accept this service
        "#);
        minted(&app, "worker").await;
    }

    #[tokio::test]
    async fn the_same_request_again_mints_the_same_token() {
        let app = with_payments().await;
        let body = json!({ "project": "payments", "service": "worker" });
        let first = mint(&app, &body).idempotency_key("once").await;
        assert_eq!(first.header("idempotency-replayed"), "");
        app.system.advance(Duration::from_mins(1));
        let again = mint(&app, &body).idempotency_key("once").await;
        assert_eq!((again.status.as_u16(), &again.body), (201, &first.body));
        assert_eq!(again.header("idempotency-replayed"), "true");
        let other = json!({ "project": "payments", "service": "other" });
        assert_snapshot!(mint(&app, &other).idempotency_key("once").await, @"
        422 Unprocessable Entity
        idempotency-key-reused: The Idempotency-Key was used for another request.
        ");
        assert_snapshot!(mint(&app, &body).idempotency_key("").await, @"
        400 Bad Request
        invalid-header: Idempotency-Key must be 1 to 255 visible ASCII characters, quoted or bare.
        ");
    }

    #[tokio::test]
    async fn a_hundred_of_the_same_request_at_once_mint_one_token() {
        let app = with_payments().await;
        let body = json!({ "project": "payments", "service": "worker" });
        let answers = join_all((0..100).map(async |_| mint(&app, &body).idempotency_key("once").await)).await;
        // On a machine that is busy with other things, the table may be too slow for some.
        let (made, busy): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
        assert!(!made.is_empty() && busy.iter().all(|answer| answer.status == 503), "{busy:?}");
        assert!(made.iter().all(|answer| answer.body == made[0].body));
        assert!(uses(&app, made[0]).await);
        let listed = app.as_admin("acme").get("/v1/tokens").await;
        assert_eq!(listed.body["tokens"].as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn is_for_admins_of_the_tenant() {
        let app = with_payments().await;
        let body = json!({ "project": "payments", "service": "worker" });
        assert_eq!(app.anonymous().post("/v1/tokens").json(&body).await.problem(), "unauthorized");
        assert_eq!(app.as_developer("acme").post("/v1/tokens").json(&body).await.problem(), "forbidden");
        let elsewhere = app.as_person("eve", "acme=viewer,beta=admin");
        assert_snapshot!(elsewhere.post("/v1/tokens").json(&body).await, @"
        403 Forbidden
        forbidden: Your role in tenant `acme` does not allow this.
        ");
        let beta = app.as_admin("beta").post("/v1/tokens").json(&body).await;
        assert_eq!(beta.problem(), "validation-failed", "another tenant's project is not shown");
    }
}

mod show {
    use super::*;

    #[tokio::test]
    async fn shows_what_is_kept_of_a_token() {
        let app = with_payments().await;
        let minted = minted(&app, "worker").await;
        let path = format!("/v1/tokens/{}", jti(&minted));
        let shown = app.as_admin("acme").get(&path).await;
        assert_snapshot!(shown, @r#"
        200 OK
        {
          "token": {
            "created_at": "2026-09-21T14:13:20Z",
            "created_by": "user:ada",
            "expires_at": "2026-12-20T14:13:20Z",
            "jti": "tok_#1",
            "project": "payments",
            "service": "worker",
            "state": "active",
            "tenant": "acme"
          }
        }
        "#);
        assert!(uses(&app, &minted).await);
        let used = app.as_admin("acme").get(&path).await;
        assert_eq!(used.body["token"]["last_used_at"], "2026-09-21T14:13:20Z");
        app.system.advance(Duration::from_hours(90 * 24));
        assert_eq!(app.as_admin("acme").get(&path).await.body["token"]["state"], "expired");
    }

    #[tokio::test]
    async fn a_token_of_others_does_not_exist() {
        let app = with_payments().await;
        let minted = minted(&app, "worker").await;
        let path = format!("/v1/tokens/{}", jti(&minted));
        let absent = app.as_admin("acme").get("/v1/tokens/tok_00000000000000000000000000").await;
        assert_snapshot!(absent, @"
        404 Not Found
        not-found: There is no such token.
        ");
        let foreign = app.as_admin("beta").get(&path).await;
        assert_eq!((foreign.status, foreign.body), (absent.status, absent.body));
        assert_snapshot!(app.as_person("eve", "acme=viewer,beta=admin").get(&path).await, @"
        403 Forbidden
        forbidden: Your role in tenant `acme` does not allow this.
        ");
        assert_eq!(app.as_viewer("acme").get(&path).await.problem(), "forbidden");
        assert_eq!(app.as_admin("acme").get("/v1/tokens/nonsense").await.problem(), "invalid-path");
    }
}

mod list {
    use super::*;

    #[tokio::test]
    async fn lists_tokens_by_what_is_asked_for() {
        let app = with_payments().await;
        mint(&app, &json!({ "project": "payments", "service": "soon", "expiresInDays": 3 })).await;
        minted(&app, "worker").await;
        let gone = minted(&app, "gone").await;
        app.as_admin("acme").post(format!("/v1/tokens/{}/revoke", jti(&gone))).await;
        let services = async |query: &str| {
            let mut services = Vec::new();
            let mut next = String::new();
            loop {
                let page = app.as_admin("acme").get(format!("/v1/tokens?limit=1{query}{next}")).await;
                let tokens = page.body["tokens"].as_array().unwrap();
                services.extend(tokens.iter().map(|token| token["service"].as_str().unwrap().to_owned()));
                let Some(cursor) = page.body["next_cursor"].as_str() else { break };
                let link = page.header("link").to_owned();
                assert!(link.contains(cursor) && link.contains(query), "{link}");
                next = format!("&cursor={cursor}");
            }
            services.sort();
            services
        };
        assert_eq!(services("").await, ["soon", "worker"]);
        assert_eq!(services("&state=all").await, ["gone", "soon", "worker"]);
        assert_eq!(services("&state=revoked").await, ["gone"]);
        assert_eq!(services("&expiring_within_days=7").await, ["soon"]);
        assert_eq!(services("&service=worker").await, ["worker"]);
        assert!(services("&state=expired").await.is_empty());
        assert!(services("&unused_for_days=1").await.is_empty());
        assert!(services("&project=absent").await.is_empty());
        app.system.advance(Duration::from_hours(4 * 24));
        assert_eq!(services("&state=expired").await, ["soon"]);
        assert_eq!(services("&unused_for_days=1").await, ["worker"]);
        // Another tenant's admin sees none of them; a platform admin all.
        let of = async |client: Client<'_>| {
            client.get("/v1/tokens?state=all").await.body["tokens"].as_array().unwrap().len()
        };
        assert_eq!((of(app.as_admin("beta")).await, of(app.as_platform_admin()).await), (0, 3));
    }

    #[tokio::test]
    async fn refuses_what_it_does_not_understand() {
        let app = start().await;
        for bad in ["state=dead", "limit=0", "cursor=x", "project=-no", "unused_for_days=-1", "color=red"] {
            let refused = app.as_admin("acme").get(format!("/v1/tokens?{bad}")).await;
            assert_eq!(refused.problem(), "invalid-query", "{bad}");
        }
        assert_eq!(app.anonymous().get("/v1/tokens").await.problem(), "unauthorized");
        assert_eq!(app.as_viewer("acme").get("/v1/tokens").await.problem(), "forbidden");
        assert_eq!(app.as_api_key(&[Scope::TokensRead], "acme").get("/v1/tokens").await.status, 200);
    }
}

mod revoke {
    use super::*;

    fn revoke<'a>(app: &'a TestApp, minted: &Answer) -> Call<'a> {
        app.as_admin("acme").post(format!("/v1/tokens/{}/revoke", jti(minted)))
    }

    #[tokio::test]
    async fn a_revoked_token_opens_nothing() {
        let app = with_payments().await;
        let minted = minted(&app, "worker").await;
        let revoked = revoke(&app, &minted).json(&json!({ "reason": "leaked" })).await;
        assert_snapshot!(revoked, @r#"
        200 OK
        {
          "effective_by": "2026-09-21T14:13:20Z",
          "flushed": true,
          "revoked": true,
          "token": {
            "created_at": "2026-09-21T14:13:20Z",
            "created_by": "user:ada",
            "expires_at": "2026-12-20T14:13:20Z",
            "jti": "tok_#1",
            "project": "payments",
            "revoked_at": "2026-09-21T14:13:20Z",
            "revoked_by": "user:ada",
            "revoked_reason": "leaked",
            "service": "worker",
            "state": "revoked",
            "tenant": "acme"
          }
        }
        "#);
        assert_eq!(app.flushes.count(), 1);
        assert!(!uses(&app, &minted).await);
        // Again flushes once more and changes nothing of who and why.
        app.system.advance(Duration::from_secs(1));
        let again = revoke(&app, &minted).json(&json!({ "reason": "again" })).await;
        assert_eq!(again.body["token"], revoked.body["token"]);
        assert_eq!(app.flushes.count(), 2);
    }

    #[tokio::test]
    async fn refuses_what_it_does_not_understand() {
        let app = with_payments().await;
        let minted = minted(&app, "worker").await;
        assert_snapshot!(revoke(&app, &minted).json(&json!({ "reason": "x".repeat(501) })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/reason`.
          "/reason": must be at most 500 bytes
        "#);
        assert_eq!(revoke(&app, &minted).json(&json!({ "why": "x" })).await.problem(), "validation-failed");
        let absent = app.as_admin("acme").post("/v1/tokens/tok_00000000000000000000000000/revoke").await;
        assert_eq!(absent.problem(), "not-found");
        let foreign = app.as_admin("beta").post(format!("/v1/tokens/{}/revoke", jti(&minted))).await;
        assert_eq!(foreign.problem(), "not-found");
        let small = app.as_person("eve", "acme=viewer,beta=admin");
        assert_eq!(small.post(format!("/v1/tokens/{}/revoke", jti(&minted))).await.problem(), "forbidden");
        assert!(uses(&app, &minted).await);
    }
}

mod rotate {
    use super::*;

    fn rotate<'a>(app: &'a TestApp, minted: &Answer, body: &Value) -> Call<'a> {
        app.as_admin("acme").post(format!("/v1/tokens/{}/rotate", jti(minted))).json(body)
    }

    async fn state(app: &TestApp, minted: &Answer) -> String {
        let shown = app.as_admin("acme").get(format!("/v1/tokens/{}", jti(minted))).await;
        shown.body["token"]["state"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn the_old_token_ends_when_the_new_one_is_used() {
        let app = with_payments().await;
        let old = minted(&app, "worker").await;
        let new = rotate(&app, &old, &json!({})).await;
        assert_eq!(new.body["replaces"], old.body["jti"]);
        assert_snapshot!(without_token(new.clone()), @r#"
        201 Created
        {
          "expiresAt": "2026-12-20T14:13:20Z",
          "jti": "tok_#1",
          "project": "payments",
          "replaces": "tok_#2",
          "service": "worker",
          "token": "(a token)"
        }
        "#);
        assert!(uses(&app, &old).await && uses(&app, &new).await);
        assert_eq!(state(&app, &old).await, "revoked");
        assert_snapshot!(rotate(&app, &old, &json!({})).await, @"
        409 Conflict
        conflict: Only an active token can be rotated; this one is revoked.
        ");
    }

    #[tokio::test]
    async fn the_old_token_ends_after_its_time_of_grace() {
        let app = with_payments().await;
        let old = minted(&app, "worker").await;
        let new = rotate(&app, &old, &json!({ "grace_seconds": 3600, "expiresInDays": 5 })).await;
        assert!(uses(&app, &new).await && uses(&app, &old).await);
        let shown = app.as_admin("acme").get(format!("/v1/tokens/{}", jti(&old))).await;
        assert_snapshot!(shown, @r#"
        200 OK
        {
          "token": {
            "created_at": "2026-09-21T14:13:20Z",
            "created_by": "user:ada",
            "ends_at": "2026-09-21T15:13:20Z",
            "expires_at": "2026-12-20T14:13:20Z",
            "jti": "tok_#1",
            "last_used_at": "2026-09-21T14:13:20Z",
            "project": "payments",
            "replaced_by": "tok_#2",
            "service": "worker",
            "state": "rotated",
            "tenant": "acme"
          }
        }
        "#);
        app.system.advance(Duration::from_hours(1));
        assert!(!uses(&app, &old).await && uses(&app, &new).await);
        assert_eq!(state(&app, &old).await, "expired");
    }

    #[tokio::test]
    async fn a_rotation_whose_answer_was_lost_is_asked_for_again() {
        let app = with_payments().await;
        let old = minted(&app, "worker").await;
        let call = || rotate(&app, &old, &json!({})).idempotency_key("once");
        let answers = join_all((0..10).map(async |_| call().await)).await;
        assert!(answers.iter().all(|answer| answer.status == 201 && answer.body == answers[0].body));
        assert!(uses(&app, &answers[0]).await);
        // The old one has ended with that, and the answer is still the same.
        let again = call().await;
        assert_eq!((&again.body, again.header("idempotency-replayed")), (&answers[0].body, "true"));
        let other = minted(&app, "other").await;
        let reused = rotate(&app, &other, &json!({})).idempotency_key("once").await;
        assert_eq!(reused.problem(), "idempotency-key-reused");
    }

    #[tokio::test]
    async fn a_key_is_for_one_rotation_with_one_life_and_one_time_of_grace() {
        let asked = [
            json!({}),
            json!({ "expiresInDays": 3 }),
            json!({ "grace_seconds": 60 }),
            json!({ "grace_seconds": 61 }),
            json!({ "grace_seconds": 60, "expiresInDays": 3 }),
        ];
        for (first, body) in asked.iter().enumerate() {
            let app = with_payments().await;
            let old = minted(&app, "worker").await;
            assert_eq!(rotate(&app, &old, body).idempotency_key("once").await.status, 201);
            for (second, other) in asked.iter().enumerate() {
                let again = rotate(&app, &old, other).idempotency_key("once").await;
                let expected = if first == second { (201, "") } else { (422, "idempotency-key-reused") };
                assert_eq!((again.status.as_u16(), again.problem()), expected, "{body} and then {other}");
            }
        }
    }

    #[tokio::test]
    async fn a_hundred_rotations_at_once_make_one_new_token() {
        let app = with_payments().await;
        let old = minted(&app, "worker").await;
        let answers = join_all((0..100).map(async |_| rotate(&app, &old, &json!({})).await)).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            assert!(matches!(answer.status.as_u16(), 409 | 503), "{answer}");
        }
        let listed = app.as_admin("acme").get("/v1/tokens?state=all").await;
        assert_eq!(listed.body["tokens"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn refuses_what_cannot_be_rotated() {
        let app = with_payments().await;
        let old = minted(&app, "worker").await;
        let both = json!({ "grace_seconds": 2_592_001, "expiresInDays": 366 });
        assert_snapshot!(rotate(&app, &old, &both).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/grace_seconds`, `/expiresInDays`.
          "/grace_seconds": must be at most 2592000, which is 30 days
          "/expiresInDays": must be 1 to 365
        "#);
        assert_eq!(rotate(&app, &old, &json!({ "grace": 1 })).await.problem(), "validation-failed");
        let absent = app.as_admin("acme").post("/v1/tokens/tok_00000000000000000000000000/rotate").await;
        assert_eq!(absent.problem(), "not-found");
        let path = format!("/v1/tokens/{}/rotate", jti(&old));
        assert_eq!(app.as_admin("beta").post(&path).await.problem(), "not-found");
        assert_eq!(app.as_person("eve", "acme=viewer,beta=admin").post(&path).await.problem(), "forbidden");
        app.as_admin("acme").post(format!("/v1/tokens/{}/revoke", jti(&old))).await;
        assert_snapshot!(rotate(&app, &old, &json!({})).await, @"
        409 Conflict
        conflict: Only an active token can be rotated; this one is revoked.
        ");
    }
}
