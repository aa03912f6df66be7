//! Each route of the function with each of its refusals.

mod check;
mod discover;
mod editing;
mod import;
mod job;
mod members;
mod paging;
mod provider;
mod scopes;

use std::sync::Arc;

use gatehouse_domain::{ci::ProviderKind, plain_http::PlainHttp};
use gatehouse_outbound::OutboundHttp;
use gatehouse_providers::Directory;
use gatehouse_testkit::app::{Answer, ScriptedCi, TestApp};
use jobs::AppState;
use serde_json::{Value, json};

/// The function as it is deployed.
async fn start() -> TestApp {
    start_with(PlainHttp::OnLoopback, |providers| providers).await
}

/// The function in an installation whose network is private.
async fn start_in_a_private_network() -> TestApp {
    start_with(PlainHttp::Allowed, |providers| providers).await
}

/// The function with two providers that nobody registers: `ci`, a Concourse, and `process`, as the local stack
/// has it.
async fn start_with_ci() -> (TestApp, Arc<ScriptedCi>) {
    let ci = Arc::new(ScriptedCi::default());
    let app = start_with(PlainHttp::OnLoopback, |providers| {
        let process = "process".parse().expect("a provider");
        let providers =
            providers.with_builtin("ci".parse().expect("a provider"), ProviderKind::Concourse, ci.clone());
        providers.with_builtin(process, ProviderKind::Process, Arc::new(ScriptedCi::default()))
    });
    (app.await, ci)
}

async fn start_with(plain_http: PlainHttp, extend: impl FnOnce(Directory) -> Directory) -> TestApp {
    TestApp::start(|deps| {
        let (table, secrets, system) = (deps.table, deps.secrets, deps.system);
        let http = OutboundHttp::new().allow_loopback();
        let providers = gatehouse_providers::directory(table.clone(), secrets.clone(), system.clone(), http);
        jobs::router(AppState { table, secrets, providers: Arc::new(extend(providers)), plain_http, system })
    })
    .await
}

/// A job of `project` that points at a job of Concourse.
fn job(project: &str) -> Value {
    let target = json!({ "team": "main", "pipeline": "app", "job": "deploy" });
    json!({ "project": project, "provider": { "kind": "concourse", "ref": target } })
}

/// Asserts that the answer is one of these problems and names the fault.
fn assert_refused(what: &str, answer: &Answer, slugs: &[&str], says: &str) {
    let text = format!("{} {}", answer.body["detail"], answer.body["errors"]);
    assert!(
        slugs.contains(&answer.problem()) && text.contains(says),
        "{what}: not {slugs:?}, {says:?}: {answer}"
    );
}

/// Asserts that no write was made since the calls were taken last.
fn assert_nothing_was_written(app: &TestApp) {
    let calls = app.table.calls.take();
    let reads = ["GetItem", "BatchGetItem", "Query"];
    assert!(calls.iter().all(|call| reads.contains(&call.as_str())), "{calls:?}");
}
