//! Each route of the function with each of its refusals.

mod job;

use std::{collections::BTreeSet, sync::Arc};

use gatehouse_domain::ci::ProviderKind;
use gatehouse_outbound::OutboundHttp;
use gatehouse_providers::{Dependencies, Directory};
use gatehouse_testkit::app::TestApp;
use jobs::AppState;
use serde_json::{Value, json};

async fn start() -> TestApp {
    TestApp::start(|deps| {
        let (table, secrets, system) = (deps.table, deps.secrets, deps.system);
        let dependencies = Dependencies {
            read_secrets: secrets.clone(),
            write_secrets: secrets.clone(),
            leases: table.clone(),
            clock: system.clone(),
            ids: system.clone(),
            http: OutboundHttp::new().allow_loopback(),
        };
        let providers = Arc::new(Directory::new(table.clone(), dependencies));
        jobs::router(AppState {
            find_job: table.clone(),
            find_for_edit: table.clone(),
            list_jobs: table.clone(),
            save_jobs: table.clone(),
            delete_job: table.clone(),
            find_project: table.clone(),
            find_provider: table.clone(),
            list_providers: table.clone(),
            save_provider: table.clone(),
            delete_provider: table,
            write_secret: secrets.clone(),
            delete_secret: secrets,
            providers,
            clock: system.clone(),
            ids: system,
            kinds: BTreeSet::from([ProviderKind::Concourse]),
        })
    })
    .await
}

/// A job of `project` that points at a job of Concourse.
fn job(project: &str) -> Value {
    let target = json!({ "team": "main", "pipeline": "app", "job": "deploy" });
    json!({ "project": project, "provider": { "kind": "concourse", "ref": target } })
}
