use gatehouse_domain::access::Scope;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{start, texts};

#[tokio::test]
async fn a_tenant_is_made_renamed_listed_and_deleted() {
    let app = start().await;
    let root = app.as_platform_admin();
    let put =
        |id: &str, name: &str| root.put(format!("/v1/tenants/{id}")).json(&json!({ "display_name": name }));
    put("beta", "Beta").await;
    assert_snapshot!(put("acme", "Acme").await, @r#"
    200 OK
    {
      "tenant": {
        "created_at": "2026-09-21T14:13:20Z",
        "created_by": "user:root",
        "display_name": "Acme",
        "require_second_factor": false,
        "tenant": "acme"
      }
    }
    "#);
    assert_eq!(put("acme", "Acme Ltd").await.body["tenant"]["display_name"], "Acme Ltd");
    let names = |answer: &Value| texts(answer["tenants"].as_array().unwrap(), "tenant");
    assert_eq!(names(&root.get("/v1/tenants").await.body), ["acme", "beta"]);
    // Others see their own.
    assert_eq!(names(&app.as_viewer("acme").get("/v1/tenants").await.body), ["acme"]);
    assert_eq!(names(&app.as_viewer("empty").get("/v1/tenants").await.body), [""; 0]);
    let project = root.put("/v1/projects/rockets").json(&json!({ "tenant": "acme" })).await;
    assert_snapshot!(root.delete("/v1/tenants/acme").await, @"
    409 Conflict
    conflict: The tenant still has projects; delete them first.
    ");
    root.delete("/v1/projects/rockets").if_match(project.etag()).await;
    assert_snapshot!(root.delete("/v1/tenants/acme").await, @"204 No Content");
    assert_snapshot!(root.delete("/v1/tenants/acme").await, @"
    404 Not Found
    not-found: There is no such tenant.
    ");
    assert_eq!(names(&root.get("/v1/tenants").await.body), ["beta"]);
}

#[tokio::test]
async fn the_name_of_a_tenant_is_not_given_again() {
    let app = start().await;
    let root = app.as_platform_admin();
    let put = || root.put("/v1/tenants/acme").json(&json!({ "display_name": "Other" }));
    put().await;
    root.delete("/v1/tenants/acme").await;
    assert_snapshot!(put().await, @"
    409 Conflict
    conflict: A tenant of this name was deleted, and its name is not given again.
    ");
    assert_eq!(root.get("/v1/tenants").await.body["tenants"], json!([]));
}

#[tokio::test]
async fn refuses_what_it_does_not_understand() {
    let app = start().await;
    let root = app.as_platform_admin();
    assert_snapshot!(root.put("/v1/tenants/acme").json(&json!({ "display_name": " " })).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/display_name`.
      "/display_name": must be 1 to 200 bytes of text
    "#);
    let unknown =
        root.put("/v1/tenants/acme").json(&json!({ "display_name": "Acme", "colour": "red" })).await;
    assert_eq!(unknown.problem(), "validation-failed");
    assert_eq!(root.put("/v1/tenants/No").json(&json!({})).await.problem(), "invalid-path");
    assert_eq!(root.delete("/v1/tenants/No").await.problem(), "invalid-path");
    assert_eq!(root.get("/v1/tenants?limit=1").await.problem(), "invalid-query");
}

#[tokio::test]
async fn tenants_are_made_by_platform_admins() {
    let app = start().await;
    let body = json!({ "display_name": "Acme" });
    for client in [app.as_admin("acme"), app.as_api_key(&[Scope::All], "acme")] {
        assert_eq!(client.put("/v1/tenants/acme").json(&body).await.problem(), "forbidden");
        assert_eq!(client.delete("/v1/tenants/acme").await.problem(), "forbidden");
    }
    assert_eq!(app.anonymous().get("/v1/tenants").await.problem(), "unauthorized");
    assert_eq!(app.as_api_key(&[Scope::JobsRead], "acme").get("/v1/tenants").await.problem(), "forbidden");
}

#[tokio::test]
async fn a_tenant_has_a_default_project_of_its_own() {
    let app = start().await;
    let root = app.as_platform_admin();
    let put = async |body: Value| root.put("/v1/tenants/acme").json(&body).await;
    put(json!({ "display_name": "Acme" })).await;
    for (project, tenant) in [("rockets", "acme"), ("boats", "beta")] {
        root.put(format!("/v1/projects/{project}")).json(&json!({ "tenant": tenant })).await;
    }
    assert_snapshot!(put(json!({ "display_name": "Acme", "default_project": "rockets" })).await, @r#"
    200 OK
    {
      "tenant": {
        "created_at": "2026-09-21T14:13:20Z",
        "created_by": "user:root",
        "default_project": "rockets",
        "display_name": "Acme",
        "require_second_factor": false,
        "tenant": "acme"
      }
    }
    "#);
    for other in ["boats", "none"] {
        let refused = put(json!({ "display_name": "Acme", "default_project": other })).await;
        assert_eq!(
            refused.body["errors"],
            json!([
                { "pointer": "/default_project", "detail": "the tenant has no such project" }
            ])
        );
    }
    // Those who are in it see it.
    let seen = app.as_viewer("acme").get("/v1/tenants").await;
    assert_eq!(seen.body["tenants"][0]["default_project"], "rockets");
    let kept = put(json!({ "display_name": "Acme Ltd", "require_second_factor": null })).await;
    assert_eq!(kept.body["tenant"]["default_project"], "rockets");
    // Here null says something.
    app.system.advance(std::time::Duration::from_secs(1));
    let taken = put(json!({ "display_name": "Acme", "default_project": null })).await;
    assert_eq!(taken.body["tenant"]["default_project"], Value::Null);
    assert_eq!(
        app.as_viewer("acme").get("/v1/tenants").await.body["tenants"][0]["default_project"],
        Value::Null
    );
    let trail = root.get("/v1/audit?tenant=acme").await;
    let details: Vec<_> =
        trail.body["entries"].as_array().unwrap().iter().map(|it| it["detail"].clone()).collect();
    let said: Vec<_> = details.iter().filter_map(Value::as_str).collect();
    assert_eq!(said, ["no default project any more", "default project: rockets"]);
}
