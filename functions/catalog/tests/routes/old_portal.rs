//! What clients of the portal before send: taken and answered in today's form, or refused with today's word.

use gatehouse_testkit::app::{Answer, Client, TestApp};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{act, create, operation_of, record, shop_with, start, with_shop};

/// A service as that portal's library writes it: every member is there, and what nobody filled in is null.
fn billing() -> Value {
    json!({
        "tenant": "acme", "name": "billing", "project": null, "owner": "team-billing", "description": null,
        "repo_url": "https://git.example/billing", "lifecycle": null, "links": null, "build_job": null,
        "deploy": { "job": "ship", "webhook": null }, "environments": ["dev", "staging", "production"],
    })
}

fn with(members: Value) -> Value {
    let mut body = billing();
    let Value::Object(members) = members else { panic!("no members: {members}") };
    body.as_object_mut().expect("a body").extend(members);
    body
}

async fn default_project(app: &TestApp) {
    app.table.save_default_project("acme", "payments").await;
}

async fn post(client: &Client<'_>, body: &Value) -> Answer {
    client.post("/services").json(body).await
}

#[tokio::test]
async fn a_service_in_old_words_is_answered_in_todays() {
    let (app, _) = start().await;
    default_project(&app).await;
    let created = post(&app.as_developer("acme"), &billing()).await;
    assert_snapshot!(created, @r#"
    201 Created
    etag: "rev_#1"
    location: services/svc_#1
    {
      "service": {
        "created_at": "2026-09-21T14:13:20Z",
        "created_by": "user:dev",
        "deploy": {
          "job": "ship"
        },
        "environments": [
          {
            "approval_required": false,
            "category": "dev",
            "inputs": {},
            "name": "dev"
          },
          {
            "approval_required": false,
            "category": "staging",
            "inputs": {},
            "name": "staging"
          },
          {
            "approval_required": false,
            "category": "prod",
            "inputs": {},
            "name": "production"
          }
        ],
        "id": "svc_#1",
        "lifecycle": "experimental",
        "links": [],
        "name": "billing",
        "owner": "team-billing",
        "project": "payments",
        "repository": "https://git.example/billing",
        "tenant": "acme",
        "updated_at": "2026-09-21T14:13:20Z",
        "updated_by": "user:dev"
      }
    }
    "#);
}

#[tokio::test]
async fn a_service_without_a_project_needs_a_default_one() {
    let (app, _) = start().await;
    assert_snapshot!(post(&app.as_developer("acme"), &billing()).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/project`.
      "/project": say which project the service belongs to: tenant `acme` has no `default_project`, which a platform admin can give it
    "#);
    // One that is gone, or another tenant's, was not named by who creates the service.
    app.table.save_default_project("acme", "gone").await;
    assert_snapshot!(post(&app.as_developer("acme"), &billing()).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/project`.
      "/project": say which project the service belongs to: the `default_project` of tenant `acme` is `gone`, which the tenant does not have; a platform admin can give it another one
    "#);
}

#[tokio::test]
async fn an_edit_without_a_project_keeps_the_services_own() {
    let (app, _, service) = with_shop().await;
    app.table.save_project("acme", "stock", None).await;
    app.table.save_default_project("acme", "stock").await;
    let developer = app.as_developer("acme");
    let shown = developer.get(format!("/services/{service}")).await;
    let body = shop_with(json!({ "project": null, "owner": "another" }));
    let put = developer.put(format!("/services/{service}")).if_match(shown.etag()).json(&body).await;
    assert_eq!(
        (&put.body["service"]["project"], &put.body["service"]["owner"]),
        (&json!("payments"), &json!("another"))
    );
}

#[tokio::test]
async fn a_word_and_the_one_before_it_contradict_each_other() {
    let (app, _, service) = with_shop().await;
    default_project(&app).await;
    let developer = app.as_developer("acme");
    assert_snapshot!(post(&developer, &with(json!({ "repository": "https://git.example/b" }))).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/repo_url`.
      "/repo_url": `repo_url` is `repository` today: send one of the two, not both
    "#);
    let environment = json!({ "name": "made", "category": "dev", "inputs": {}, "parameters": {} });
    assert_snapshot!(post(&developer, &with(json!({ "environments": [environment] }))).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/environments/0/parameters`.
      "/environments/0/parameters": `parameters` is `inputs` today: send one of the two, not both
    "#);
    let body = json!({ "environment": "made", "inputs": {}, "parameters": { "size": 2 } });
    assert_snapshot!(act(&developer, &service, "provision", &body).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/parameters`.
      "/parameters": `parameters` is `inputs` today: send one of the two, not both
    "#);
    let body = json!({ "environment": "dev", "version": "1", "image_tag": "1" });
    assert_snapshot!(act(&developer, &service, "deploy", &body).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/image_tag`.
      "/image_tag": `image_tag` is `version` today: send one of the two, not both
    "#);
}

#[tokio::test]
async fn names_for_people_are_refused_with_one_that_would_do() {
    let (app, _) = start().await;
    default_project(&app).await;
    let developer = app.as_developer("acme");
    assert_snapshot!(post(&developer, &with(json!({ "name": "Billing API" }))).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/name`.
      "/name": a service must be 1 to 39 characters of a-z, 0-9 and '-', not starting with '-': `billing-api` would do
    "#);
    assert_snapshot!(post(&developer, &with(json!({ "environments": [{ "name": "Prod EU", "category": "prod" }] }))).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/environments/0/name`.
      "/environments/0/name": an environment must be 1 to 39 characters of A-Z, a-z, 0-9, '_', '.' and '-', starting with a letter or digit: `prod-eu` would do
    "#);
    // Nothing would do that is as like it as can be.
    assert_snapshot!(post(&developer, &with(json!({ "name": "$$$" }))).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/name`.
      "/name": a service must be 1 to 39 characters of a-z, 0-9 and '-', not starting with '-'
    "#);
}

#[tokio::test]
async fn an_environment_whose_name_says_nothing_needs_a_category() {
    let (app, _) = start().await;
    default_project(&app).await;
    assert_snapshot!(post(&app.as_developer("acme"), &with(json!({ "environments": ["dev", "blue"] }))).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/environments/1/category`.
      "/environments/1/category": say what `blue` is for: dev, test, staging or prod
    "#);
    let mixed = json!({ "environments": ["dev", { "name": "blue", "category": "prod", "inputs": null }] });
    let created = post(&app.as_developer("acme"), &with(mixed)).await;
    let environments = &created.body["service"]["environments"];
    assert_eq!((&environments[0]["category"], &environments[1]["category"]), (&json!("dev"), &json!("prod")));
}

#[tokio::test]
async fn a_list_is_paged_by_cursor() {
    let (app, _, _) = with_shop().await;
    let viewer = app.as_viewer("acme");
    let first = viewer.get("/services?skip=0&limit=100").await;
    assert_eq!(first.body, viewer.get("/services").await.body);
    assert_snapshot!(viewer.get("/services?skip=100&limit=100").await, @"
    400 Bad Request
    invalid-query: `skip` may only be 0: the next page starts where `cursor` says, with the `next_cursor` of the page before.
    ");
    assert_snapshot!(viewer.get("/services?limit=1000").await, @"
    400 Bad Request
    invalid-query: `limit` must be 1 to 100.
    ");
    assert_snapshot!(viewer.get("/services?environment=prod").await, @"
    400 Bad Request
    invalid-query: `environment` does not filter services: each of them has its `environments` with it, and `text`, `owner`, `lifecycle` and `tenant` filter.
    ");
}

#[tokio::test]
async fn an_edit_without_the_etag_is_told_it() {
    let (app, _, service) = with_shop().await;
    let admin = app.as_admin("acme");
    let path = format!("/services/{service}");
    let put = admin.put(&path).json(&shop_with(json!({ "owner": "another" }))).await;
    assert_eq!(
        (put.problem(), &put.body["etag"]),
        ("precondition-required", &json!(admin.get(&path).await.etag()))
    );
    let deleted = admin.delete(&path).await;
    assert_eq!((deleted.problem(), &deleted.body["etag"]), (put.problem(), &put.body["etag"]));
    let etag = put.body["etag"].as_str().expect("an ETag");
    assert_eq!(admin.delete(&path).if_match(etag).await.status, 200);
    // Who may not see the service is not told it.
    assert_eq!(app.as_admin("beta").delete(&path).await.problem(), "not-found");
}

#[tokio::test]
async fn an_action_without_an_environment_is_of_the_only_one() {
    let (app, _, shop) = with_shop().await;
    let developer = app.as_developer("acme");
    let made = json!([{ "name": "made", "category": "test", "module": "example", "inputs": { "size": 1 } }]);
    let single = create(&developer, &shop_with(json!({ "name": "single", "environments": made }))).await;
    let provision = || developer.post(format!("/services/{single}/actions/provision")).idempotency_key("k");
    let asked = provision().await;
    let operation = operation_of(&asked);
    assert_eq!(record(&app, &operation).await.environment.as_str(), "made");
    // The repetition is the same request, also when there are two.
    let shown = developer.get(format!("/services/{single}")).await;
    let two = shop_with(
        json!({ "name": "single", "environments": [made[0], { "name": "dev", "category": "dev" }] }),
    );
    let put = developer.put(format!("/services/{single}")).if_match(shown.etag()).json(&two).await;
    assert_eq!(put.status, 200, "{put}");
    assert_eq!(provision().await.header("idempotency-replayed"), "true");
    assert_snapshot!(developer.post(format!("/services/{single}/actions/provision")).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/environment`.
      "/environment": say which of the service's: made, dev
    "#);
    let none = create(&developer, &shop_with(json!({ "name": "none", "environments": [] }))).await;
    assert_snapshot!(developer.post(format!("/services/{none}/actions/provision")).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/environment`.
      "/environment": the service has no environment
    "#);
    let deploy = act(&developer, &shop, "deploy", &json!({ "image_tag": "1.0" })).await;
    assert_eq!(deploy.body["errors"][0]["pointer"], "/environment", "{deploy}");
    // What takes something away names it.
    let deprovision = act(&developer, &single, "deprovision", &json!({})).await;
    assert_eq!(deprovision.problem(), "validation-failed");
}

#[tokio::test]
async fn parameters_are_inputs_and_an_image_tag_is_a_version() {
    let (app, _, service) = with_shop().await;
    let developer = app.as_developer("acme");
    let body = json!({ "environment": "made", "parameters": { "size": null } });
    let provision = act(&developer, &service, "provision", &body).await;
    assert_eq!(provision.body["operation"]["inputs"], json!({ "size": null }), "a null input is an input");
    let body = json!({ "environment": "dev", "image_tag": "1.0" });
    let deploy = act(&developer, &service, "deploy", &body).await;
    assert_eq!((deploy.status.as_u16(), &deploy.body["operation"]["version"]), (202, &json!("1.0")));
}
