//! Modules, and what they are to the services that are registered: inputs are checked, and secrets are not shown.

use axum::http::Method;
use gatehouse_testkit::app::{Client, TestApp};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{act, create, operation_of, record, start};

fn bucket() -> Value {
    json!({
        "inputs": {
            "name": { "type": "string", "required": true, "description": "Of the bucket." },
            "size": { "type": "number", "default": 12_345_678_901_234_567_890_u64 },
            "password": { "type": "string", "sensitive": true },
        },
        "outputs": { "url": { "description": "Where it is." }, "key": { "sensitive": true } },
    })
}

/// A service with one environment that `bucket` provisions.
fn stored(inputs: &Value) -> Value {
    let dev = json!({ "name": "dev", "category": "dev", "module": "bucket", "inputs": inputs });
    json!({ "name": "stored", "project": "payments", "owner": "team-payments", "environments": [dev] })
}

async fn publish(client: &Client<'_>, body: &Value) {
    let answer = client.put("/v1/modules/bucket").json(body).await;
    assert_eq!(answer.status, 200, "{answer}");
}

mod publish {
    use super::*;

    #[tokio::test]
    async fn shows_what_a_module_takes_to_whoever_sees_services() {
        let (app, _) = start().await;
        assert_snapshot!(app.as_platform_admin().put("/v1/modules/bucket").json(&bucket()).await, @r#"
        200 OK
        etag: "rev_#1"
        {
          "module": {
            "inputs": {
              "name": {
                "description": "Of the bucket.",
                "required": true,
                "sensitive": false,
                "type": "string"
              },
              "password": {
                "required": false,
                "sensitive": true,
                "type": "string"
              },
              "size": {
                "default": 12345678901234567890,
                "required": false,
                "sensitive": false,
                "type": "number"
              }
            },
            "name": "bucket",
            "outputs": {
              "key": {
                "sensitive": true
              },
              "url": {
                "description": "Where it is.",
                "sensitive": false
              }
            },
            "published_at": "2026-09-21T14:13:20Z",
            "published_by": "user:root"
          }
        }
        "#);
        let viewer = app.as_viewer("acme");
        let shown = viewer.get("/v1/modules/bucket").await;
        assert_eq!(
            shown.body["module"]["inputs"]["password"],
            json!({ "required": false, "sensitive": true, "type": "string" })
        );
        assert!(shown.to_string().contains("12345678901234567890"), "{shown}");
        let listed = viewer.get("/v1/modules").await;
        let names: Vec<_> =
            listed.body["modules"].as_array().unwrap().iter().map(|module| &module["name"]).collect();
        assert_eq!(names, ["bucket", "example"]);
    }

    #[tokio::test]
    async fn is_for_platform_admins() {
        let (app, _) = start().await;
        for client in [app.as_admin("acme"), app.as_developer("acme"), app.as_viewer("acme")] {
            assert_eq!(client.put("/v1/modules/bucket").json(&bucket()).await.status, 403);
            assert_eq!(client.delete("/v1/modules/example").await.status, 403);
        }
        assert_eq!(app.anonymous().get("/v1/modules").await.status, 401);
        assert_eq!(app.as_viewer("acme").get("/v1/modules/example").await.status, 200);
    }

    #[tokio::test]
    async fn refuses_what_is_no_module() {
        let (app, _) = start().await;
        let root = app.as_platform_admin();
        let unknown = json!({ "inputs": { "size": { "colour": 1 } } });
        assert_snapshot!(root.put("/v1/modules/bucket").json(&unknown).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/inputs/size/colour`.
          "/inputs/size/colour": unknown field `colour`, expected one of `type`, `description`, `required`, `sensitive`, `default`
        "#);
        let shown = json!({ "inputs": { "key": { "sensitive": true, "default": "canary" } } });
        let refused = root.put("/v1/modules/bucket").json(&shown).await;
        assert_snapshot!(refused, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/inputs/key/default`.
          "/inputs/key/default": the default of a sensitive input is not published
        "#);
        assert!(!refused.to_string().contains("canary"));
        assert_eq!(root.put("/v1/modules/No_Name").json(&bucket()).await.status, 400);
        assert_snapshot!(root.get("/v1/modules/bucket").await, @"
        404 Not Found
        not-found: There is no such module.
        ");
    }

    #[tokio::test]
    async fn is_undone_by_withdrawing() {
        let (app, _) = start().await;
        let root = app.as_platform_admin();
        publish(&root, &bucket()).await;
        assert_eq!(root.delete("/v1/modules/bucket").await.status, 204);
        assert_eq!(root.delete("/v1/modules/bucket").await.status, 404);
        let refused = app.as_developer("acme").post("/services").json(&stored(&json!({}))).await;
        assert_eq!(refused.status, 422);
        assert_eq!(
            refused.body["errors"],
            json!([{ "pointer": "/environments/0/module", "detail": "no such module; there are: example" }])
        );
    }
}

#[tokio::test]
async fn inputs_are_checked_when_a_service_is_registered() {
    let (app, _) = start().await;
    publish(&app.as_platform_admin(), &bucket()).await;
    let developer = app.as_developer("acme");
    let wrong = json!({ "colour": "red", "size": "large", "name": "x" });
    assert_snapshot!(developer.post("/services").json(&stored(&wrong)).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/environments/0/inputs/colour`, `/environments/0/inputs/size`.
      "/environments/0/inputs/colour": the module has no such input; it has: name, password, size
      "/environments/0/inputs/size": must be of the type number
    "#);
    let missing = developer.post("/services").json(&stored(&json!({}))).await;
    assert_eq!(missing.status, 201);
    assert_eq!(
        missing.body["warnings"],
        json!([{
            "pointer": "/environments/0/inputs",
            "detail": "the module `bucket` needs `name`: each provisioning has to give it",
        }])
    );
    let service = missing.body["service"]["id"].as_str().unwrap();
    let refused = act(&developer, service, "provision", &json!({ "environment": "dev" })).await;
    assert_snapshot!(refused, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/inputs`.
      "/inputs": the module `bucket` needs `name`
    "#);
    let given = json!({ "environment": "dev", "inputs": { "name": "x" } });
    assert_eq!(act(&developer, service, "provision", &given).await.status, 202);
}

/// What is in the table, as text.
async fn everything(app: &TestApp) -> String {
    let scan = app.table.client.scan().table_name(&app.table.name).send().await.unwrap();
    assert!(scan.last_evaluated_key.is_none(), "there is more");
    format!("{:?}", scan.items.unwrap())
}

#[tokio::test]
async fn secrets_are_in_no_answer_and_in_no_item() {
    let (app, _) = start().await;
    publish(&app.as_platform_admin(), &bucket()).await;
    let developer = app.as_developer("acme");
    let body = stored(&json!({ "name": "x", "password": "canary-1" }));
    let created = developer.post("/services").idempotency_key("k").json(&body).await;
    assert_eq!(created.body["service"]["environments"][0]["inputs"], json!({ "name": "x" }));
    assert_eq!(created.body["service"]["environments"][0]["secret_inputs"], json!(["password"]));
    let again = developer.post("/services").idempotency_key("k").json(&body).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (created.status, "true"));
    let service = created.body["service"]["id"].as_str().unwrap();

    let given = json!({ "environment": "dev", "inputs": { "password": "canary-2" } });
    let asked = act(&developer, service, "provision", &given).await;
    assert_eq!(asked.body["operation"]["inputs"], json!({ "name": "x" }));
    assert_eq!(asked.body["operation"]["secret_inputs"], json!(["password"]));

    let operation = operation_of(&asked);
    let mut answers = vec![app.as_platform_admin().get("/v1/audit").await];
    for reader in [developer, app.as_viewer("acme")] {
        for path in [
            format!("/services/{service}"),
            "/services".to_owned(),
            format!("/services/{service}/operations"),
            format!("/services/{service}/operations/{operation}"),
            "/v1/operations".to_owned(),
        ] {
            let answer = reader.get(&path).await;
            assert_eq!(answer.status, 200, "{path}: {answer}");
            // Each has something to keep: what stands beside the secret, or the operation that was given it.
            let told = &answer.text;
            assert!(told.contains(&operation) || told.contains("secret_inputs"), "{path}: {answer}");
            answers.push(answer);
        }
    }
    answers.extend([created, asked]);
    assert!(answers.iter().all(|answer| !answer.to_string().contains("canary-")), "{answers:?}");
    assert!(!everything(&app).await.contains("canary-"));
}

#[tokio::test]
async fn a_service_is_replaced_by_what_was_read_with_its_secrets_as_they_were() {
    let (app, _) = start().await;
    publish(&app.as_platform_admin(), &bucket()).await;
    let developer = app.as_developer("acme");
    let service = create(&developer, &stored(&json!({ "name": "x", "password": "canary" }))).await;
    let read = developer.get(format!("/services/{service}")).await;
    let environments = read.body["service"]["environments"].clone();
    let mut body = stored(&json!({}));
    body["environments"] = environments;
    let put = async |body: &Value| {
        let etag = developer.get(format!("/services/{service}")).await.etag().to_owned();
        developer.call(Method::PUT, format!("/services/{service}")).if_match(&etag).json(body).await
    };
    let kept = put(&body).await;
    assert_eq!(kept.body["service"]["environments"], body["environments"], "{kept}");
    let asked = act(&developer, &service, "provision", &json!({ "environment": "dev" })).await;
    let operation = record(&app, &operation_of(&asked)).await;
    let secrets = &operation.work.configuration().unwrap().secret_inputs;
    let sealer = gatehouse_inputs::InputSealer::new(app.secrets.clone(), app.system.clone());
    let opened = secrets.open(&sealer, &operation.service, &operation.environment).await.unwrap();
    assert_eq!(serde_json::to_value(opened).unwrap(), json!({ "password": "canary" }));

    body["environments"][0]["secret_inputs"] = json!(["pasword"]);
    let refused = put(&body).await;
    assert_snapshot!(refused, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/environments/0/secret_inputs/pasword`.
      "/environments/0/secret_inputs/pasword": no value is kept for it; give one in `inputs`
    "#);
}
