//! Each route of the function with each of its refusals.

mod signing_keys;
mod tokens;

use std::sync::Arc;

use ::tokens::AppState;
use gatehouse_domain::{
    clock::Clock,
    project::{Project, SaveProject},
    revision::Revision,
};
use gatehouse_jwt::Issuer;
use gatehouse_testkit::app::TestApp;

async fn start() -> TestApp {
    TestApp::start(|deps| {
        let (issuer, flush) = (Issuer::new("urn:gatehouse:test"), Arc::new(deps.flushes));
        ::tokens::router(AppState::new(deps.table, deps.secrets, issuer, flush, deps.system))
    })
    .await
}

/// Saves a project of `tenant`, which accepts the service `worker`, or any.
async fn save_project(app: &TestApp, tenant: &str, name: &str, accepts: Option<&str>) {
    let (name, tenant) = (name.parse().unwrap(), tenant.parse().unwrap());
    let mut project = Project::new(name, tenant, Revision::new(&*app.system), app.system.now());
    project.accepted_services = accepts.map(|service| [service.parse().unwrap()].into());
    let entry = app.table.entry("user:root", "project:any", None);
    app.table.table.save_project(&project, None, &entry).await.unwrap();
}
