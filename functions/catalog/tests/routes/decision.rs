use std::sync::Arc;

use gatehouse_domain::{
    catalog::EnvironmentState,
    operations::{Signal, TaskToken, change::WorkflowPorts, steer},
};
use gatehouse_testkit::app::{Answer, Call, Client, ScriptedEngine, TestApp};
use insta::assert_snapshot;
use serde_json::json;

use crate::{deploy, record, shop, standing, with_shop};

/// A deploy to `prod` that `user:dev` asked for.
struct Deploy {
    app: TestApp,
    engine: Arc<ScriptedEngine>,
    service: String,
    operation: String,
}

impl Deploy {
    async fn requested() -> Self {
        let (app, engine, service) = with_shop().await;
        let operation = deploy(&app, &service, "prod", "2").await;
        engine.calls();
        Self { app, engine, service, operation }
    }

    /// One that waits for approval, as its workflow has it wait.
    async fn waiting() -> Self {
        let deploy = Self::requested().await;
        let (store, clock) = (&*deploy.app.table.table, &*deploy.app.system);
        let workflow = WorkflowPorts { start: None, answer: Some(&*deploy.engine), oversee: None };
        let (id, task) = (deploy.operation.parse().unwrap(), TaskToken::new("task".to_owned()).unwrap());
        steer::await_approval(store, clock, workflow, &id, &task).await.unwrap();
        assert_eq!(deploy.engine.calls(), Vec::<String>::new());
        deploy
    }

    fn call<'a>(&self, client: &Client<'a>, word: &str) -> Call<'a> {
        client.post(format!("/services/{}/operations/{}/{word}", self.service, self.operation))
    }

    async fn admin(&self, word: &str) -> Answer {
        self.call(&self.app.as_admin("acme"), word).await
    }

    async fn developer(&self, word: &str) -> Answer {
        self.call(&self.app.as_developer("acme"), word).await
    }

    async fn status(&self) -> &'static str {
        record(&self.app, &self.operation).await.status()
    }

    /// How the environment stands.
    async fn environment(&self) -> EnvironmentState {
        let mut states = standing(&self.app, &self.service).await.into_iter().map(|it| it.state);
        states.find(|state| state.name.as_str() == "prod").expect("prod")
    }
}

mod approve {
    use super::*;

    /// Has an admin say who is in the group that approves what is done in `prod`.
    async fn say_members(app: &TestApp, members: &[&str]) {
        let group = json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Group", "metadata": { "name": "leads" },
            "spec": { "type": "team", "members": members },
        });
        let imported = app.as_admin("acme").post("/v1/catalog/import").json(&group).await;
        assert_eq!(imported.body["summary"]["refused"], 0, "{imported}");
    }

    #[tokio::test]
    async fn only_who_is_in_the_group_that_the_environment_asks_for() {
        let deploy = Deploy::waiting().await;
        let app = &deploy.app;
        let path = format!("/services/{}", deploy.service);
        let mut body = shop();
        body["environments"][1]["approval_group"] = json!("leads");
        let put = async |body: &serde_json::Value| {
            let etag = app.as_developer("acme").get(&path).await.etag().to_owned();
            app.as_developer("acme").put(&path).if_match(&etag).json(body).await
        };
        assert_snapshot!(put(&body).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/environments/1/approval_group`.
          "/environments/1/approval_group": the tenant has no such group
        "#);
        say_members(app, &["grace", "dev"]).await;
        let asking = put(&body).await;
        assert_eq!(asking.body["service"]["environments"][1]["approval_group"], "group:default/leads");
        assert_snapshot!(deploy.admin("approve").await, @"
        403 Forbidden
        forbidden: This environment asks for the approval of somebody in `group:leads`, and user:ada is not; an admin of the tenant says who is in it.
        ");
        assert_eq!(deploy.developer("approve").await.problem(), "forbidden", "their own request");
        // A developer neither takes the group away, nor adds themself to it.
        assert_snapshot!(put(&shop()).await, @"
        403 Forbidden
        forbidden: Only an admin of tenant `acme` takes away what protects an environment: `approval_group` of `prod`.
        ");
        assert_eq!(deploy.status().await, "awaiting_approval");
        let grace = app.as_person("grace", "acme=developer");
        say_members(app, &["dev"]).await;
        assert_eq!(deploy.call(&grace, "approve").await.problem(), "forbidden");
        say_members(app, &["grace"]).await;
        let approved = deploy.call(&grace, "approve").await;
        assert_eq!(approved.body["operation"]["approval"]["by"], "user:grace", "{approved}");
        assert_eq!(approved.body["operation"]["approval"]["group"], "group:default/leads", "{approved}");
    }

    #[tokio::test]
    async fn what_is_no_group_is_none_to_ask_for() {
        let (app, _) = crate::start().await;
        for (group, required, says) in [
            (json!("group:a b"), true, "a name must be"),
            (json!("component:shop"), true, "must be a group"),
            (json!("leads"), false, "only an environment with `approval_required`"),
            (json!("leads"), true, "the tenant has no such group"),
        ] {
            let environment = json!({
                "name": "prod", "category": "prod", "approval_required": required, "approval_group": group,
            });
            let body = crate::shop_with(json!({ "environments": [environment] }));
            let refused = app.as_developer("acme").post("/services").json(&body).await;
            assert_eq!(refused.problem(), "validation-failed", "{refused}");
            let error = &refused.body["errors"][0];
            assert_eq!(error["pointer"], "/environments/0/approval_group", "{refused}");
            assert!(error["detail"].as_str().unwrap().contains(says), "{refused}");
        }
    }

    #[tokio::test]
    async fn somebody_elses_lets_the_deploy_go_on() {
        let deploy = Deploy::waiting().await;
        assert_snapshot!(deploy.developer("approve").await, @"
        403 Forbidden
        forbidden: You asked for this operation, yourself or with a key of yours; somebody else has to decide about it.
        ");
        assert_eq!(deploy.status().await, "awaiting_approval");
        let approved =
            deploy.call(&deploy.app.as_admin("acme"), "approve").json(&json!({ "comment": "go" })).await;
        assert_eq!(deploy.engine.calls(), [r#"succeed task {"approved_by":"user:ada"}"#]);
        assert_snapshot!(approved, @r#"
        200 OK
        {
          "operation": {
            "approval": {
              "approved": true,
              "at": "2026-09-21T14:13:20Z",
              "by": "user:ada",
              "comment": "go",
              "required": true
            },
            "deadline": "2026-09-21T22:13:20Z",
            "environment": "prod",
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
            "status": "deploying",
            "steps": [],
            "tenant": "acme",
            "updated_at": "2026-09-21T14:13:20Z",
            "version": "2"
          }
        }
        "#);
        // Said twice, it is said once.
        let again = deploy.admin("approve").await;
        assert_eq!(
            (again.status.as_u16(), &again.body["operation"]["approval"]),
            (200, &approved.body["operation"]["approval"])
        );
        assert_eq!(deploy.engine.calls(), Vec::<String>::new());
        assert_snapshot!(deploy.admin("reject").await, @"
        409 Conflict
        not-awaiting-approval: The operation does not wait for approval: it is deploying.
        ");
        let third = deploy.call(&deploy.app.as_platform_admin(), "approve").await;
        assert_eq!(third.problem(), "not-awaiting-approval");
    }

    #[tokio::test]
    async fn is_recorded_also_where_the_workflow_cannot_be_signalled() {
        let deploy = Deploy::waiting().await;
        deploy.engine.is_down(true);
        assert_eq!(deploy.admin("approve").await.status, 200);
        let record = record(&deploy.app, &deploy.operation).await;
        assert!(matches!(record.pending_signal, Some(Signal::Succeed { .. })), "{record:?}");
    }
}

mod reject {
    use super::*;

    #[tokio::test]
    async fn somebody_elses_ends_the_deploy() {
        let deploy = Deploy::waiting().await;
        assert_snapshot!(deploy.developer("reject").await, @"
        403 Forbidden
        forbidden: You asked for this operation, yourself or with a key of yours; somebody else has to decide about it.
        ");
        let rejected = deploy
            .call(&deploy.app.as_admin("acme"), "reject")
            .json(&json!({ "comment": "not today" }))
            .await;
        assert_eq!(deploy.engine.calls(), ["fail task Rejected: rejected by user:ada: not today"]);
        assert_eq!(rejected.body["operation"].get("run_id"), None);
        assert_snapshot!(rejected, @r#"
        200 OK
        {
          "operation": {
            "approval": {
              "approved": false,
              "at": "2026-09-21T14:13:20Z",
              "by": "user:ada",
              "comment": "not today",
              "required": true
            },
            "deadline": "2026-09-28T22:13:20Z",
            "ended_at": "2026-09-21T14:13:20Z",
            "environment": "prod",
            "id": "op_#1",
            "kind": "deploy",
            "links": [],
            "log": [],
            "outputs": {},
            "project": "payments",
            "reason": "rejected by user:ada: not today",
            "requested_at": "2026-09-21T14:13:20Z",
            "requested_by": "user:dev",
            "service": "shop",
            "service_id": "svc_#1",
            "status": "rejected",
            "steps": [],
            "tenant": "acme",
            "updated_at": "2026-09-21T14:13:20Z",
            "version": "2"
          }
        }
        "#);
        let environment = deploy.environment().await;
        assert_eq!((&environment.running, &environment.deployed), (&None, &None), "{environment:#?}");
        assert_eq!(deploy.admin("reject").await.body, rejected.body);
        assert_snapshot!(deploy.admin("approve").await, @"
        409 Conflict
        not-awaiting-approval: The operation does not wait for approval: it is rejected.
        ");
    }
}

mod cancel {
    use super::*;

    #[tokio::test]
    async fn who_asked_can_take_it_back_while_it_waits() {
        let deploy = Deploy::waiting().await;
        let cancelled = deploy.developer("cancel").await;
        assert_eq!(deploy.engine.calls(), ["fail task Cancelled: cancelled by user:dev"]);
        assert_snapshot!(cancelled, @r#"
        202 Accepted
        {
          "operation": {
            "approval": {
              "required": true
            },
            "cancel": {
              "at": "2026-09-21T14:13:20Z",
              "by": "user:dev"
            },
            "deadline": "2026-09-28T22:13:20Z",
            "ended_at": "2026-09-21T14:13:20Z",
            "environment": "prod",
            "id": "op_#1",
            "kind": "deploy",
            "links": [],
            "log": [],
            "outputs": {},
            "project": "payments",
            "reason": "cancelled by user:dev",
            "requested_at": "2026-09-21T14:13:20Z",
            "requested_by": "user:dev",
            "service": "shop",
            "service_id": "svc_#1",
            "status": "cancelled",
            "steps": [],
            "tenant": "acme",
            "updated_at": "2026-09-21T14:13:20Z",
            "version": "2"
          }
        }
        "#);
        assert_eq!(deploy.admin("approve").await.problem(), "not-awaiting-approval");
        // The environment is free again.
        crate::deploy(&deploy.app, &deploy.service, "prod", "3").await;
    }

    #[tokio::test]
    async fn what_nothing_works_on_ends_at_once() {
        let deploy = Deploy::requested().await;
        let cancelled = deploy.admin("cancel").await;
        assert_eq!(
            (cancelled.status.as_u16(), &cancelled.body["operation"]["status"]),
            (202, &json!("cancelled"))
        );
        assert_eq!(deploy.engine.calls(), [format!("stop {}: the operation has ended", deploy.operation)]);
        // Asked twice, it is asked once.
        assert_eq!(deploy.admin("cancel").await.body, cancelled.body);
        assert_eq!(deploy.engine.calls(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn what_is_worked_on_is_asked_to_stop() {
        let deploy = Deploy::waiting().await;
        deploy.admin("approve").await;
        deploy.engine.calls();
        let cancelling = deploy.admin("cancel").await;
        assert_eq!(
            (cancelling.status.as_u16(), &cancelling.body["operation"]["status"]),
            (202, &json!("cancelling"))
        );
        assert_eq!(cancelling.body["operation"]["cancel"]["by"], "user:ada");
        let again = deploy.developer("cancel").await;
        assert_eq!(again.body["operation"]["cancel"], cancelling.body["operation"]["cancel"]);
        // Its worker learns of it with the answer to its next report.
        assert_eq!(deploy.engine.calls(), Vec::<String>::new());
        let running = deploy.environment().await.running.expect("an operation");
        assert_eq!(running.as_str(), deploy.operation);
    }

    #[tokio::test]
    async fn what_has_ended_stays() {
        let deploy = Deploy::requested().await;
        crate::end(&deploy.app, &deploy.operation, &gatehouse_domain::catalog::Settled::default()).await;
        assert_snapshot!(deploy.developer("cancel").await, @"
        409 Conflict
        operation-ended: The operation has ended already: it succeeded.
        ");
        assert_snapshot!(deploy.admin("approve").await, @"
        409 Conflict
        not-awaiting-approval: The operation does not wait for approval: it is succeeded.
        ");
    }
}

#[tokio::test]
async fn nothing_is_decided_before_it_is_asked() {
    let deploy = Deploy::requested().await;
    assert_snapshot!(deploy.admin("approve").await, @"
    409 Conflict
    not-awaiting-approval: The operation does not wait for approval: it is queued.
    ");
    assert_eq!(deploy.admin("reject").await.problem(), "not-awaiting-approval");
    assert_eq!(deploy.status().await, "queued");
}

#[tokio::test]
async fn a_comment_is_at_most_a_thousand_bytes() {
    let deploy = Deploy::waiting().await;
    let admin = deploy.app.as_admin("acme");
    for word in ["approve", "reject"] {
        let decide = |body| deploy.call(&admin, word).json(&body);
        let refused = decide(json!({ "comment": "x".repeat(1001) })).await;
        assert_eq!(
            refused.to_string(),
            "422 Unprocessable Entity\nvalidation-failed: Refused: `/comment`.\n  \"/comment\": must be at most 1,000 bytes"
        );
        assert_eq!(decide(json!({ "reason": "go" })).await.problem(), "validation-failed");
        assert_eq!(deploy.call(&admin, word).body("application/json", "{").await.problem(), "malformed-body");
    }
    assert_eq!(deploy.status().await, "awaiting_approval");
}

#[tokio::test]
async fn decisions_are_for_developers_of_the_services_tenant() {
    let deploy = Deploy::waiting().await;
    let other =
        crate::create(&deploy.app.as_developer("acme"), &crate::shop_with(json!({ "name": "other" }))).await;
    for word in ["approve", "reject", "cancel"] {
        let elsewhere = deploy.app.as_person("dev", "acme=viewer,beta=developer");
        let refused = deploy.call(&elsewhere, word).await;
        assert_eq!(
            refused.to_string(),
            "403 Forbidden\nforbidden: Your role in tenant `acme` does not allow this."
        );
        let foreign = deploy.call(&deploy.app.as_developer("beta"), word).await;
        assert_eq!(foreign.to_string(), "404 Not Found\nnot-found: There is no such operation.");
        let admin = deploy.app.as_admin("acme");
        let of_another =
            admin.post(format!("/services/{other}/operations/{}/{word}", deploy.operation)).await;
        assert_eq!(of_another.body, foreign.body);
        let malformed = admin.post(format!("/services/{}/operations/none/{word}", deploy.service)).await;
        assert_eq!(malformed.problem(), "invalid-path");
        let queried = deploy.call(&admin, &format!("{word}?now=1")).await;
        assert_eq!(queried.problem(), "invalid-query");
    }
    assert_eq!(deploy.status().await, "awaiting_approval");
    assert_eq!(deploy.engine.calls(), Vec::<String>::new());
}
