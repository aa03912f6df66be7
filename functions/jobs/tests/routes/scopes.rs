//! Which tenants may use which teams: saying so, and what it does to jobs. Every combination is in `tests/contract`.

use gatehouse_domain::{ci::DiscoveredJob, providers::FindProvider};
use gatehouse_testkit::app::{Answer, TestApp, job_target};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{job, start, start_with_ci};

fn concourse(more: &Value) -> Value {
    let mut body = json!({ "kind": "concourse", "url": "https://ci.example.com",
        "auth": { "grant": "password", "username": "ci", "password": "s3cret" } });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// Registers the provider, or edits it.
async fn put(app: &TestApp, more: &Value) -> Answer {
    let root = app.as_platform_admin();
    let shown = root.get("/v1/providers/concourse").await;
    let call = root.put("/v1/providers/concourse").json(&concourse(more));
    if shown.status == 200 { call.if_match(shown.etag()).await } else { call.await }
}

/// What the provider says, to a platform admin.
fn said(answer: &Answer) -> (&Value, &Value) {
    let provider = &answer.body["provider"];
    (&provider["scopes"], &provider["open_to_all"])
}

/// Two tenants with a project each.
async fn with_two_tenants() -> TestApp {
    let app = start().await;
    for (tenant, project) in [("acme", "payments"), ("beta", "shop")] {
        let mut elsewhere = job(project);
        elsewhere["provider"]["name"] = json!("later");
        let id = format!("/v1/jobs/{project}-elsewhere");
        assert_eq!(app.as_admin(tenant).put(id).json(&elsewhere).await.status, 201);
    }
    app
}

#[tokio::test]
async fn an_edit_that_says_nothing_leaves_what_was_said() {
    let app = start().await;
    assert_eq!(said(&put(&app, &json!({})).await), (&Value::Null, &Value::Null), "nobody has said");
    let scopes = json!({ "acme": ["main", "team-a"], "*": ["public"] });
    let with_scopes = put(&app, &json!({ "scopes": scopes })).await;
    assert_eq!(said(&with_scopes), (&scopes, &json!(false)));
    assert_eq!(said(&put(&app, &json!({})).await), (&scopes, &json!(false)), "kept");
    assert_eq!(said(&put(&app, &json!({ "scopes": {} })).await), (&json!({}), &json!(false)), "nobody");
    let open = put(&app, &json!({ "open_to_all": true })).await;
    assert_eq!(said(&open), (&Value::Null, &json!(true)));
    assert_eq!(said(&put(&app, &json!({ "open_to_all": false })).await), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let app = start().await;
    assert_snapshot!(put(&app, &json!({ "scopes": { "acme": ["main", ""] } })).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/scopes/acme`.
      "/scopes/acme": each must be 1 to 255 bytes without control characters
    "#);
    assert_snapshot!(put(&app, &json!({ "scopes": { "acme": ["main"] }, "open_to_all": true })).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/open_to_all`.
      "/open_to_all": cannot be true where `scopes` says who may use what
    "#);
    for bad in [json!({ "Acme": ["main"] }), json!({ "acme": "main" }), json!(["acme"])] {
        let refused = put(&app, &json!({ "scopes": bad })).await;
        assert_eq!(refused.problem(), "validation-failed", "{refused}");
    }
    let kept = app.table.table.find_provider(&"concourse".parse().unwrap()).await.unwrap();
    assert_eq!(kept, None);
}

#[tokio::test]
async fn a_tenant_sees_its_own_scopes_and_those_of_all() {
    let app = start().await;
    put(&app, &json!({ "scopes": { "acme": ["main"], "beta": ["secret-team"], "*": ["public"] } })).await;
    let acme = app.as_viewer("acme");
    let shown = acme.get("/v1/providers/concourse").await;
    assert_eq!(shown.body["provider"]["scopes"], json!({ "acme": ["main"], "*": ["public"] }));
    for path in ["/v1/providers/concourse", "/v1/providers"] {
        let answer = acme.get(path).await;
        assert!(!answer.text.contains("beta") && !answer.text.contains("secret-team"), "{answer}");
    }
    let all = app.as_platform_admin().get("/v1/providers").await;
    assert_eq!(all.body["providers"][0]["scopes"]["beta"], json!(["secret-team"]));
}

#[tokio::test]
async fn a_job_in_a_team_of_others_is_refused() {
    let app = with_two_tenants().await;
    put(&app, &json!({ "scopes": { "acme": ["main"] } })).await;
    assert_eq!(app.as_admin("acme").put("/v1/jobs/ours").json(&job("payments")).await.status, 201);
    let beta = app.as_admin("beta");
    assert_snapshot!(beta.put("/v1/jobs/theirs").json(&job("shop")).await, @"
    403 Forbidden
    scope-closed: Provider `concourse` does not let tenant `beta` use scope `main`: a platform admin can name it in the provider's `scopes`.
    ");
    let mut entry = job("shop");
    entry["job_id"] = json!("theirs");
    let imported = beta.post("/v1/jobs/import").json(&json!({ "jobs": [entry] })).await;
    assert_snapshot!(imported.body["entries"][0]["errors"][0], @r#"{"detail":"provider `concourse` does not let tenant `beta` use scope `main`: a platform admin can name it in the provider's `scopes`","pointer":"/jobs/0/provider/ref"}"#);
    assert_eq!(beta.get("/v1/jobs/theirs").await.problem(), "not-found");
}

#[tokio::test]
async fn a_check_says_which_jobs_cannot_be_triggered() {
    let (app, _) = start_with_ci().await;
    assert_eq!(app.as_admin("acme").put("/v1/jobs/ours").json(&ci_job("payments")).await.status, 201);
    share_ci(&app, &json!({ "beta": ["main"] })).await;
    let checked = app.as_platform_admin().post("/v1/providers/ci/check").await;
    assert_snapshot!(checked, @r#"
    200 OK
    {
      "check": {
        "jobs": [],
        "ok": false,
        "problems": [
          "provider `ci` does not let tenant `acme` use scope `main`: a platform admin can name it in the provider's `scopes`"
        ],
        "teams": []
      }
    }
    "#);
}

#[tokio::test]
async fn only_what_the_tenant_may_use_is_discovered() {
    let (app, ci) = start_with_ci().await;
    ci.set_jobs(vec![DiscoveredJob {
        job_id: "build".parse().unwrap(),
        display_name: "build".to_owned(),
        target: job_target("build"),
        note: None,
    }]);
    share_ci(&app, &json!({ "acme": ["main"], "beta": ["ops"] })).await;
    let discover = |body: Value| app.as_platform_admin().post("/v1/jobs/discover").json(&body);
    let found = discover(json!({ "provider": "ci", "project": "payments", "tenant": "acme" })).await;
    assert_eq!(found.body["jobs"][0]["job_id"], "build", "{found}");
    let others = discover(json!({ "provider": "ci", "project": "shop", "tenant": "beta" })).await;
    assert_eq!(others.body["jobs"], json!([]), "{others}");
    let body = json!({ "provider": "ci", "project": "shop", "tenant": "beta", "teams": ["main"] });
    assert_snapshot!(discover(body).await, @"
    403 Forbidden
    scope-closed: Provider `ci` does not let tenant `beta` use scope `main`: a platform admin can name it in the provider's `scopes`.
    ");
    assert_snapshot!(discover(json!({ "provider": "ci", "project": "new", "tenant": "zeta" })).await, @"
    403 Forbidden
    scope-closed: Provider `ci` does not let tenant `zeta` use any scope: a platform admin can name it in the provider's `scopes`.
    ");
    assert_snapshot!(discover(json!({ "provider": "ci", "project": "new" })).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/tenant`.
      "/tenant": say which tenant the project, which does not exist yet, is to belong to
    "#);
}

fn ci_job(project: &str) -> Value {
    let mut job = job(project);
    job["provider"]["name"] = json!("ci");
    job
}

/// Registers the provider `ci`, so that it says who may use what.
async fn share_ci(app: &TestApp, scopes: &Value) {
    let body = concourse(&json!({ "scopes": scopes }));
    let saved = app.as_platform_admin().put("/v1/providers/ci").json(&body).await;
    assert_eq!(saved.status, 201, "{saved}");
}
