use futures_util::future::join_all;
use gatehouse_domain::operations::Signal;
use gatehouse_testkit::app::TestApp;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{act, create, deploy, end, operation_of, provision, record, shop_with, start, with_shop};

/// How many operations the service has had.
async fn count(app: &TestApp, service: &str) -> usize {
    let listed = app.as_viewer("acme").get(format!("/services/{service}/operations")).await;
    listed.body["operations"].as_array().expect("a list").len()
}

mod deploying {
    use super::*;

    #[tokio::test]
    async fn begins_an_operation_and_starts_its_workflow() {
        let (app, engine, service) = with_shop().await;
        let body = json!({ "environment": "dev", "version": "1.4.2" });
        let asked = act(&app.as_developer("acme"), &service, "deploy", &body).await;
        let operation = operation_of(&asked);
        assert_eq!(asked.header("location"), format!("../operations/{operation}"));
        assert_eq!(engine.calls(), [format!("start Deploy {operation}")]);
        assert_eq!(record(&app, &operation).await.pending_signal, None);
        assert_snapshot!(asked, @r#"
        202 Accepted
        location: ../operations/op_#1
        {
          "operation": {
            "approval": {
              "required": false
            },
            "deadline": "2026-09-21T22:13:20Z",
            "environment": "dev",
            "id": "op_#1",
            "kind": "deploy",
            "links": [],
            "log": [],
            "outputs": {},
            "project": "payments",
            "requested_at": "2026-09-21T14:13:20Z",
            "requested_by": "user:dev",
            "service": "shop",
            "service_id": "svc_#1",
            "status": "queued",
            "steps": [],
            "tenant": "acme",
            "updated_at": "2026-09-21T14:13:20Z",
            "version": "1.4.2"
          }
        }
        "#);
    }

    #[tokio::test]
    async fn is_recorded_also_where_its_workflow_cannot_be_started() {
        let (app, engine, service) = with_shop().await;
        engine.is_down(true);
        let operation = deploy(&app, &service, "dev", "1").await;
        // The janitor delivers it.
        assert_eq!(record(&app, &operation).await.pending_signal, Some(Signal::Start));
        engine.is_down(false);
        assert_eq!(engine.calls(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn the_same_request_with_the_same_key_is_the_same_operation() {
        let (app, engine, service) = with_shop().await;
        let developer = app.as_developer("acme");
        let ask = |version: &str| {
            let call =
                developer.post(format!("/services/{service}/actions/deploy")).idempotency_key("release-1");
            call.json(&json!({ "environment": "dev", "version": version }))
        };
        let first = ask("1").await;
        let again = ask("1").await;
        assert_eq!(operation_of(&first), operation_of(&again));
        assert_eq!((first.status.as_u16(), again.status.as_u16()), (202, 202));
        assert_eq!(
            (first.header("idempotency-replayed"), again.header("idempotency-replayed")),
            ("", "true")
        );
        assert_snapshot!(ask("2").await, @"
        422 Unprocessable Entity
        idempotency-key-reused: The Idempotency-Key was used for another request.
        ");
        assert_eq!(engine.calls().len(), 1);
        // Also when it has ended.
        end(&app, &operation_of(&first), &gatehouse_domain::catalog::Settled::default()).await;
        let late = ask("1").await;
        assert_eq!((operation_of(&late), late.status.as_u16()), (operation_of(&first), 202));
        assert_eq!(late.body["operation"]["status"], "succeeded");
    }

    #[tokio::test]
    async fn of_a_hundred_at_once_one_begins_and_the_others_are_shown_to_it() {
        let (app, engine, service) = with_shop().await;
        let developer = app.as_developer("acme");
        let ask = async |number: usize| {
            let body = json!({ "environment": "dev", "version": number.to_string() });
            // A busy machine may refuse for the moment; who is refused so asks again.
            loop {
                let answer = act(&developer, &service, "deploy", &body).await;
                if answer.status != 503 {
                    return answer;
                }
            }
        };
        let answers = join_all((0..100).map(ask)).await;
        let (begun, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 202);
        assert_eq!(begun.len(), 1, "{begun:?}");
        let operation = operation_of(&begun[0]);
        for answer in &refused {
            assert_eq!((answer.status.as_u16(), answer.problem()), (409, "operation-running"), "{answer}");
            assert_eq!(answer.body["operation"], operation);
            assert_eq!(answer.header("location"), format!("../operations/{operation}"));
        }
        assert_eq!(refused.len(), 99);
        assert_eq!(count(&app, &service).await, 1);
        assert_eq!(engine.calls(), [format!("start Deploy {operation}")]);
        let busy =
            act(&developer, &service, "deploy", &json!({ "environment": "dev", "version": "1" })).await;
        assert_eq!(busy.body, refused[0].body);
        // Another environment is free.
        deploy(&app, &service, "prod", "1").await;
    }

    #[tokio::test]
    async fn needs_something_that_deploys_and_what_is_deployed_to() {
        let (app, engine, service) = with_shop().await;
        let developer = app.as_developer("acme");
        let body = json!({ "environment": "made", "version": "1" });
        assert_snapshot!(act(&developer, &service, "deploy", &body).await, @"
        409 Conflict
        conflict: The environment is not provisioned; provision it first.
        ");
        let undeployable = shop_with(json!({ "name": "undeployable", "deploy": null }));
        let undeployable = create(&developer, &undeployable).await;
        let body = json!({ "environment": "dev", "version": "1" });
        assert_snapshot!(act(&developer, &undeployable, "deploy", &body).await, @"
        409 Conflict
        conflict: Nothing deploys this service: give it a deploy job or a webhook first.
        ");
        assert_eq!((count(&app, &service).await, count(&app, &undeployable).await), (0, 0));
        assert_eq!(engine.calls(), Vec::<String>::new());
        // Once it is provisioned, it can be deployed to.
        provision(&app, &service).await;
        deploy(&app, &service, "made", "1").await;
    }

    #[tokio::test]
    async fn every_field_that_is_wrong_is_named() {
        let (app, _, service) = with_shop().await;
        let developer = app.as_developer("acme");
        for (body, pointer) in [
            (json!({ "environment": "absent", "version": "1" }), "/environment"),
            (json!({ "environment": "dev", "version": "" }), "/version"),
            (json!({ "environment": "dev", "version": "a b" }), "/version"),
            (json!({ "environment": "dev", "version": "x".repeat(201) }), "/version"),
            (json!({ "environment": "dev" }), ""),
            (json!({ "environment": "dev", "version": "1", "force": true }), "/force"),
        ] {
            let refused = act(&developer, &service, "deploy", &body).await;
            assert_eq!((refused.status.as_u16(), refused.problem()), (422, "validation-failed"), "{refused}");
            assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{refused}");
        }
        let absent = json!({ "environment": "absent", "version": "1" });
        assert_snapshot!(act(&developer, &service, "deploy", &absent).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/environment`.
          "/environment": the service has no such environment; it has: dev, prod, made
        "#);
        assert_eq!(count(&app, &service).await, 0);
    }
}

mod provisioning {
    use super::*;

    #[tokio::test]
    async fn begins_an_operation_with_the_inputs_over_those_of_the_environment() {
        let (app, engine, service) = with_shop().await;
        let body = json!({ "environment": "made", "inputs": { "color": "red" } });
        let asked = act(&app.as_developer("acme"), &service, "provision", &body).await;
        assert_eq!(engine.calls(), [format!("start Provision {}", operation_of(&asked))]);
        assert_snapshot!(asked, @r#"
        202 Accepted
        location: ../operations/op_#1
        {
          "operation": {
            "approval": {
              "required": false
            },
            "deadline": "2026-09-21T22:13:20Z",
            "environment": "made",
            "id": "op_#1",
            "inputs": {
              "color": "red",
              "size": 1
            },
            "kind": "provision",
            "links": [],
            "log": [],
            "module": "example",
            "outputs": {},
            "project": "payments",
            "requested_at": "2026-09-21T14:13:20Z",
            "requested_by": "user:dev",
            "service": "shop",
            "service_id": "svc_#1",
            "status": "queued",
            "steps": [],
            "tenant": "acme",
            "updated_at": "2026-09-21T14:13:20Z"
          }
        }
        "#);
    }

    #[tokio::test]
    async fn needs_a_module_and_inputs_that_it_can_keep() {
        let (app, _, service) = with_shop().await;
        let provision =
            async |body: Value| act(&app.as_developer("acme"), &service, "provision", &body).await;
        assert_snapshot!(provision(json!({ "environment": "dev" })).await, @"
        409 Conflict
        conflict: The environment has no module, so there is nothing to provision; give it one first.
        ");
        let large = json!({ "environment": "made", "inputs": { "text": "x".repeat(17_000) } });
        assert_snapshot!(provision(large).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/inputs`.
          "/inputs": must be at most 16 KiB as JSON
        "#);
        assert_eq!(
            provision(json!({ "environment": "made", "version": "1" })).await.problem(),
            "validation-failed"
        );
        assert_eq!(count(&app, &service).await, 0);
    }
}

mod deprovision_and_drift {
    use super::*;

    #[tokio::test]
    async fn are_of_what_is_provisioned() {
        let (app, engine, service) = with_shop().await;
        let developer = app.as_developer("acme");
        let body = json!({ "environment": "made" });
        assert_snapshot!(act(&developer, &service, "deprovision", &body).await, @"
        409 Conflict
        conflict: Nothing is provisioned in this environment.
        ");
        assert_snapshot!(act(&developer, &service, "drift", &body).await, @"
        409 Conflict
        conflict: Nothing is provisioned in this environment.
        ");
        assert_eq!(count(&app, &service).await, 0);
        provision(&app, &service).await;
        engine.calls();
        let drift = act(&developer, &service, "drift", &body).await;
        assert_snapshot!(drift, @r#"
        202 Accepted
        location: ../operations/op_#1
        {
          "operation": {
            "approval": {
              "required": false
            },
            "deadline": "2026-09-21T22:13:20Z",
            "environment": "made",
            "id": "op_#1",
            "inputs": {
              "size": 1
            },
            "kind": "drift",
            "links": [],
            "log": [],
            "module": "example",
            "outputs": {},
            "project": "payments",
            "requested_at": "2026-09-21T14:13:20Z",
            "requested_by": "user:dev",
            "service": "shop",
            "service_id": "svc_#1",
            "status": "queued",
            "steps": [],
            "tenant": "acme",
            "updated_at": "2026-09-21T14:13:20Z"
          }
        }
        "#);
        end(&app, &operation_of(&drift), &gatehouse_domain::catalog::Settled::default()).await;
        let deprovision = act(&developer, &service, "deprovision", &body).await;
        assert_eq!(deprovision.status, 202, "{deprovision}");
        assert_eq!(deprovision.body["operation"]["kind"], "deprovision");
        let started = [&drift, &deprovision].map(|asked| format!("start Provision {}", operation_of(asked)));
        assert_eq!(engine.calls(), started);
    }
}

/// Each action, with a body that is fine.
fn actions() -> [(&'static str, Value); 4] {
    let body = json!({ "environment": "made" });
    [
        ("provision", body.clone()),
        ("deprovision", body.clone()),
        ("drift", body),
        ("deploy", json!({ "environment": "made", "version": "1" })),
    ]
}

#[tokio::test]
async fn each_action_is_for_developers_of_the_services_tenant() {
    let (app, engine, service) = with_shop().await;
    provision(&app, &service).await;
    engine.calls();
    for (action, body) in actions() {
        let elsewhere = app.as_person("dev", "acme=viewer,beta=developer");
        let refused = act(&elsewhere, &service, action, &body).await;
        assert_eq!(
            refused.to_string(),
            "403 Forbidden\nforbidden: Your role in tenant `acme` does not allow this."
        );
        let foreign = act(&app.as_developer("beta"), &service, action, &body).await;
        assert_eq!(foreign.to_string(), "404 Not Found\nnot-found: There is no such service.");
        let unknown = act(&app.as_developer("acme"), "svc_00000000000000000000000000", action, &body).await;
        assert_eq!(unknown.body, foreign.body);
        assert_eq!(act(&app.as_developer("acme"), "shop", action, &body).await.problem(), "invalid-path");
    }
    assert_eq!((count(&app, &service).await, engine.calls()), (1, Vec::new()));
}

#[tokio::test]
async fn no_action_begins_where_nothing_is_set_up_for_it() {
    let (app, engine, service) = with_shop().await;
    provision(&app, &service).await;
    engine.is_not_ready();
    for (action, body) in actions() {
        let refused = act(&app.as_developer("acme"), &service, action, &body).await;
        assert_eq!(
            refused.to_string(),
            "503 Service Unavailable\nprovisioner-unavailable: Nothing is set up here."
        );
    }
    assert_eq!(count(&app, &service).await, 1);
}

#[tokio::test]
async fn no_action_has_a_query_or_does_without_a_body() {
    let (app, _) = start().await;
    let service = create(&app.as_developer("acme"), &crate::shop()).await;
    for (action, body) in actions() {
        let path = format!("/services/{service}/actions/{action}");
        let developer = app.as_developer("acme");
        assert_eq!(developer.post(format!("{path}?now=1")).json(&body).await.problem(), "invalid-query");
        let bare = developer.post(&path).await;
        assert!(bare.status.is_client_error(), "{bare}");
        let text = developer.post(&path).body("application/json", "{").await;
        assert_eq!(text.problem(), "malformed-body", "{text}");
    }
    assert_eq!(count(&app, &service).await, 0);
}
