//! Each route of the function with each of its refusals. What is watched is made by the rules that other functions call.

mod endings;
mod events;
mod log;
mod recordings;
mod rights;
mod status;

use std::{collections::BTreeMap, sync::Arc};

use gatehouse_domain::{
    audit::AuditContext,
    ci::{CancelMode, CiProvider, LogStream, ProviderKind, RunEventBody, RunStatus, StepFacts, StepPhase},
    parameter::ParameterSpec,
    runs::{self, FindRun, Run},
};
use gatehouse_outbound::OutboundHttp;
use gatehouse_providers::Directory;
use gatehouse_store::Table;
use gatehouse_testkit::app::{MemorySecrets, ScriptedCi, TestApp, TestSystem, callers, job_draft};
use serde_json::json;
use streams::AppState;

/// The CI systems that there are: `concourse` alone.
fn providers(
    table: Arc<Table>,
    secrets: Arc<MemorySecrets>,
    system: Arc<TestSystem>,
    ci: Arc<dyn CiProvider>,
) -> Directory {
    let name = "concourse".parse().expect("a provider");
    let providers = gatehouse_providers::directory(table, secrets, system, OutboundHttp::new());
    providers.with_builtin(name, ProviderKind::Concourse, ci)
}

/// The same, as other functions of this table have them.
fn providers_of(app: &TestApp, ci: &Arc<ScriptedCi>) -> Directory {
    providers(app.table.table.clone(), app.secrets.clone(), app.system.clone(), ci.clone())
}

/// The function, a CI system called `concourse`, and the job `deploy` of tenant `acme`, which may be given a
/// `branch`.
async fn start() -> (TestApp, Arc<ScriptedCi>) {
    let ci = Arc::new(ScriptedCi::default());
    let provider = ci.clone();
    let app = TestApp::start(|deps| {
        let (table, system) = (deps.table, deps.system);
        let providers = providers(table.clone(), deps.secrets, system.clone(), provider);
        streams::router(AppState { table, providers: Arc::new(providers), system })
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

/// Triggers the job `deploy` as `user:dev`, and returns the run's id.
async fn trigger(app: &TestApp, providers: &Directory) -> String {
    let dev = callers::person("dev", "acme=developer", "ses_dev");
    let audit = AuditContext { caller: &dev, origin: &callers::origin() };
    let (job, nothing) = ("deploy".parse().expect("a job id"), BTreeMap::new());
    let (table, system) = (&*app.table.table, &*app.system);
    let started = runs::start::trigger(table, providers, system, &audit, &job, &nothing, None).await;
    started.expect("a run").run.id.to_string()
}

/// The function with a run, which waits, and the run's id.
async fn with_a_run() -> (TestApp, Arc<ScriptedCi>, String) {
    let (app, ci) = start().await;
    let run = trigger(&app, &providers_of(&app, &ci)).await;
    (app, ci, run)
}

/// Asks the run to stop, as `user:dev`.
async fn cancel(app: &TestApp, ci: &Arc<ScriptedCi>, run: &str) {
    let dev = callers::person("dev", "acme=developer", "ses_dev");
    let audit = AuditContext { caller: &dev, origin: &callers::origin() };
    let (providers, run) = (providers_of(app, ci), run.parse().expect("a run's id"));
    let (table, system) = (&*app.table.table, &*app.system);
    let asked = runs::cancel(table, &providers, system, &audit, &run, CancelMode::Graceful).await;
    assert_eq!(asked.expect("an answer").run.status, RunStatus::Cancelling);
}

/// The run's record.
async fn record(app: &TestApp, run: &str) -> Run {
    let id = run.parse().expect("a run's id");
    app.table.table.find_run(&id).await.expect("an answer").expect("a run")
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
