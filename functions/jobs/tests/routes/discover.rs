use gatehouse_domain::{
    access::Scope,
    ci::{CiErrorKind, DiscoveredJob},
};
use gatehouse_testkit::app::job_target;
use insta::assert_snapshot;
use serde_json::json;

use crate::{start, start_with_ci};

fn found(job: &str, note: Option<&str>) -> DiscoveredJob {
    DiscoveredJob {
        job_id: job.parse().unwrap(),
        display_name: format!("app / {job}"),
        target: job_target(job),
        note: note.map(str::to_owned),
    }
}

#[tokio::test]
async fn proposes_entries_that_can_be_imported() {
    let (app, ci) = start_with_ci().await;
    ci.set_jobs(vec![found("build", None), found("deploy", Some("the job is paused"))]);
    let acme = app.as_admin("acme");
    let body = json!({ "provider": "ci", "project": "payments", "environment": "prod" });
    let proposed = app.as_platform_admin().post("/v1/jobs/discover").json(&body).await;
    assert_snapshot!(proposed, @r#"
    200 OK
    {
      "jobs": [
        {
          "display_name": "app / build",
          "environment": "prod",
          "job_id": "build",
          "project": "payments",
          "provider": {
            "kind": "concourse",
            "name": "ci",
            "ref": {
              "job": "build",
              "pipeline": "app",
              "team": "main"
            }
          }
        },
        {
          "display_name": "app / deploy",
          "environment": "prod",
          "job_id": "deploy",
          "project": "payments",
          "provider": {
            "kind": "concourse",
            "name": "ci",
            "ref": {
              "job": "deploy",
              "pipeline": "app",
              "team": "main"
            }
          }
        }
      ],
      "notes": [
        {
          "job_id": "deploy",
          "note": "the job is paused"
        }
      ]
    }
    "#);
    assert_eq!(acme.get("/v1/jobs").await.body, json!({ "jobs": [] }), "nothing is saved");
    let imported = acme.post("/v1/jobs/import").json(&proposed.body).await;
    assert_eq!(imported.body["summary"]["created"], 2, "{imported}");
    assert_eq!(acme.post("/v1/jobs/import").json(&proposed.body).await.body["summary"]["unchanged"], 2);
}

#[tokio::test]
async fn reads_only_the_teams_that_are_named() {
    let (app, ci) = start_with_ci().await;
    ci.set_jobs(vec![found("build", None)]);
    let of_teams = async |teams: &[&str]| {
        let body = json!({ "provider": "ci", "project": "payments", "teams": teams });
        app.as_platform_admin().post("/v1/jobs/discover").json(&body).await.body["jobs"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((of_teams(&["main"]).await, of_teams(&["ops"]).await), (1, 0));
}

#[tokio::test]
async fn says_why_nothing_can_be_read() {
    let (app, ci) = start_with_ci().await;
    let discover = |body| app.as_platform_admin().post("/v1/jobs/discover").json(&body);
    let body = || json!({ "provider": "ci", "project": "payments" });
    ci.fail(Some(CiErrorKind::Unavailable));
    assert_snapshot!(discover(body()).await, @"
    503 Service Unavailable
    retry-after: 5
    provider-unavailable: The CI system says why.
    ");
    ci.fail(Some(CiErrorKind::Unsupported));
    assert_snapshot!(discover(body()).await, @"
    422 Unprocessable Entity
    not-supported: The CI system says why.
    ");
    ci.fail(Some(CiErrorKind::CredentialsRefused));
    assert_snapshot!(discover(body()).await, @"
    502 Bad Gateway
    provider-credentials: The CI system says why.
    ");
    assert_snapshot!(discover(json!({ "project": "payments" })).await, @"
    409 Conflict
    provider-not-configured: Provider `concourse` is not configured: a platform admin can PUT /v1/providers/concourse.
    ");
}

#[tokio::test]
async fn refuses_what_it_does_not_understand() {
    let app = start().await;
    let discover = |body| app.as_platform_admin().post("/v1/jobs/discover").json(&body);
    assert_snapshot!(discover(json!({})).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: the body itself.
      "": missing field `project`
    "#);
    assert_snapshot!(discover(json!({ "project": "payments", "team": "main" })).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/team`.
      "/team": unknown field `team`, expected one of `provider`, `teams`, `project`, `tenant`, `environment`
    "#);
    let query =
        app.as_platform_admin().post("/v1/jobs/discover?who=Ada").json(&json!({ "project": "payments" }));
    assert_eq!(query.await.problem(), "invalid-query");
}

#[tokio::test]
async fn is_for_platform_admins() {
    let app = start().await;
    assert_eq!(app.anonymous().post("/v1/jobs/discover").await.problem(), "unauthorized");
    assert_snapshot!(app.as_admin("acme").post("/v1/jobs/discover").await, @"
    403 Forbidden
    forbidden: This takes an API key for all tenants with the scope `jobs:write`, or a platform admin.
    ");
    let reader = app.as_api_key(&[Scope::JobsRead], "acme").post("/v1/jobs/discover").await;
    assert_eq!(reader.problem(), "forbidden");
}
