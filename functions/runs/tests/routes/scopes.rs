//! A team that was taken away from a tenant. Every combination is in `tests/contract`.

use gatehouse_domain::{
    ci::{ProviderKind, RunStatus, Sharing},
    clock::Clock,
    providers::{Provider, SaveProvider},
    revision::Revision,
};
use gatehouse_testkit::app::{TestApp, job_target};
use insta::assert_snapshot;
use serde_json::json;

use crate::with_a_run;

/// Lets `concourse` say that tenant `acme` may use team `ops` and nothing else.
async fn take_main_away(app: &TestApp) {
    let provider = Provider {
        name: "concourse".parse().unwrap(),
        kind: ProviderKind::Concourse,
        url: None,
        account: None,
        ca_certificate: None,
        sharing: Sharing::Scopes(serde_json::from_value(json!({ "acme": ["ops"] })).unwrap()),
        revision: Revision::new(&*app.system),
        credentials_version: "cred_1".to_owned(),
        updated_at: app.system.now(),
        updated_by: "user:root".to_owned(),
    };
    app.table.table.save_provider(&provider, None, None).await.unwrap();
}

#[tokio::test]
async fn what_runs_is_watched_and_cancelled_and_nothing_new_begins() {
    let (app, ci, run) = with_a_run().await;
    take_main_away(&app).await;
    let acme = app.as_developer("acme");
    assert_snapshot!(acme.post("/v1/jobs/deploy/runs").await, @"
    403 Forbidden
    scope-closed: Provider `concourse` does not let tenant `acme` use scope `main`: a platform admin can name it in the provider's `scopes`.
    ");
    assert_eq!(acme.get(format!("/v1/runs/{run}")).await.body["run"]["status"], "queued");
    let cancelled = acme.post(format!("/v1/runs/{run}/cancel")).await;
    assert!(ci.cancelled().len() == 1 && cancelled.problem().is_empty(), "{cancelled}");
    ci.set_status("1", RunStatus::Cancelled);
    let again = acme.post(format!("/v1/runs/{run}/rerun")).await;
    assert_eq!((again.problem(), ci.started().len()), ("scope-closed", 1), "{again}");
}

#[tokio::test]
async fn a_build_that_nobody_asked_gatehouse_for_is_not_shown_any_more() {
    let (app, ci, _) = with_a_run().await;
    let build = ci.begin(&job_target("deploy"));
    let path = format!("/v1/runs/main:app:deploy:{build}");
    assert_eq!(app.as_developer("acme").get(path.clone()).await.body["run"]["status"], "queued");
    take_main_away(&app).await;
    assert_eq!(app.as_developer("acme").get(path.clone()).await.problem(), "not-found");
    assert_eq!(app.as_developer("acme").post(format!("{path}/cancel")).await.problem(), "not-found");
    assert!(ci.cancelled().is_empty());
}
