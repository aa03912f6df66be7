//! Each route of the function with each of its refusals.

mod cancel;
mod run;
mod scopes;
mod start;

use std::sync::Arc;

use gatehouse_domain::{ci::ProviderKind, parameter::ParameterSpec};
use gatehouse_outbound::OutboundHttp;
use gatehouse_testkit::app::{ScriptedCi, TestApp, callers, job_draft};
use runs::AppState;
use serde_json::json;

/// The function, a CI system called `concourse`, and the job `deploy` of tenant `acme`, which may be given a
/// `branch`.
async fn start() -> (TestApp, Arc<ScriptedCi>) {
    let ci = Arc::new(ScriptedCi::default());
    let provider = ci.clone();
    let app = TestApp::start(|deps| {
        let (table, secrets, system) = (deps.table, deps.secrets, deps.system);
        let name = "concourse".parse().expect("a provider");
        let http = OutboundHttp::new();
        let providers = gatehouse_providers::directory(table.clone(), secrets, system.clone(), http);
        let providers = providers.with_builtin(name, ProviderKind::Concourse, provider);
        runs::router(AppState { table, providers: Arc::new(providers), system })
    })
    .await;
    let branch: ParameterSpec = serde_json::from_value(json!({
        "name": "branch", "type": "string", "default": "main",
        "deliver": { "as": "instance_var", "name": "branch" },
    }))
    .expect("a parameter");
    let mut draft = job_draft("deploy", "payments");
    draft.spec.parameters = vec![branch];
    app.table.save_draft(&callers::tenant_key("acme"), draft).await;
    (app, ci)
}

/// The same with a run, which waits, and its id.
async fn with_a_run() -> (TestApp, Arc<ScriptedCi>, String) {
    let (app, ci) = start().await;
    let started = app.as_developer("acme").post("/v1/jobs/deploy/runs").await;
    let run = started.body["run"]["run_id"].as_str().expect("a run").to_owned();
    (app, ci, run)
}
