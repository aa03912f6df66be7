//! Service tokens: minting, listing, revoking.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{
    Call, TestStack, forger,
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
