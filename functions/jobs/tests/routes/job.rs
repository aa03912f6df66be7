use gatehouse_domain::{access::Scope, tenant::SaveTenant};
use gatehouse_testkit::app::{Answer, Client, TestApp};
use insta::assert_snapshot;
use serde_json::json;

use crate::{assert_refused, job, start};

/// The function with the job `deploy` of tenant `acme`, and what the admin who saved it was answered.
async fn with_a_job() -> (TestApp, Answer) {
    let app = start().await;
    let saved = app.as_admin("acme").put("/v1/jobs/deploy").json(&job("payments")).await;
    (app, saved)
}

mod list {
    use super::*;

    #[tokio::test]
    async fn shows_the_jobs_of_the_callers_tenants() {
        let (app, _) = with_a_job().await;
        app.as_admin("beta").put("/v1/jobs/other").json(&job("shop")).await;
        assert_snapshot!(app.as_viewer("acme").get("/v1/jobs").await, @r#"
        200 OK
        {
          "jobs": [
            {
              "created_at": "2026-09-21T14:13:20Z",
              "display_name": "deploy",
              "job_id": "deploy",
              "project": "payments",
              "provider": {
                "kind": "concourse",
                "ref": {
                  "job": "deploy",
                  "pipeline": "app",
                  "team": "main"
                }
              },
              "tenant": "acme",
              "updated_at": "2026-09-21T14:13:20Z",
              "updated_by": "user:ada"
            }
          ]
        }
        "#);
        assert_snapshot!(app.as_viewer("empty").get("/v1/jobs").await, @r#"
        200 OK
        {
          "jobs": []
        }
        "#);
    }

    #[tokio::test]
    async fn filters_by_project_and_environment() {
        let (app, _) = with_a_job().await;
        let mut for_production = job("payments");
        for_production["environment"] = json!("prod");
        app.as_admin("acme").put("/v1/jobs/release").json(&for_production).await;
        let acme = app.as_viewer("acme");
        let ids = async |query: &str| {
            let answer = acme.get(format!("/v1/jobs?{query}")).await;
            let jobs = answer.body["jobs"].as_array().unwrap();
            jobs.iter().map(|job| job["job_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ids("project=payments").await, ["deploy", "release"]);
        assert_eq!(ids("environment=prod").await, ["release"]);
        assert_eq!(ids("project=unknown").await, [""; 0]);
    }

    #[tokio::test]
    async fn links_to_the_next_page() {
        let (app, _) = with_a_job().await;
        app.as_admin("acme").put("/v1/jobs/release").json(&job("payments")).await;
        let acme = app.as_viewer("acme");
        let first = acme.get("/v1/jobs?limit=1&project=payments").await;
        let cursor = first.body["next_cursor"].as_str().unwrap();
        let link = format!("<?limit=1&cursor={cursor}&project=payments>; rel=\"next\"");
        assert_eq!(first.header("link"), link);
        let second = acme.get(format!("/v1/jobs?limit=1&project=payments&cursor={cursor}")).await;
        assert_eq!(second.body["jobs"][0]["job_id"], "release");
        let stranger = app.as_viewer("beta").get(format!("/v1/jobs?cursor={cursor}")).await;
        assert_snapshot!(stranger, @"
        400 Bad Request
        invalid-query: The cursor does not belong to this list.
        ");
    }

    #[tokio::test]
    async fn refuses_what_it_does_not_understand() {
        let app = start().await;
        let acme = app.as_viewer("acme");
        assert_snapshot!(acme.get("/v1/jobs?limit=0").await, @"
        400 Bad Request
        invalid-query: `limit` must be 1 to 100.
        ");
        assert_snapshot!(acme.get("/v1/jobs?project=-no").await, @"
        400 Bad Request
        invalid-query: `project`: a project must be 1 to 128 characters of A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'.
        ");
        assert_snapshot!(acme.get("/v1/jobs?color=red").await, @"
        400 Bad Request
        invalid-query: `color`: unknown field `color`, expected one of `project`, `environment`, `limit`, `cursor`.
        ");
        assert_snapshot!(acme.get("/v1/jobs?cursor=x").await, @"
        400 Bad Request
        invalid-query: The cursor does not belong to this list.
        ");
    }

    #[tokio::test]
    async fn is_for_those_who_may_read() {
        let app = start().await;
        assert_snapshot!(app.anonymous().get("/v1/jobs").await, @"
        401 Unauthorized
        unauthorized: Send a credential as a bearer token.
        ");
        assert_snapshot!(app.as_api_key(&[Scope::RunsRead], "acme").get("/v1/jobs").await, @"
        403 Forbidden
        forbidden: This takes an API key with the scope `jobs:read`, or the role `viewer`.
        ");
        assert_eq!(app.as_api_key(&[Scope::JobsRead], "acme").get("/v1/jobs").await.status, 200);
        assert_eq!(app.as_service("acme", "payments", "worker").get("/v1/jobs").await.problem(), "forbidden");
    }
}

mod show {
    use super::*;

    #[tokio::test]
    async fn shows_a_job_with_its_etag() {
        let (app, saved) = with_a_job().await;
        let shown = app.as_viewer("acme").get("/v1/jobs/deploy").await;
        assert_eq!((shown.etag(), &shown.body), (saved.etag(), &saved.body));
    }

    #[tokio::test]
    async fn a_job_of_others_does_not_exist() {
        let (app, _) = with_a_job().await;
        let absent = app.as_viewer("acme").get("/v1/jobs/none").await;
        assert_snapshot!(absent, @"
        404 Not Found
        not-found: There is no such job.
        ");
        let foreign = app.as_viewer("beta").get("/v1/jobs/deploy").await;
        assert_eq!((foreign.status, foreign.body), (absent.status, absent.body));
    }

    #[tokio::test]
    async fn refuses_what_it_does_not_understand() {
        let app = start().await;
        assert_snapshot!(app.as_viewer("acme").get("/v1/jobs/No%20id").await, @"
        400 Bad Request
        invalid-path: A job id must be 1 to 128 characters of A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'.
        ");
        assert_snapshot!(app.as_viewer("acme").get("/v1/jobs/deploy?verbose").await, @"
        400 Bad Request
        invalid-query: This operation takes no query parameters, and `verbose` was sent.
        ");
    }

    #[tokio::test]
    async fn is_for_those_who_may_read() {
        let (app, _) = with_a_job().await;
        assert_eq!(app.anonymous().get("/v1/jobs/deploy").await.problem(), "unauthorized");
        let scoped = app.as_api_key(&[Scope::JobsWrite], "acme").get("/v1/jobs/deploy").await;
        assert_eq!(scoped.problem(), "forbidden");
    }
}

mod put {
    use super::*;

    #[tokio::test]
    async fn creates_a_job_and_its_project() {
        let (_app, saved) = with_a_job().await;
        assert_snapshot!(saved, @r#"
        201 Created
        etag: "rev_#1"
        {
          "job": {
            "created_at": "2026-09-21T14:13:20Z",
            "display_name": "deploy",
            "job_id": "deploy",
            "project": "payments",
            "provider": {
              "kind": "concourse",
              "ref": {
                "job": "deploy",
                "pipeline": "app",
                "team": "main"
              }
            },
            "tenant": "acme",
            "updated_at": "2026-09-21T14:13:20Z",
            "updated_by": "user:ada"
          }
        }
        "#);
    }

    #[tokio::test]
    async fn replaces_the_job_whose_etag_is_sent() {
        let (app, saved) = with_a_job().await;
        let mut changed = job("payments");
        changed["display_name"] = json!("Deploy");
        let replaced =
            app.as_admin("acme").put("/v1/jobs/deploy").if_match(saved.etag()).json(&changed).await;
        assert_snapshot!(replaced, @r#"
        200 OK
        etag: "rev_#1"
        {
          "job": {
            "created_at": "2026-09-21T14:13:20Z",
            "display_name": "Deploy",
            "job_id": "deploy",
            "project": "payments",
            "provider": {
              "kind": "concourse",
              "ref": {
                "job": "deploy",
                "pipeline": "app",
                "team": "main"
              }
            },
            "tenant": "acme",
            "updated_at": "2026-09-21T14:13:20Z",
            "updated_by": "user:ada"
          }
        }
        "#);
    }

    #[tokio::test]
    async fn needs_the_etag_of_what_it_replaces() {
        let (app, saved) = with_a_job().await;
        let put = || app.as_admin("acme").put("/v1/jobs/deploy").json(&job("payments"));
        assert_snapshot!(put().await, @r#"
        428 Precondition Required
        precondition-required: It exists already; send its ETag in If-Match to replace or delete it.
          etag: "\"rev_#1\""
        "#);
        assert_snapshot!(put().header("if-none-match", "*").await, @"
        412 Precondition Failed
        precondition-failed: It is not as expected any more; read it again and repeat the change.
        ");
        assert_snapshot!(put().if_match("\"rev_old\"").await, @"
        412 Precondition Failed
        precondition-failed: It is not as expected any more; read it again and repeat the change.
        ");
        assert_snapshot!(put().if_match("rev_unquoted").await, @"
        400 Bad Request
        invalid-header: `If-Match` must be one strong ETag, with its quotes.
        ");
        assert_snapshot!(put().if_match(saved.etag()).header("if-none-match", "*").await, @"
        400 Bad Request
        invalid-header: `If-Match` and `If-None-Match` contradict each other.
        ");
        assert_snapshot!(put().header("if-none-match", "\"rev_1\"").await, @"
        400 Bad Request
        invalid-header: Of `If-None-Match`, only `*` is understood.
        ");
    }

    #[tokio::test]
    async fn refuses_bodies_that_are_no_job() {
        let app = start().await;
        let put = || app.as_admin("acme").put("/v1/jobs/deploy");
        assert_snapshot!(put().body("text/plain", "{}").await, @"
        415 Unsupported Media Type
        unsupported-media-type: Send the body as `Content-Type: application/json`.
        ");
        assert_snapshot!(put().body("application/json", "{").await, @"
        400 Bad Request
        malformed-body: The body is not JSON: EOF while parsing an object at line 1 column 1.
        ");
        assert_snapshot!(put().json(&json!({ "projects": "payments" })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/projects`.
          "/projects": unknown field `projects`, expected one of `project`, `display_name`, `description`, `environment`, `provider`, `parameters`, `undeclared`
        "#);
        let large = format!("{{\"project\":\"{}\"}}", "x".repeat(1024 * 1024));
        assert_snapshot!(put().body("application/json", large).await, @"
        413 Payload Too Large
        body-too-large: The body is larger than this operation takes.
        ");
    }

    #[tokio::test]
    async fn names_every_field_that_is_refused() {
        let app = start().await;
        let mut refused = job("payments");
        refused["display_name"] = json!("");
        refused["description"] = json!("x".repeat(4001));
        refused["provider"]["ref"]["team"] = json!("");
        let deliver = json!({ "as": "instance_var", "name": "a" });
        let parameter = json!({ "name": "A", "type": "string", "deliver": deliver });
        refused["parameters"] = json!([parameter, parameter]);
        assert_snapshot!(app.as_admin("acme").put("/v1/jobs/deploy").json(&refused).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/display_name`, `/description`, `/provider/ref/team`, `/parameters/1/name`.
          "/display_name": must be 1 to 200 bytes of text
          "/description": must be at most 4,000 bytes
          "/provider/ref/team": must be 1 to 255 bytes without control characters
          "/parameters/1/name": is declared twice
        "#);
        let process = json!({ "kind": "process", "ref": { "command": ["true"] } });
        let elsewhere = json!({ "project": "payments", "provider": process });
        assert_snapshot!(app.as_admin("acme").put("/v1/jobs/deploy").json(&elsewhere).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/provider/kind`.
          "/provider/kind": this deployment does not have this kind of provider
        "#);
        assert_snapshot!(app.as_admin("acme").put("/v1/jobs/deploy").json(&job("v1")).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/project`.
          "/project": is reserved: it is a first path segment of the API
        "#);
    }

    #[tokio::test]
    async fn refuses_names_that_belong_to_others() {
        let (app, _) = with_a_job().await;
        let beta = app.as_admin("beta");
        assert_snapshot!(beta.put("/v1/jobs/deploy").json(&job("shop")).await, @"
        409 Conflict
        conflict: Job id `deploy` cannot be used; choose another.
        ");
        assert_snapshot!(beta.put("/v1/jobs/other").json(&job("payments")).await, @"
        409 Conflict
        conflict: Project `payments` cannot be used; choose another name.
        ");
        assert_snapshot!(beta.put("/v1/jobs/other?tenant=acme").json(&job("shop")).await, @"
        403 Forbidden
        forbidden: Tenant `acme` is not one of yours.
        ");
    }

    #[tokio::test]
    async fn a_new_project_needs_a_tenant_where_the_caller_has_several() {
        let app = start().await;
        let both = app.as_person("ada", "acme=admin,beta=admin");
        assert_snapshot!(both.put("/v1/jobs/deploy").json(&job("payments")).await, @"
        422 Unprocessable Entity
        validation-failed: Project `payments` does not exist yet: say with ?tenant= which tenant it is to belong to.
        ");
        assert_snapshot!(both.put("/v1/jobs/deploy?tenant=beta").json(&job("payments")).await, @"
        422 Unprocessable Entity
        validation-failed: There is no tenant `beta`; create it first.
        ");
        app.table.create_tenant("beta").await;
        let saved = both.put("/v1/jobs/deploy?tenant=beta").json(&job("payments")).await;
        assert_eq!(saved.body["job"]["tenant"], "beta");
        assert_snapshot!(both.put("/v1/jobs/deploy?tenant=No").json(&job("payments")).await, @"
        400 Bad Request
        invalid-query: `tenant`: a tenant must be 1 to 39 characters of a-z, 0-9 and '-', not starting with '-'.
        ");
    }

    #[tokio::test]
    async fn a_deleted_tenant_gets_no_project_from_those_who_are_still_in_it() {
        let app = start().await;
        app.table.create_tenant("acme").await;
        let entry = app.table.entry("user:root", "tenant:acme", Some("acme"));
        app.table.table.delete_tenant(&"acme".parse().unwrap(), &entry).await.unwrap();
        for client in [app.as_admin("acme"), app.as_api_key(&[Scope::All], "acme")] {
            let refused = client.put("/v1/jobs/deploy").json(&job("payments")).await;
            assert_refused("unnamed", &refused, &["validation-failed"], "here is no tenant `acme`");
        }
    }

    #[tokio::test]
    async fn is_for_admins_of_the_tenant() {
        let app = start().await;
        let save = async |client: Client<'_>| client.put("/v1/jobs/deploy").json(&job("payments")).await;
        assert_eq!(save(app.anonymous()).await.problem(), "unauthorized");
        assert_snapshot!(save(app.as_developer("acme")).await, @"
        403 Forbidden
        forbidden: This takes an API key with the scope `jobs:write`, or the role `admin`.
        ");
        save(app.as_admin("acme")).await;
        let elsewhere = app.as_person("eve", "acme=viewer,beta=admin");
        assert_snapshot!(elsewhere.put("/v1/jobs/other").json(&job("payments")).await, @"
        403 Forbidden
        forbidden: Your role in tenant `acme` does not allow this.
        ");
    }
}

mod delete {
    use super::*;

    #[tokio::test]
    async fn deletes_the_job_whose_etag_is_sent() {
        let (app, saved) = with_a_job().await;
        let acme = app.as_admin("acme");
        assert_snapshot!(acme.delete("/v1/jobs/deploy").if_match(saved.etag()).await, @"204 No Content");
        assert_eq!(acme.get("/v1/jobs/deploy").await.problem(), "not-found");
    }

    #[tokio::test]
    async fn needs_the_etag_of_what_it_deletes() {
        let (app, _) = with_a_job().await;
        let acme = app.as_admin("acme");
        assert_snapshot!(acme.delete("/v1/jobs/deploy").await, @r#"
        428 Precondition Required
        precondition-required: It exists already; send its ETag in If-Match to replace or delete it.
          etag: "\"rev_#1\""
        "#);
        assert_snapshot!(acme.delete("/v1/jobs/deploy").if_match("\"rev_old\"").await, @"
        412 Precondition Failed
        precondition-failed: It is not as expected any more; read it again and repeat the change.
        ");
    }

    #[tokio::test]
    async fn a_job_of_others_does_not_exist() {
        let (app, saved) = with_a_job().await;
        let delete =
            |tenant, id| app.as_admin(tenant).delete(format!("/v1/jobs/{id}")).if_match(saved.etag());
        assert_snapshot!(delete("acme", "none").await, @"
        404 Not Found
        not-found: There is no such job.
        ");
        assert_eq!(delete("beta", "deploy").await.problem(), "not-found");
    }

    #[tokio::test]
    async fn refuses_what_it_does_not_understand() {
        let app = start().await;
        let acme = app.as_admin("acme");
        assert_eq!(acme.delete("/v1/jobs/No%20id").await.problem(), "invalid-path");
        assert_eq!(acme.delete("/v1/jobs/deploy?force=true").await.problem(), "invalid-query");
    }

    #[tokio::test]
    async fn is_for_admins_of_the_tenant() {
        let (app, saved) = with_a_job().await;
        let delete = async |client: Client<'_>| client.delete("/v1/jobs/deploy").if_match(saved.etag()).await;
        assert_eq!(delete(app.anonymous()).await.problem(), "unauthorized");
        assert_eq!(delete(app.as_developer("acme")).await.problem(), "forbidden");
        assert_snapshot!(delete(app.as_person("eve", "acme=viewer,beta=admin")).await, @"
        403 Forbidden
        forbidden: Your role in tenant `acme` does not allow this.
        ");
    }
}
