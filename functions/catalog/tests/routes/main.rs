//! Each route of the function with each of its refusals.

mod action;
mod all_operations;
mod decision;
mod drift;
mod entity;
mod extend;
mod module;
mod old_portal;
mod operation;
mod service;

use std::sync::Arc;

use axum::http::Method;
use catalog::AppState;
use gatehouse_domain::{
    access::Scope,
    catalog::Settled,
    operations::{self, EnvironmentStatus, FindOperation, Operation},
    plain_http::PlainHttp,
    secret::SecretName,
};
use gatehouse_inputs::InputSealer;
use gatehouse_testkit::app::{Answer, Client, ScriptedEngine, TestApp, callers, catalog as records};
use serde_json::{Value, json};

/// The function, beside a provisioner that has the module `example`, with the project `payments` and the job
/// `ship` of tenant `acme`.
async fn start() -> (TestApp, Arc<ScriptedEngine>) {
    let engine = Arc::new(ScriptedEngine::default());
    let (start, answer, oversee) = (engine.clone(), engine.clone(), engine.clone());
    let app = TestApp::start(|deps| {
        let (table, system) = (deps.table, deps.system);
        let seal = Arc::new(InputSealer::new(deps.secrets, system.clone()));
        catalog::router(AppState {
            table,
            start,
            answer,
            oversee,
            seal,
            plain_http: PlainHttp::OnLoopback,
            system,
        })
    })
    .await;
    app.secrets.put(&SecretName::input_key(), &"canary-key-of-inputs-in-these-tests".into());
    let inputs = json!({
        "size": { "type": "number" }, "color": {}, "text": {}, "a": {},
        "password": { "type": "string", "sensitive": true },
    });
    records::publish(&app.table, "example", inputs).await;
    app.table.save_project("acme", "payments", None).await;
    app.table.save_job_as(&callers::tenant_key("acme"), "ship", "payments").await;
    (app, engine)
}

/// A service that `ship` deploys to `dev`, with somebody's approval to `prod`, and to `made` once that is
/// provisioned.
fn shop() -> Value {
    json!({
        "name": "shop", "project": "payments", "owner": "team-payments", "deploy": { "job": "ship" },
        "environments": [
            { "name": "dev", "category": "dev" },
            { "name": "prod", "category": "prod", "approval_required": true },
            { "name": "made", "category": "test", "module": "example", "inputs": { "size": 1 } },
        ],
    })
}

/// The same with members of its own.
fn shop_with(members: Value) -> Value {
    let mut body = shop();
    let Value::Object(members) = members else { panic!("no members: {members}") };
    body.as_object_mut().expect("a body").extend(members);
    body
}

/// A service without an environment that admins protect.
fn unprotected() -> Value {
    shop_with(json!({ "name": "open", "environments": [{ "name": "dev", "category": "dev" }] }))
}

/// Creates a service, and returns its id.
async fn create(client: &Client<'_>, body: &Value) -> String {
    let created = client.post("/services").json(body).await;
    assert_eq!(created.status, 201, "{created}");
    created.body["service"]["id"].as_str().expect("an id").to_owned()
}

/// The function with [`shop`], and its id.
async fn with_shop() -> (TestApp, Arc<ScriptedEngine>, String) {
    let (app, engine) = start().await;
    let service = create(&app.as_developer("acme"), &shop()).await;
    (app, engine, service)
}

/// Asks for what is done in an environment.
async fn act(client: &Client<'_>, service: &str, action: &str, body: &Value) -> Answer {
    client.post(format!("/services/{service}/actions/{action}")).json(body).await
}

/// The operation that an answer is about.
fn operation_of(answer: &Answer) -> String {
    answer.body["operation"]["id"].as_str().unwrap_or_else(|| panic!("no operation: {answer}")).to_owned()
}

/// Asks for a deploy as `user:dev`, and returns the operation's id.
async fn deploy(app: &TestApp, service: &str, environment: &str, version: &str) -> String {
    let body = json!({ "environment": environment, "version": version });
    operation_of(&act(&app.as_developer("acme"), service, "deploy", &body).await)
}

/// The operation's record.
async fn record(app: &TestApp, operation: &str) -> Operation {
    let id = operation.parse().expect("an id");
    app.table.table.find_operation(&id).await.expect("an answer").expect("an operation")
}

/// How the environments of a service of tenant `acme` stand, in its order. `functions/streams` shows it.
async fn standing(app: &TestApp, service: &str) -> Vec<EnvironmentStatus> {
    let viewer = callers::person("vera", "acme=viewer", "ses_vera");
    let id = service.parse().expect("an id");
    operations::status(&*app.table.table, &viewer, &id).await.expect("a status").environments
}

/// Ends the operation well, as its workflow does.
async fn end(app: &TestApp, operation: &str, settled: &Settled) {
    records::end(&app.table, &record(app, operation).await, settled).await;
}

/// Provisions `made`, which ends well.
async fn provision(app: &TestApp, service: &str) -> String {
    let body = json!({ "environment": "made" });
    let operation = operation_of(&act(&app.as_developer("acme"), service, "provision", &body).await);
    let present = records::present(&app.table, &record(app, &operation).await);
    end(app, &operation, &present).await;
    operation
}

/// Every route, with the scope that an API key needs for it.
const ROUTES: [(&str, &str, Scope); 21] = [
    ("GET", "/services", Scope::CatalogRead),
    ("POST", "/services", Scope::CatalogWrite),
    ("GET", "/services/{id}", Scope::CatalogRead),
    ("PUT", "/services/{id}", Scope::CatalogWrite),
    ("DELETE", "/services/{id}", Scope::CatalogWrite),
    ("POST", "/v1/catalog/import", Scope::CatalogWrite),
    ("GET", "/v1/catalog/entities", Scope::CatalogRead),
    ("GET", "/v1/catalog/entities/component/default/shop", Scope::CatalogRead),
    ("DELETE", "/v1/catalog/entities/component/default/shop", Scope::CatalogWrite),
    ("POST", "/services/{id}/actions/provision", Scope::OperationsWrite),
    ("POST", "/services/{id}/actions/deprovision", Scope::OperationsWrite),
    ("POST", "/services/{id}/actions/drift", Scope::OperationsWrite),
    ("POST", "/services/{id}/actions/deploy", Scope::OperationsWrite),
    ("POST", "/services/{id}/actions/extend", Scope::OperationsWrite),
    ("GET", "/v1/operations", Scope::CatalogRead),
    ("GET", "/v1/operations/{operation}", Scope::CatalogRead),
    ("GET", "/services/{id}/operations", Scope::CatalogRead),
    ("GET", "/services/{id}/operations/{operation}", Scope::CatalogRead),
    ("POST", "/services/{id}/operations/{operation}/approve", Scope::OperationsApprove),
    ("POST", "/services/{id}/operations/{operation}/reject", Scope::OperationsApprove),
    ("POST", "/services/{id}/operations/{operation}/cancel", Scope::OperationsWrite),
];

#[tokio::test]
async fn each_route_takes_a_credential_with_its_scope() {
    let (app, engine, service) = with_shop().await;
    let operation = deploy(&app, &service, "prod", "1").await;
    // Protects nothing, so that the scope alone is enough to delete it.
    let open = create(&app.as_developer("acme"), &unprotected()).await;
    engine.calls();
    for (method, path, scope) in ROUTES {
        let service = if method == "DELETE" { &open } else { &service };
        let path = path.replace("{id}", service).replace("{operation}", &operation);
        let method: Method = method.parse().expect("a method");
        let nobody = app.anonymous().call(method.clone(), &path).await;
        assert_eq!((nobody.status.as_u16(), nobody.problem()), (401, "unauthorized"), "{method} {path}");
        let others: Vec<_> =
            Scope::ALL.iter().copied().filter(|it| ![scope, Scope::All].contains(it)).collect();
        let key = app.as_api_key(&others, "acme").call(method.clone(), &path).await;
        assert_eq!((key.status.as_u16(), key.problem()), (403, "forbidden"), "{method} {path}: {key}");
        let service = app.as_service("acme", "payments", "worker").call(method.clone(), &path).await;
        assert_eq!(service.problem(), "forbidden", "{method} {path}: {service}");
        let key = app.as_api_key(&[scope], "acme").call(method.clone(), &path).await;
        assert!(![401, 403].contains(&key.status.as_u16()), "{method} {path}: {key}");
    }
}
