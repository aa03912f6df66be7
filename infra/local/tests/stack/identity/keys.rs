//! API keys that are managed.

use serde_json::json;

use crate::support::{
    Call, Key, TestStack,
    people::{Bearer, Person},
};

#[tokio::test]
async fn a_key_is_minted_used_listed_and_revoked() {
    let stack = TestStack::start_with_people().await;
    let root = stack.log_in(Person::ROOT).await;
    let body =
        json!({ "name": "nightly", "scopes": ["jobs:read"], "tenants": ["example"], "expires_in_days": 30 });
    let minted = root.send(Call::post("/v1/api-keys").json(&body)).await.expect(201).json();
    let key = Bearer(minted["key"].as_str().unwrap().to_owned());
    assert!(key.0.starts_with("gh_") && key.0.len() == 41, "{}", key.0.len());
    let machine = stack.client(&key);
    machine.get("/v1/jobs/hello").await.expect(200);
    machine.send(Call::post("/v1/jobs/hello/runs")).await.problem(403, "forbidden");
    let id = minted["api_key"]["key_id"].as_str().unwrap().to_owned();
    let shown = root.get(format!("/v1/api-keys/{id}")).await.expect(200).json();
    assert_eq!(
        (&shown["api_key"]["state"], &shown["api_key"]["created_by"]),
        (&json!("active"), &json!("user:root"))
    );
    assert!(shown["api_key"]["last_used_at"].is_string(), "{shown}");
    let listed = root.all("/v1/api-keys?limit=2", "api_keys").await;
    assert_eq!(listed.len(), Key::ALL.len() + 1);
    assert_eq!(listed[0]["key_id"], id.as_str());
    let revoked = root.send(Call::post(format!("/v1/api-keys/{id}/revoke"))).await.expect(200).json();
    assert_eq!((&revoked["api_key"]["state"], &revoked["flushed"]), (&json!("revoked"), &json!(true)));
    machine.get("/v1/jobs/hello").await.problem(401, "unauthorized");
    stack.stop().await;
}
