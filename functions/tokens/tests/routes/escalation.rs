//! A service token is minted, rotated and revoked by those who may do that in its project's tenant: each endpoint
//! that changes tokens, against callers of each scope, role and tenant.

use gatehouse_domain::access::{ENDPOINTS, Scope};
use gatehouse_testkit::app::{Client, TestApp};
use serde_json::json;

use crate::start;

/// The endpoints that are tried below. One that is new has to be tried as well.
#[test]
fn each_endpoint_that_grants_is_tried() {
    let writes = ENDPOINTS.iter().filter(|endpoint| {
        endpoint.function == "tokens"
            && [Scope::TokensWrite, Scope::KeysWrite].iter().any(|scope| endpoint.role_for(*scope).is_some())
    });
    let writes: Vec<_> = writes.map(|endpoint| endpoint.id).collect();
    assert_eq!(writes, ["mint_token", "revoke_token", "rotate_token", "rotate_signing_key"]);
}

/// Callers, with the tenants in which they may change tokens.
fn callers(app: &TestApp) -> Vec<(String, Client<'_>, Vec<&'static str>)> {
    let mut callers = Vec::new();
    for scope in Scope::ALL {
        let may = matches!(scope, Scope::All | Scope::TokensWrite);
        for (tenants, these) in
            [("acme", vec!["acme"]), ("acme,beta", vec!["acme", "beta"]), ("*", vec!["acme", "beta"])]
        {
            let these = if may { these } else { Vec::new() };
            callers.push((
                format!("a key with {scope} in {tenants}"),
                app.as_api_key(&[*scope], tenants),
                these,
            ));
        }
    }
    for (roles, these) in [
        ("acme=developer,beta=viewer", vec![]),
        ("acme=admin", vec!["acme"]),
        ("acme=admin,beta=developer", vec!["acme"]),
        ("*=developer,beta=admin", vec!["beta"]),
        ("*=admin", vec!["acme", "beta"]),
    ] {
        callers.push((roles.to_owned(), app.as_person("grantor", roles), these));
    }
    callers
}

#[tokio::test]
async fn tokens_are_changed_by_those_who_may_in_their_tenant() {
    let app = start().await;
    app.table.save_project("acme", "of-acme", None).await;
    app.table.save_project("beta", "of-beta", None).await;
    let root = app.as_platform_admin();
    let active =
        async |jti: &str| root.get(format!("/v1/tokens/{jti}")).await.body["token"]["state"] == "active";
    for (name, caller, tenants) in callers(&app) {
        for tenant in ["acme", "beta"] {
            let may = tenants.contains(&tenant);
            let body = json!({ "project": format!("of-{tenant}"), "service": "worker" });
            let answer = caller.post("/v1/tokens").json(&body).await;
            assert_eq!(answer.status == 201, may, "{name} mints for {tenant}\n{answer}");
            let token = root.post("/v1/tokens").json(&body).await;
            let jti = token.body["jti"].as_str().unwrap();
            assert!(active(jti).await);
            let answer = caller.post(format!("/v1/tokens/{jti}/rotate")).await;
            assert_eq!(answer.status == 201, may, "{name} rotates a token of {tenant}\n{answer}");
            let answer = caller.post(format!("/v1/tokens/{jti}/revoke")).await;
            assert_eq!(answer.status == 200, may, "{name} revokes a token of {tenant}\n{answer}");
            assert_eq!(active(jti).await, !may, "{name}: a token of {tenant}");
        }
    }
}

#[tokio::test]
async fn signing_keys_are_rotated_by_those_who_may_change_keys_everywhere() {
    let app = start().await;
    for scope in Scope::ALL {
        for tenants in ["acme", "*"] {
            let may = matches!(scope, Scope::All | Scope::KeysWrite) && tenants == "*";
            let answer = app.as_api_key(&[*scope], tenants).post("/v1/signing-keys/rotate").await;
            assert_eq!(answer.status != 403, may, "{scope} in {tenants}\n{answer}");
        }
    }
    for (roles, may) in [("acme=admin", false), ("*=developer", false), ("*=admin", true)] {
        let answer = app.as_person("grantor", roles).post("/v1/signing-keys/rotate").await;
        assert_eq!(answer.status != 403, may, "{roles}\n{answer}");
    }
}
