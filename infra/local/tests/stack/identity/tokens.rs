//! Service tokens: minting, listing, revoking.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    Call, Key, TestStack, forger,
    people::{Bearer, Person},
};

fn mint(body: &Value) -> Call {
    Call::post("/v1/tokens").json(body)
}

#[tokio::test]
async fn a_token_is_what_its_users_always_had() {
    let stack = TestStack::start_with_people().await;
    let admin = stack.log_in(Person::ADMIN).await;
    let body =
        json!({ "project": "example", "service": "worker", "description": "nightly", "expiresInDays": 30 });
    let minted = admin.send(mint(&body)).await.expect(201).json();
    let members: Vec<_> = minted.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["expiresAt", "jti", "project", "service", "token"]);
    let token = Bearer(minted["token"].as_str().unwrap().to_owned());
    let claims = forger::claims(&token);
    assert_eq!(
        (&claims["project"], &claims["service"], &claims["jti"]),
        (&json!("example"), &json!("worker"), &minted["jti"])
    );
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 30 * 24 * 3600);
    let me = stack.client(&token).get("/auth/me").await.expect(200).json();
    let expected = json!({
        "kind": "service", "subject": minted["jti"], "tenants": ["example"],
        "project": "example", "service": "worker",
    });
    assert_eq!(me, expected);
    let shown = admin.get(format!("/v1/tokens/{}", minted["jti"].as_str().unwrap())).await.expect(200).json();
    assert_eq!(
        (&shown["token"]["state"], &shown["token"]["created_by"]),
        (&json!("active"), &json!("user:admin"))
    );
    assert!(shown["token"]["last_used_at"].is_string(), "{shown}");
    // The other spelling, and the life of a token that names none.
    let days = json!({ "project": "example", "service": "worker", "expires_in_days": 1 });
    admin.send(mint(&days)).await.expect(201);
    let unsaid = admin.mint("worker").await;
    let claims = forger::claims(&unsaid.bearer);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 90 * 24 * 3600);
    stack.stop().await;
}

#[tokio::test]
async fn what_cannot_be_minted_is_refused() {
    let stack = TestStack::start_with_people().await;
    let admin = stack.log_in(Person::ADMIN).await;
    for (body, status, slug) in [
        (
            json!({ "project": "example", "service": "worker", "expiresInDays": 366 }),
            422,
            "validation-failed",
        ),
        (json!({ "project": "example", "service": "worker", "expiresInDays": 0 }), 422, "validation-failed"),
        (json!({ "project": "absent", "service": "worker" }), 422, "validation-failed"),
        (json!({ "project": "example", "service": "Bad!" }), 422, "validation-failed"),
        (json!({ "project": "example" }), 422, "validation-failed"),
        (json!({ "project": "example", "service": "worker", "role": "admin" }), 422, "validation-failed"),
    ] {
        admin.send(mint(&body)).await.problem(status, slug);
    }
    let none: [Value; 0] = [];
    assert_eq!(admin.all("/v1/tokens?state=all", "tokens").await, none);
    stack.stop().await;
}

#[tokio::test]
async fn the_same_request_again_mints_the_same_token() {
    let stack = TestStack::start_with_people().await;
    let admin = stack.log_in(Person::ADMIN).await;
    let body = json!({ "project": "example", "service": "worker" });
    let call = || mint(&body).header("idempotency-key", "once");
    admin.get("/auth/me").await.expect(200);
    let answers = join_all((0..100).map(|_| admin.send(call()))).await;
    // On a machine that is busy with other things, the table may be too slow for some.
    let (minted, busy): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert!(!minted.is_empty() && busy.iter().all(|answer| answer.status == 503), "{busy:?}");
    let first = minted[0].json();
    for answer in minted {
        assert_eq!((&answer.json()["jti"], &answer.json()["token"]), (&first["jti"], &first["token"]));
    }
    let token = Bearer(first["token"].as_str().unwrap().to_owned());
    stack.client(&token).get("/auth/me").await.expect(200);
    assert_eq!(admin.all("/v1/tokens", "tokens").await.len(), 1);
    let other = json!({ "project": "example", "service": "other" });
    let reused = admin.send(mint(&other).header("idempotency-key", "once")).await;
    reused.problem(422, "idempotency-key-reused");
    stack.stop().await;
}

#[tokio::test]
async fn a_revoked_token_is_refused_on_the_next_request() {
    let stack = TestStack::start_with_people().await;
    let admin = stack.log_in(Person::ADMIN).await;
    let token = admin.mint("worker").await;
    let service = stack.client(&token.bearer);
    for _ in 0..3 {
        service.get("/auth/me").await.expect(200);
    }
    let begun = Instant::now();
    let body = json!({ "reason": "leaked" });
    let revoke = Call::post(format!("/v1/tokens/{}/revoke", token.jti)).json(&body);
    let revoked = admin.send(revoke.clone()).await.expect(200).json();
    service.get("/auth/me").await.problem(401, "unauthorized");
    eprintln!("from the call to the next refusal: {:?}", begun.elapsed());
    assert_eq!((&revoked["revoked"], &revoked["flushed"]), (&json!(true), &json!(true)));
    let record = &revoked["token"];
    assert_eq!((&record["state"], &record["revoked_reason"]), (&json!("revoked"), &json!("leaked")));
    assert_eq!(record["revoked_by"], "user:admin");
    // Again is fine, and changes nothing of who and why.
    let other = Call::post(format!("/v1/tokens/{}/revoke", token.jti)).json(&json!({ "reason": "again" }));
    let again = admin.send(other).await.expect(200).json();
    assert_eq!(again["token"], *record);
    stack.stop().await;
}

#[tokio::test]
async fn tokens_are_listed_by_what_is_asked_for() {
    let stack = TestStack::start_with_people().await;
    let admin = stack.log_in(Person::ADMIN).await;
    let soon = json!({ "project": "example", "service": "soon", "expiresInDays": 3 });
    admin.send(mint(&soon)).await.expect(201);
    admin.mint("worker").await;
    let gone = admin.mint("gone").await;
    admin.send(Call::post(format!("/v1/tokens/{}/revoke", gone.jti))).await.expect(200);
    let services = async |query: &str| {
        let tokens = admin.all(&format!("/v1/tokens?limit=1{query}"), "tokens").await;
        let mut services: Vec<_> =
            tokens.iter().map(|token| token["service"].as_str().unwrap().to_owned()).collect();
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
    // Another tenant's admin sees none of them; a platform admin all.
    let none: [Value; 0] = [];
    assert_eq!(stack.log_in(Person::OTHER_ADMIN).await.all("/v1/tokens?state=all", "tokens").await, none);
    assert_eq!(stack.client(&Key::PLATFORM).all("/v1/tokens?state=all", "tokens").await.len(), 3);
    stack.stop().await;
}

#[tokio::test]
async fn a_token_that_ends_soon_is_told_so_in_every_answer() {
    let stack = TestStack::start_with_people().await;
    let admin = stack.log_in(Person::ADMIN).await;
    for (days, told) in [(13, true), (15, false)] {
        let body = json!({ "project": "example", "service": "worker", "expiresInDays": days });
        let minted = admin.send(mint(&body)).await.expect(201).json();
        let token = Bearer(minted["token"].as_str().unwrap().to_owned());
        let answer = stack.client(&token).get("/auth/me").await.expect(200);
        let expected = told.then(|| minted["expiresAt"].as_str().unwrap());
        assert_eq!(answer.header("x-token-expires-at"), expected, "{days} days");
    }
    stack.stop().await;
}
