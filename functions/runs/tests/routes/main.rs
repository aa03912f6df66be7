//! Each route of the function with each of its refusals.

mod cancel;
mod endings;
mod events;
mod log;
mod recordings;
mod run;
mod scopes;
mod start;

use std::sync::Arc;

use gatehouse_domain::{
    ci::{LogStream, ProviderKind, RunEventBody, RunStatus, StepFacts, StepPhase},
    parameter::ParameterSpec,
};
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

/// From here on, time passes only when a stream and the look after its reader both sleep: not while the end of a
/// run is written down.
fn let_time_stand_still(app: &TestApp) {
    app.system.announce(2);
}

/// What happens in a build of two lines that ends well.
fn events() -> Vec<RunEventBody> {
    let log = |stream, text: &str| RunEventBody::Log {
        step: Some("task".to_owned()),
        stream,
        text: text.to_owned(),
    };
    let status = |status: RunStatus| RunEventBody::Status {
        status,
        provider_status: status.as_str().to_owned(),
        reason: None,
    };
    vec![
        status(RunStatus::Running),
        RunEventBody::Step {
            step: "task".to_owned(),
            name: Some("build".to_owned()),
            phase: StepPhase::Started,
            facts: Box::new(StepFacts {
                kind: Some("task".to_owned()),
                command: vec!["make".to_owned()],
                ..StepFacts::default()
            }),
        },
        log(LogStream::Stdout, "\u{1b}[32mgreen\u{1b}[0m\r\n"),
        log(LogStream::Stderr, "careful\n"),
        status(RunStatus::Succeeded),
        RunEventBody::End,
    ]
}
