use gatehouse_domain::{
    access::Scope,
    ci::{BuildId, CancelMode, CiErrorKind, RunStatus},
};
use gatehouse_testkit::app::job_target;
use insta::assert_snapshot;
use serde_json::json;

use crate::{start, with_a_run};

#[tokio::test]
async fn asks_a_run_to_stop() {
    let (app, ci, run) = with_a_run().await;
    ci.set_status("1", RunStatus::Running);
    let cancel = || app.as_developer("acme").post(format!("/v1/runs/{run}/cancel"));
    let asked = cancel().await;
    assert_snapshot!(asked, @r#"
    202 Accepted
    {
      "run": {
        "cancel_requested_at": "2026-09-21T14:13:20Z",
        "created_at": "2026-09-21T14:13:20Z",
        "job_id": "deploy",
        "parameters": {
          "branch": "main"
        },
        "project": "payments",
        "provider": {
          "kind": "concourse",
          "name": "concourse",
          "number": "1",
          "status": "running"
        },
        "run_id": "main:app:deploy:1",
        "status": "cancelling",
        "triggered_by": "user:dev",
        "web_url": "https://ci.example.com/builds/1"
      }
    }
    "#);
    assert_eq!(cancel().await.body, asked.body, "asking again is fine");
    let first = (BuildId("1".into()), CancelMode::Graceful);
    assert_eq!(ci.cancelled(), [first.clone(), first]);
    ci.set_status("1", RunStatus::Cancelled);
    let cancelled = cancel().await;
    assert_eq!((cancelled.status.as_u16(), &cancelled.body["run"]["status"]), (202, &json!("cancelled")));
    assert_eq!(ci.cancelled().len(), 2, "what has ended is asked no more");
}

#[tokio::test]
async fn forces_a_run_to_end_where_the_ci_system_can() {
    let (app, ci, run) = with_a_run().await;
    let force = || {
        let call = app.as_developer("acme").post(format!("/v1/runs/{run}/cancel"));
        call.json(&json!({ "force": true }))
    };
    assert_eq!(force().await.status, 202);
    assert_eq!(ci.cancelled(), [(BuildId("1".into()), CancelMode::Force)]);
    ci.set_capabilities(|can| can.force_cancel = false);
    assert_snapshot!(force().await, @"
    422 Unprocessable Entity
    not-supported: This CI system cannot force a run to end; cancel it without force.
    ");
}

#[tokio::test]
async fn records_a_build_of_others_that_it_stops() {
    let (app, ci) = start().await;
    ci.begin(&job_target("deploy"));
    let path = "/v1/runs/main:app:deploy:1";
    assert_eq!(app.as_developer("acme").post(format!("{path}/cancel")).await.status, 202);
    ci.fail(Some(CiErrorKind::Unavailable));
    assert_eq!(app.as_viewer("acme").get(path).await.body["run"]["status"], "cancelling");
}

#[tokio::test]
async fn refuses_runs_that_cannot_be_stopped() {
    let (app, ci, run) = with_a_run().await;
    ci.set_status("1", RunStatus::Succeeded);
    let cancel = || app.as_developer("acme").post(format!("/v1/runs/{run}/cancel"));
    assert_snapshot!(cancel().await, @"
    409 Conflict
    run-ended: The run has ended already: it succeeded.
    ");
    assert_eq!(app.as_developer("acme").post("/v1/runs/run_none/cancel").await.problem(), "not-found");
    let stranger = app.as_developer("beta").post(format!("/v1/runs/{run}/cancel")).await;
    assert_eq!(stranger.problem(), "not-found");
    assert_eq!(ci.cancelled(), []);
}

#[tokio::test]
async fn says_that_nothing_was_recorded_when_the_ci_system_did_not_answer() {
    let (app, ci, run) = with_a_run().await;
    ci.fail(Some(CiErrorKind::OutcomeUnknown));
    let asked = app.as_developer("acme").post(format!("/v1/runs/{run}/cancel")).await;
    assert_snapshot!(asked, @"
    503 Service Unavailable
    retry-after: 5
    provider-unavailable: The CI system says why.
    ");
    ci.fail(None);
    let shown = app.as_viewer("acme").get(format!("/v1/runs/{run}")).await;
    assert_eq!(shown.body["run"]["status"], "queued", "what may not have been asked does not show");
}

#[tokio::test]
async fn refuses_what_it_does_not_understand() {
    let (app, ci, run) = with_a_run().await;
    let cancel = || app.as_developer("acme").post(format!("/v1/runs/{run}/cancel"));
    assert_snapshot!(cancel().json(&json!({ "force": "yes" })).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/force`.
      "/force": invalid type: string "yes", expected a boolean
    "#);
    assert_snapshot!(cancel().json(&json!({ "force": true, "why": "" })).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/why`.
      "/why": unknown field `why`, expected `force`
    "#);
    assert_eq!(ci.cancelled(), []);
}

#[tokio::test]
async fn is_for_those_who_may_cancel() {
    let (app, ci, run) = with_a_run().await;
    let path = format!("/v1/runs/{run}/cancel");
    assert_eq!(app.anonymous().post(&path).await.problem(), "unauthorized");
    assert_eq!(app.as_viewer("acme").post(&path).await.problem(), "forbidden");
    assert_eq!(app.as_api_key(&[Scope::RunsRead], "acme").post(&path).await.problem(), "forbidden");
    let mixed = app.as_person("ada", "acme=viewer,beta=developer").post(&path).await;
    assert_snapshot!(mixed, @"
    403 Forbidden
    forbidden: Your role in tenant `acme` does not allow this.
    ");
    assert_eq!(ci.cancelled(), []);
}
