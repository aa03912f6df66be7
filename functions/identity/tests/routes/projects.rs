use gatehouse_domain::access::Scope;
use gatehouse_testkit::app::{Answer, TestApp, callers};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{all, start, texts};

/// The function with the project `payments` of tenant `acme`, and what the admin who made it was answered.
async fn with_payments() -> (TestApp, Answer) {
    let app = start().await;
    let body = json!({ "description": "Money", "accepted_services": ["worker"] });
    let created = app.as_admin("acme").put("/v1/projects/payments").json(&body).await;
    (app, created)
}

mod put {
    use super::*;

    #[tokio::test]
    async fn creates_a_project_in_the_callers_only_tenant() {
        let (app, created) = with_payments().await;
        assert_snapshot!(created, @r#"
        201 Created
        etag: "rev_#1"
        {
          "project": {
            "accepted_services": [
              "worker"
            ],
            "created_at": "2026-09-21T14:13:20Z",
            "description": "Money",
            "project": "payments",
            "tenant": "acme"
          }
        }
        "#);
        let shown = app.as_viewer("acme").get("/v1/projects/payments").await;
        assert_eq!((shown.etag(), &shown.body), (created.etag(), &created.body));
    }

    #[tokio::test]
    async fn replaces_the_project_whose_etag_is_sent() {
        let (app, created) = with_payments().await;
        let put = || {
            let body = json!({ "accepted_services": ["worker", "web"] });
            app.as_admin("acme").put("/v1/projects/payments").json(&body)
        };
        assert_snapshot!(put().await, @r#"
        428 Precondition Required
        precondition-required: It exists already; send its ETag in If-Match to replace or delete it.
          etag: "\"rev_#1\""
        "#);
        assert_eq!(put().header("if-none-match", "*").await.problem(), "precondition-failed");
        assert_snapshot!(put().if_match(created.etag()).await, @r#"
        200 OK
        etag: "rev_#1"
        {
          "project": {
            "accepted_services": [
              "web",
              "worker"
            ],
            "created_at": "2026-09-21T14:13:20Z",
            "project": "payments",
            "tenant": "acme"
          }
        }
        "#);
        assert_snapshot!(put().if_match(created.etag()).await, @"
        412 Precondition Failed
        precondition-failed: It is not as expected any more; read it again and repeat the change.
        ");
    }

    #[tokio::test]
    async fn names_the_field_that_is_refused() {
        let (app, created) = with_payments().await;
        let put =
            |name: &str, body: Value| app.as_admin("acme").put(format!("/v1/projects/{name}")).json(&body);
        let moved = put("payments", json!({ "tenant": "beta" })).if_match(created.etag()).await;
        assert_snapshot!(moved, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/tenant`.
          "/tenant": a project stays with its tenant; create another one instead
        "#);
        for reserved in ["auth", "v1", "services"] {
            assert_eq!(put(reserved, json!({})).await.problem(), "validation-failed");
        }
        assert_snapshot!(put("auth", json!({})).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: the body itself.
          "": the project's name is reserved: it is a first path segment of the API
        "#);
        let services: Vec<_> = (0..101).map(|number| format!("s{number}")).collect();
        let large = json!({ "description": "x".repeat(4001), "accepted_services": services });
        assert_snapshot!(put("large", large).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/description`, `/accepted_services`.
          "/description": must be at most 4,000 bytes
          "/accepted_services": must be at most 100 services
        "#);
        assert_eq!(put("other", json!({ "owner": "me" })).await.problem(), "validation-failed");
        assert_eq!(put("-no", json!({})).await.problem(), "invalid-path");
        let nowhere = json!({ "tenant": "nope" });
        assert_snapshot!(app.as_platform_admin().put("/v1/projects/new").json(&nowhere).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/tenant`.
          "/tenant": there is no tenant `nope`; create it first
        "#);
        let both = app.as_person("ada", "acme=admin,beta=admin");
        assert_snapshot!(both.put("/v1/projects/new").json(&json!({})).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/tenant`.
          "/tenant": say which tenant the project is to belong to
        "#);
    }

    #[tokio::test]
    async fn a_deleted_tenant_gets_no_project_from_those_who_are_still_in_it() {
        let app = start().await;
        let root = app.as_platform_admin();
        root.put("/v1/tenants/acme").json(&json!({ "display_name": "Acme" })).await;
        root.delete("/v1/tenants/acme").await;
        for client in [app.as_admin("acme"), app.as_api_key(&[Scope::All], "acme")] {
            let refused = client.put("/v1/projects/new").json(&json!({})).await;
            assert_eq!(refused.problem(), "validation-failed");
            let detail = "there is no tenant `acme`; create it first";
            assert_eq!(refused.body["errors"], json!([{ "pointer": "/tenant", "detail": detail }]));
        }
    }

    #[tokio::test]
    async fn names_of_others_cannot_be_had() {
        let (app, _) = with_payments().await;
        let beta = app.as_admin("beta");
        assert_snapshot!(beta.put("/v1/projects/payments").json(&json!({})).await, @"
        409 Conflict
        conflict: This name cannot be used; choose another.
        ");
        assert_snapshot!(beta.put("/v1/projects/new").json(&json!({ "tenant": "acme" })).await, @"
        403 Forbidden
        forbidden: Your role in tenant `acme` does not allow this.
        ");
    }
}

mod show {
    use super::*;

    #[tokio::test]
    async fn a_project_of_others_does_not_exist() {
        let (app, _) = with_payments().await;
        let absent = app.as_viewer("acme").get("/v1/projects/none").await;
        assert_snapshot!(absent, @"
        404 Not Found
        not-found: There is no such project.
        ");
        let foreign = app.as_viewer("beta").get("/v1/projects/payments").await;
        assert_eq!((foreign.status, foreign.body), (absent.status, absent.body));
        assert_eq!(app.as_viewer("acme").get("/v1/projects/-no").await.problem(), "invalid-path");
    }
}

mod list {
    use super::*;

    #[tokio::test]
    async fn lists_the_projects_of_the_callers_tenants() {
        let (app, _) = with_payments().await;
        for (tenant, name) in [("acme", "accounts"), ("acme", "web"), ("beta", "shop")] {
            app.as_admin(tenant).put(format!("/v1/projects/{name}")).json(&json!({})).await;
        }
        let names = async |client| texts(&all(&client, "/v1/projects?", "projects").await, "project");
        assert_eq!(names(app.as_viewer("acme")).await, ["accounts", "payments", "web"]);
        assert_eq!(names(app.as_viewer("beta")).await, ["shop"]);
        assert_eq!(names(app.as_platform_admin()).await, ["accounts", "payments", "web", "shop"]);
        for bad in ["limit=0", "cursor=x", "tenant=acme"] {
            let refused = app.as_viewer("acme").get(format!("/v1/projects?{bad}")).await;
            assert_eq!(refused.problem(), "invalid-query", "{bad}");
        }
    }
}

mod delete {
    use super::*;

    #[tokio::test]
    async fn deletes_the_project_whose_etag_is_sent() {
        let (app, created) = with_payments().await;
        let delete = || app.as_admin("acme").delete("/v1/projects/payments");
        assert_eq!(delete().await.problem(), "precondition-required");
        assert_eq!(delete().if_match("\"rev_old\"").await.problem(), "precondition-failed");
        let foreign = app.as_admin("beta").delete("/v1/projects/payments").if_match(created.etag()).await;
        assert_eq!(foreign.problem(), "not-found");
        assert_snapshot!(delete().if_match(created.etag()).await, @"204 No Content");
        assert_eq!(delete().if_match(created.etag()).await.problem(), "not-found");
    }

    #[tokio::test]
    async fn a_project_to_which_something_belongs_stays() {
        let (app, created) = with_payments().await;
        app.table.save_job_as(&callers::tenant_key("acme"), "build", "payments").await;
        let delete = app.as_admin("acme").delete("/v1/projects/payments").if_match(created.etag());
        assert_snapshot!(delete.await, @"
        409 Conflict
        conflict: Jobs, services or service tokens still belong to this project; delete or revoke them first.
        ");
    }
}

mod default_project {
    use super::*;

    async fn put_tenant(app: &TestApp, default_project: Value) {
        let body = json!({ "display_name": "Acme", "default_project": default_project });
        let put = app.as_platform_admin().put("/v1/tenants/acme").json(&body).await;
        assert_eq!(put.status, 200, "{put}");
    }

    #[tokio::test]
    async fn it_stays_until_its_tenant_has_another_one_or_none() {
        let (app, payments) = with_payments().await;
        let web = app.as_admin("acme").put("/v1/projects/web").json(&json!({})).await;
        let delete = |name: &str, etag: &str| {
            app.as_admin("acme").delete(format!("/v1/projects/{name}")).if_match(etag)
        };
        put_tenant(&app, json!("payments")).await;
        assert_snapshot!(delete("payments", payments.etag()).await, @"
        409 Conflict
        conflict: Project `payments` is the default project of tenant `acme`; a platform admin gives the tenant another one first, or none, with `PUT /v1/tenants/acme`.
        ");
        assert_eq!(app.as_viewer("acme").get("/v1/projects/payments").await.status, 200);
        put_tenant(&app, json!("web")).await;
        assert_eq!(delete("payments", payments.etag()).await.status, 204);
        assert_eq!(delete("web", web.etag()).await.problem(), "conflict");
        put_tenant(&app, Value::Null).await;
        assert_eq!(delete("web", web.etag()).await.status, 204);
    }
}

#[tokio::test]
async fn projects_are_changed_by_admins_of_their_tenant() {
    let (app, created) = with_payments().await;
    for client in [
        app.as_developer("acme"),
        app.as_api_key(&[Scope::ProjectsRead], "acme"),
        app.as_person("eve", "acme=viewer,beta=admin"),
    ] {
        let put = client.put("/v1/projects/payments").if_match(created.etag()).json(&json!({})).await;
        assert_eq!(put.problem(), "forbidden");
        let delete = client.delete("/v1/projects/payments").if_match(created.etag()).await;
        assert_eq!(delete.problem(), "forbidden");
        assert_eq!(client.get("/v1/projects/payments").await.status, 200);
    }
    assert_eq!(app.anonymous().get("/v1/projects").await.problem(), "unauthorized");
    assert_eq!(app.as_api_key(&[Scope::JobsRead], "acme").get("/v1/projects").await.problem(), "forbidden");
}
