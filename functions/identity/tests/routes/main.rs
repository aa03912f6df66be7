//! Each route of the function with each of its refusals.

mod api_keys;
mod audit;
mod escalation;
mod own_sessions;
mod projects;
mod reauthentication;
mod second_factor;
mod sessions;
mod tenants;
mod users;

use std::sync::Arc;

use gatehouse_domain::secret::SecretName;
use gatehouse_jwt::Issuer;
use gatehouse_testkit::app::{Answer, Call, Client, TestApp};
use identity::AppState;
use serde_json::{Value, json};

async fn start() -> TestApp {
    TestApp::start(|deps| {
        // On AWS, the template makes it.
        deps.secrets.put(&SecretName::second_factor_key(), &"canary-of-the-sealing-key".into());
        let (issuer, flush) = (Issuer::new("urn:gatehouse:test"), Arc::new(deps.flushes));
        identity::router(AppState::new(deps.table, deps.secrets, issuer, flush, deps.system))
    })
    .await
}

/// The function with the user `grace`, a developer of tenant `acme`, and what who created her was answered.
async fn with_grace() -> (TestApp, Answer) {
    let app = start().await;
    let created = app.as_platform_admin().post("/v1/users").json(&grace()).await;
    (app, created)
}

fn grace() -> Value {
    json!({
        "user_name": "grace", "password": "blue canary only", "display_name": "Grace",
        "roles": { "acme": "developer" },
    })
}

fn log_in<'a>(app: &'a TestApp, name: &str, password: &str) -> Call<'a> {
    app.anonymous().post("/auth/login").json(&json!({ "username": name, "password": password }))
}

/// What a list holds, page by page, of two items each.
async fn all(client: &Client<'_>, path: &str, member: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut next = String::new();
    loop {
        let answer = client.get(format!("{path}limit=2{next}")).await;
        assert_eq!(answer.status, 200, "{answer}");
        items.extend(answer.body[member].as_array().unwrap().clone());
        match answer.body["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return items,
        }
    }
}

fn texts(items: &[Value], member: &str) -> Vec<String> {
    items.iter().map(|item| item[member].as_str().unwrap_or("-").to_owned()).collect()
}
