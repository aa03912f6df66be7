use gatehouse_testkit::app::{Answer, Client, TestApp};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{create, deploy, provision, shop, shop_with, start, unprotected, with_shop};

fn names(answer: &Answer) -> Vec<&str> {
    let services = answer.body["services"].as_array().expect("a list");
    services.iter().map(|service| service["name"].as_str().expect("a name")).collect()
}

async fn etag(client: &Client<'_>, service: &str) -> String {
    client.get(format!("/services/{service}")).await.etag().to_owned()
}

mod create {
    use super::*;

    #[tokio::test]
    async fn makes_a_service_in_the_callers_only_tenant() {
        let (app, _) = start().await;
        let created = app.as_developer("acme").post("/services").json(&shop()).await;
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
                "approval_required": true,
                "category": "prod",
                "inputs": {},
                "name": "prod"
              },
              {
                "approval_required": false,
                "category": "test",
                "inputs": {
                  "size": 1
                },
                "module": "example",
                "name": "made"
              }
            ],
            "id": "svc_#1",
            "lifecycle": "experimental",
            "links": [],
            "name": "shop",
            "owner": "team-payments",
            "project": "payments",
            "tenant": "acme",
            "updated_at": "2026-09-21T14:13:20Z",
            "updated_by": "user:dev"
          }
        }
        "#);
    }

    #[tokio::test]
    async fn keeps_everything_that_is_decided() {
        let (app, _) = start().await;
        let body = shop_with(json!({
            "description": "Sells things", "repository": "https://git.example/shop", "lifecycle": "deprecated",
            "links": [{ "name": "dashboard", "url": "https://graphs.example/shop" }], "build_job": "ship",
            "environments": [{
                "name": "made", "category": "staging", "module": "example", "inputs": { "size": 1 },
                "ttl_hours": 8, "drift_hours": 24, "deploy": { "webhook": "https://deploy.example/hook" },
            }],
        }));
        let created = app.as_developer("acme").post("/services").json(&body).await;
        for (member, value) in body.as_object().expect("a body") {
            let kept = &created.body["service"][member];
            match member.as_str() {
                "environments" => {
                    for (member, value) in value[0].as_object().expect("an environment") {
                        assert_eq!(&kept[0][member], value, "{member}: {created}");
                    }
                }
                _ => assert_eq!(kept, value, "{member}: {created}"),
            }
        }
    }

    #[tokio::test]
    async fn the_same_with_the_same_key_is_the_same_service() {
        let (app, _) = start().await;
        let developer = app.as_developer("acme");
        let create = |body: &Value| developer.post("/services").idempotency_key("k").json(body);
        let first = create(&shop()).await;
        let again = create(&shop()).await;
        assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
        assert_eq!(first.body, again.body);
        assert_eq!(
            (first.header("idempotency-replayed"), again.header("idempotency-replayed")),
            ("", "true")
        );
        let other = shop_with(json!({ "owner": "another" }));
        assert_snapshot!(create(&other).await, @"
        422 Unprocessable Entity
        idempotency-key-reused: The Idempotency-Key was used for another request.
        ");
        // A key is its caller's own.
        let theirs = app.as_admin("acme").post("/services").idempotency_key("k").json(&other).await;
        assert_eq!(theirs.problem(), "conflict");
        assert_eq!(names(&developer.get("/services").await), ["shop"]);
    }

    #[tokio::test]
    async fn a_name_is_one_services() {
        let (app, _, service) = with_shop().await;
        let taken =
            app.as_admin("acme").post("/services").json(&shop_with(json!({ "owner": "another" }))).await;
        assert_eq!(taken.body["service_id"], service);
        assert_snapshot!(taken, @r#"
        409 Conflict
        conflict: Another service of this tenant has this name.
          service_id: "svc_#1"
        "#);
    }

    #[tokio::test]
    async fn every_field_that_is_wrong_is_named() {
        let (app, _) = start().await;
        let developer = app.as_developer("acme");
        for (member, value, pointer) in [
            ("name", json!("Shop"), "/name"),
            ("project", json!("absent"), "/project"),
            ("owner", json!(" "), "/owner"),
            ("owner", json!("a\nb"), "/owner"),
            ("owner", json!("x".repeat(201)), "/owner"),
            ("lifecycle", json!("retired"), "/lifecycle"),
            ("description", json!("x".repeat(4001)), "/description"),
            ("repository", json!("ssh://host/x"), "/repository"),
            ("repository", json!("https://user:pw@host/x"), "/repository"),
            ("links", json!([{ "name": "", "url": "https://x" }]), "/links/0/name"),
            ("links", json!([{ "name": "x", "url": "javascript:1" }]), "/links/0/url"),
            ("links", json!(vec![json!({ "name": "x", "url": "https://x" }); 21]), "/links"),
            ("build_job", json!("absent"), "/build_job"),
            ("deploy", json!({ "job": "absent" }), "/deploy/job"),
            ("deploy", json!({ "webhook": "file:///etc/passwd" }), "/deploy/webhook"),
            ("deploy", json!({ "webhook": "http://hooks.example/x" }), "/deploy/webhook"),
            ("deploy", json!({ "webhook": "http://10.0.0.1/x" }), "/deploy/webhook"),
            (
                "environments",
                json!([{ "name": "dev", "category": "dev", "deploy": { "webhook": "http://hooks.example" } }]),
                "/environments/0/deploy/webhook",
            ),
            ("tenant", json!("other"), "/tenant"),
            (
                "environments",
                json!([{ "name": "dev", "category": "playground" }]),
                "/environments/0/category",
            ),
            (
                "environments",
                json!([{ "name": "dev", "category": "dev", "module": "absent" }]),
                "/environments/0/module",
            ),
            (
                "environments",
                json!([{ "name": "dev", "category": "dev", "inputs": { "a": 1 } }]),
                "/environments/0/inputs",
            ),
            (
                "environments",
                json!([{ "name": "dev", "category": "dev", "module": "example", "ttl_hours": 0 }]),
                "/environments/0/ttl_hours",
            ),
            (
                "environments",
                json!([{ "name": "dev", "category": "dev", "module": "example", "drift_hours": 745 }]),
                "/environments/0/drift_hours",
            ),
            (
                "environments",
                json!([{ "name": "dev", "category": "dev", "drift_hours": 24 }]),
                "/environments/0/drift_hours",
            ),
            (
                "environments",
                json!([{ "name": "dev", "category": "dev" }, { "name": "dev", "category": "prod" }]),
                "/environments/1/name",
            ),
            (
                "environments",
                json!([{ "name": "dev", "category": "dev", "deploy": { "job": "absent" } }]),
                "/environments/0/deploy/job",
            ),
        ] {
            let refused = developer.post("/services").json(&shop_with(json!({ member: value }))).await;
            assert_eq!((refused.status.as_u16(), refused.problem()), (422, "validation-failed"), "{refused}");
            assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{refused}");
        }
        assert_eq!(developer.get("/services").await.body["services"], json!([]));
    }

    #[tokio::test]
    async fn all_that_is_wrong_is_named_at_once() {
        let (app, _) = start().await;
        let body = shop_with(json!({
            "owner": "", "repository": "x", "environments": [{ "name": "dev", "category": "dev", "module": "absent" }],
        }));
        assert_snapshot!(app.as_developer("acme").post("/services").json(&body).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/owner`, `/repository`, `/environments/0/module`.
          "/owner": must be 1 to 200 bytes of text on one line
          "/repository": must be an http:// or https:// URL of at most 2,000 ASCII characters
          "/environments/0/module": no such module; there are: example
        "#);
        let body = shop_with(json!({ "project": "absent", "build_job": "absent" }));
        assert_snapshot!(app.as_developer("acme").post("/services").json(&body).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/project`, `/build_job`.
          "/project": the tenant has no such project
          "/build_job": the tenant has no such job
        "#);
    }

    #[tokio::test]
    async fn is_refused_to_viewers_and_in_other_tenants() {
        let (app, _) = start().await;
        let of_acme = shop_with(json!({ "tenant": "acme" }));
        assert_snapshot!(app.as_viewer("acme").post("/services").json(&of_acme).await, @"
        403 Forbidden
        forbidden: This takes an API key with the scope `catalog:write`, or the role `developer`.
        ");
        let both = app.as_person("dev", "acme=viewer,beta=developer");
        assert_snapshot!(both.post("/services").json(&of_acme).await, @"
        403 Forbidden
        forbidden: Your role in tenant `acme` does not allow this.
        ");
        assert_snapshot!(app.as_developer("beta").post("/services").json(&of_acme).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/tenant`.
          "/tenant": you are in no such tenant
        "#);
        assert_snapshot!(app.as_platform_admin().post("/services").json(&shop()).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/tenant`.
          "/tenant": say which tenant the service is to belong to
        "#);
    }
}

mod list {
    use super::*;

    async fn with_three() -> TestApp {
        let (app, _) = start().await;
        for (name, owner, lifecycle) in
            [("alpha", "red", "production"), ("beta", "blue", "production"), ("gamma", "red", "deprecated")]
        {
            let description = format!("The {} service", name.to_uppercase());
            let members =
                json!({ "name": name, "owner": owner, "lifecycle": lifecycle, "description": description });
            create(&app.as_developer("acme"), &shop_with(members)).await;
        }
        app
    }

    #[tokio::test]
    async fn is_filtered() {
        let app = with_three().await;
        for (query, expected) in [
            ("", &["alpha", "beta", "gamma"][..]),
            ("?owner=red", &["alpha", "gamma"]),
            ("?lifecycle=production", &["alpha", "beta"]),
            ("?owner=red&lifecycle=deprecated", &["gamma"]),
            ("?text=the%20BETA", &["beta"]),
            ("?name=beta", &["beta"]),
            ("?name=bet", &[]),
            ("?tenant=acme", &["alpha", "beta", "gamma"]),
            ("?tenant=other", &[]),
        ] {
            let listed = app.as_viewer("acme").get(format!("/services{query}")).await;
            assert_eq!(listed.status, 200, "{listed}");
            assert_eq!(names(&listed), expected, "{query}");
        }
        let foreign = app.as_viewer("beta").get("/services").await;
        assert_eq!((foreign.status.as_u16(), foreign.text.as_str()), (200, r#"{"services":[]}"#));
    }

    #[tokio::test]
    async fn comes_page_by_page_with_its_filters() {
        let (app, _) = start().await;
        for name in ["alpha", "beta", "gamma"] {
            let owner = if name == "beta" { "R" } else { "R&D é" };
            create(&app.as_developer("acme"), &shop_with(json!({ "name": name, "owner": owner }))).await;
        }
        let viewer = app.as_viewer("acme");
        let (mut found, mut next) = (Vec::new(), Some("?limit=1&owner=R%26D%20%C3%A9".to_owned()));
        while let Some(query) = next {
            let page = viewer.get(format!("/services{query}")).await;
            assert!(names(&page).len() <= 1, "{page}");
            found.extend(names(&page).into_iter().map(str::to_owned));
            let link =
                page.header("link").strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
            assert_eq!(link.is_some(), page.body["next_cursor"].is_string(), "{page}");
            assert!(
                link.is_none_or(|link| link.contains("limit=1") && link.contains("owner=R%26D%20%C3%A9")),
                "{page}"
            );
            next = link.map(str::to_owned);
        }
        assert_eq!(found, ["alpha", "gamma"]);
    }

    #[tokio::test]
    async fn a_query_that_cannot_be_read_is_refused() {
        let (app, _) = start().await;
        let viewer = app.as_viewer("acme");
        let long = format!("?text={}", "x".repeat(201));
        for bad in [
            "?owner=",
            "?text=",
            &long,
            "?lifecycle=retired",
            "?limit=0",
            "?limit=101",
            "?cursor=x",
            "?unknown=1",
        ] {
            let refused = viewer.get(format!("/services{bad}")).await;
            assert_eq!(
                (refused.status.as_u16(), refused.problem()),
                (400, "invalid-query"),
                "{bad}: {refused}"
            );
        }
        assert_snapshot!(viewer.get("/services?owner=").await, @"
        400 Bad Request
        invalid-query: `owner` must be 1 to 200 bytes.
        ");
    }
}

mod show {
    use super::*;

    #[tokio::test]
    async fn is_what_was_created() {
        let (app, _) = start().await;
        let created = app.as_developer("acme").post("/services").json(&shop()).await;
        let id = created.body["service"]["id"].as_str().expect("an id");
        assert_eq!(created.header("location"), format!("services/{id}"));
        let shown = app.as_viewer("acme").get(format!("/services/{id}")).await;
        assert_eq!((shown.status.as_u16(), shown.etag()), (200, created.etag()));
        assert_eq!(shown.body, created.body);
    }

    #[tokio::test]
    async fn a_service_of_others_does_not_exist() {
        let (app, _, service) = with_shop().await;
        let foreign = app.as_admin("beta").get(format!("/services/{service}")).await;
        let absent = app.as_admin("acme").get("/services/svc_00000000000000000000000000").await;
        assert_snapshot!(foreign, @"
        404 Not Found
        not-found: There is no such service.
        ");
        assert_eq!(foreign.body, absent.body);
        assert_eq!(app.as_admin("acme").get("/services/shop").await.problem(), "invalid-path");
        let queried = app.as_admin("acme").get(format!("/services/{service}?full=1")).await;
        assert_eq!(queried.problem(), "invalid-query");
    }
}

mod put {
    use super::*;

    #[tokio::test]
    async fn replaces_the_service_whose_etag_is_sent() {
        let (app, _, service) = with_shop().await;
        let developer = app.as_developer("acme");
        let created = developer.get(format!("/services/{service}")).await;
        let body = shop_with(json!({ "owner": "somebody else", "environments": [] }));
        let put = || app.as_admin("acme").put(format!("/services/{service}")).json(&body);
        assert_snapshot!(put().await, @r#"
        428 Precondition Required
        precondition-required: It exists already; send its ETag in If-Match to replace or delete it.
          etag: "\"rev_#1\""
        "#);
        assert_snapshot!(put().if_match("\"rev_0\"").await, @"
        412 Precondition Failed
        precondition-failed: It is not as expected any more; read it again and repeat the change.
        ");
        assert_eq!(developer.get(format!("/services/{service}")).await.body, created.body);
        let replaced = put().if_match(created.etag()).await;
        assert_snapshot!(replaced, @r#"
        200 OK
        etag: "rev_#1"
        {
          "service": {
            "created_at": "2026-09-21T14:13:20Z",
            "created_by": "user:dev",
            "deploy": {
              "job": "ship"
            },
            "environments": [],
            "id": "svc_#1",
            "lifecycle": "experimental",
            "links": [],
            "name": "shop",
            "owner": "somebody else",
            "project": "payments",
            "tenant": "acme",
            "updated_at": "2026-09-21T14:13:20Z",
            "updated_by": "user:ada"
          }
        }
        "#);
        let shown = developer.get(format!("/services/{service}")).await;
        assert_eq!((shown.etag(), &shown.body), (replaced.etag(), &replaced.body));
        assert_eq!(put().if_match(created.etag()).await.problem(), "precondition-failed");
    }

    #[tokio::test]
    async fn tenant_and_name_stay() {
        let (app, _, service) = with_shop().await;
        let developer = app.as_developer("acme");
        let tag = etag(&developer, &service).await;
        let put = |members| {
            let call = developer.put(format!("/services/{service}")).if_match(&tag);
            call.json(&shop_with(members))
        };
        assert_snapshot!(put(json!({ "tenant": "beta", "name": "store" })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/tenant`, `/name`.
          "/tenant": a service stays with its tenant; create another one instead
          "/name": a service keeps its name; create another one instead
        "#);
        let refused = put(json!({ "owner": "" })).await;
        assert_eq!(refused.body["errors"][0]["pointer"], "/owner", "{refused}");
        assert_eq!(put(json!({ "tenant": "acme" })).await.status, 200);
    }

    #[tokio::test]
    async fn an_environment_in_use_stays() {
        let (app, _, service) = with_shop().await;
        let admin = app.as_admin("acme");
        provision(&app, &service).await;
        deploy(&app, &service, "dev", "1").await;
        let tag = etag(&admin, &service).await;
        let keep = |kept: &[&str]| {
            let mut body = shop();
            let environments = body["environments"].as_array_mut().expect("a list");
            environments.retain(|it| kept.contains(&it["name"].as_str().expect("a name")));
            admin.put(format!("/services/{service}")).if_match(&tag).json(&body)
        };
        assert_snapshot!(keep(&["prod", "made"]).await, @"
        409 Conflict
        conflict: An operation is still open in: dev; wait for its end or cancel it.
        ");
        assert_snapshot!(keep(&["dev", "prod"]).await, @"
        409 Conflict
        conflict: Something is still provisioned in: made; deprovision it first.
        ");
        assert_eq!(keep(&["dev", "made"]).await.status, 200);
    }

    #[tokio::test]
    async fn is_for_developers_of_its_tenant() {
        let (app, _, service) = with_shop().await;
        let tag = etag(&app.as_viewer("acme"), &service).await;
        let put = async |client: Client<'_>| {
            client.put(format!("/services/{service}")).if_match(&tag).json(&shop()).await
        };
        let elsewhere = app.as_person("dev", "acme=viewer,beta=developer");
        assert_snapshot!(put(elsewhere).await, @"
        403 Forbidden
        forbidden: Your role in tenant `acme` does not allow this.
        ");
        assert_snapshot!(put(app.as_developer("beta")).await, @"
        404 Not Found
        not-found: There is no such service.
        ");
    }
}

mod delete {
    use super::*;

    #[tokio::test]
    async fn deletes_the_service_whose_etag_is_sent_and_gives_its_name_back() {
        let (app, _, service) = with_shop().await;
        let admin = app.as_admin("acme");
        let delete = || admin.delete(format!("/services/{service}"));
        assert_snapshot!(delete().await, @r#"
        428 Precondition Required
        precondition-required: It exists already; send its ETag in If-Match to replace or delete it.
          etag: "\"rev_#1\""
        "#);
        assert_snapshot!(delete().if_match("\"rev_0\"").await, @"
        412 Precondition Failed
        precondition-failed: It is not as expected any more; read it again and repeat the change.
        ");
        let tag = etag(&admin, &service).await;
        assert_snapshot!(delete().if_match(&tag).await, @r#"
        200 OK
        {
          "deleted": "svc_#1",
          "remains": []
        }
        "#);
        assert_eq!(admin.get(format!("/services/{service}")).await.problem(), "not-found");
        assert_eq!(delete().if_match(&tag).await.problem(), "not-found");
        create(&admin, &shop()).await;
    }

    #[tokio::test]
    async fn not_while_something_goes_on() {
        let (app, _, service) = with_shop().await;
        deploy(&app, &service, "dev", "1").await;
        let admin = app.as_admin("acme");
        let tag = etag(&admin, &service).await;
        let delete = |query: &str| admin.delete(format!("/services/{service}{query}")).if_match(&tag);
        assert_snapshot!(delete("").await, @"
        409 Conflict
        conflict: An operation is still open in: dev; wait for its end or cancel it.
        ");
        assert_eq!(delete("?force=true").await.body, delete("").await.body);
    }

    #[tokio::test]
    async fn by_force_where_something_is_provisioned_which_remains() {
        let (app, _, service) = with_shop().await;
        provision(&app, &service).await;
        let (developer, admin) = (app.as_developer("acme"), app.as_admin("acme"));
        let tag = etag(&admin, &service).await;
        let delete = async |client: &Client<'_>, query: &str| {
            client.delete(format!("/services/{service}{query}")).if_match(&tag).await
        };
        assert_snapshot!(delete(&admin, "").await, @"
        409 Conflict
        conflict: Something is still provisioned in: made; deprovision it first.
        ");
        assert_snapshot!(delete(&developer, "?force=true").await, @"
        403 Forbidden
        forbidden: Only an admin of tenant `acme` deletes a service by force.
        ");
        assert_eq!(delete(&admin, "?force=perhaps").await.problem(), "invalid-query");
        assert_snapshot!(delete(&admin, "?force=true").await, @r#"
        200 OK
        {
          "deleted": "svc_#1",
          "remains": [
            {
              "at": "2026-09-21T14:13:20Z",
              "environment": "made",
              "module": "example",
              "operation": "op_#1",
              "state": "present"
            }
          ]
        }
        "#);
    }

    #[tokio::test]
    async fn what_protects_an_environment_goes_with_an_admin_only() {
        let (app, _, service) = with_shop().await;
        let developer = app.as_developer("acme");
        let tag = etag(&developer, &service).await;
        assert_snapshot!(developer.delete(format!("/services/{service}")).if_match(&tag).await, @"
        403 Forbidden
        forbidden: Only an admin of tenant `acme` takes away what protects an environment: `prod` itself.
        ");
        assert_eq!(etag(&developer, &service).await, tag);
    }

    #[tokio::test]
    async fn force_is_for_admins_also_where_nobody_needs_it() {
        let (app, _) = start().await;
        let developer = app.as_developer("acme");
        let service = create(&developer, &unprotected()).await;
        let tag = etag(&developer, &service).await;
        let delete = |query: &str| developer.delete(format!("/services/{service}{query}")).if_match(&tag);
        assert_eq!(delete("?force=true").await.problem(), "forbidden");
        assert_eq!(delete("?force=false").await.status, 200);
    }

    #[tokio::test]
    async fn is_for_developers_of_its_tenant() {
        let (app, _, service) = with_shop().await;
        let tag = etag(&app.as_viewer("acme"), &service).await;
        let delete =
            async |client: Client<'_>| client.delete(format!("/services/{service}")).if_match(&tag).await;
        assert_snapshot!(delete(app.as_person("dev", "acme=viewer,beta=developer")).await, @"
        403 Forbidden
        forbidden: Your role in tenant `acme` does not allow this.
        ");
        assert_snapshot!(delete(app.as_developer("beta")).await, @"
        404 Not Found
        not-found: There is no such service.
        ");
    }
}
