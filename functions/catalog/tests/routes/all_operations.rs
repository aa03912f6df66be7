use gatehouse_domain::{
    access::Scope,
    catalog::Settled,
    operations::{TaskToken, change::WorkflowPorts, steer},
};
use gatehouse_testkit::app::{Answer, Client, TestApp};
use insta::assert_snapshot;
use serde_json::json;

use crate::{create, deploy, end, shop, shop_with, start, with_shop};

/// The ids of what a query lists.
async fn ids(client: &Client<'_>, query: &str) -> Vec<String> {
    let listed = client.get(format!("/v1/operations{query}")).await;
    let operations = listed.body["operations"].as_array().unwrap_or_else(|| panic!("{query}: {listed}"));
    operations.iter().map(|operation| operation["id"].as_str().expect("an id").to_owned()).collect()
}

/// Has a deploy wait for approval, as its workflow does.
async fn wait(app: &TestApp, operation: &str) {
    let (id, task) = (operation.parse().unwrap(), TaskToken::new("task".to_owned()).unwrap());
    let (store, clock) = (&*app.table.table, &*app.system);
    steer::await_approval(store, clock, WorkflowPorts::default(), &id, &task).await.unwrap();
}

mod list {
    use super::*;

    #[tokio::test]
    async fn has_what_one_needs_to_know_which_it_is() {
        let (app, _, service) = with_shop().await;
        deploy(&app, &service, "dev", "1").await;
        assert_snapshot!(app.as_viewer("acme").get("/v1/operations").await, @r#"
        200 OK
        {
          "operations": [
            {
              "environment": "dev",
              "id": "op_#1",
              "kind": "deploy",
              "project": "payments",
              "requested_at": "2026-09-21T14:13:20Z",
              "requested_by": "user:dev",
              "service": "shop",
              "service_id": "svc_#1",
              "since": "2026-09-21T14:13:20Z",
              "status": "queued",
              "tenant": "acme",
              "version": "1"
            }
          ]
        }
        "#);
        assert_snapshot!(app.as_viewer("beta").get("/v1/operations").await, @r#"
        200 OK
        {
          "operations": []
        }
        "#);
    }

    #[tokio::test]
    async fn is_narrowed_down_by_each_of_its_filters() {
        let (app, _, shop) = with_shop().await;
        let other = create(&app.as_developer("acme"), &shop_with(json!({ "name": "other" }))).await;
        let first = deploy(&app, &shop, "dev", "1").await;
        end(&app, &first, &Settled::default()).await;
        app.system.advance(std::time::Duration::from_millis(1));
        let second = deploy(&app, &other, "dev", "1").await;
        app.system.advance(std::time::Duration::from_millis(1));
        let third = deploy(&app, &shop, "prod", "1").await;
        wait(&app, &third).await;
        let viewer = app.as_viewer("acme");
        let cases: [(&str, &[&String]); 14] = [
            ("", &[&third, &second, &first]),
            ("?tenant=acme", &[&third, &second, &first]),
            ("?tenant=beta", &[]),
            (&format!("?service={shop}"), &[&third, &first]),
            ("?environment=dev", &[&second, &first]),
            ("?status=open", &[&third, &second]),
            ("?status=succeeded", &[&first]),
            ("?status=queued", &[&second]),
            ("?status=planning", &[]),
            ("?status=awaiting_approval", &[&third]),
            ("?kind=deploy&limit=2", &[&third, &second]),
            ("?kind=provision", &[]),
            ("?requested_by=user:dev", &[&third, &second, &first]),
            ("?requested_by=user:ada", &[]),
        ];
        for (query, expected) in cases {
            assert_eq!(ids(&viewer, query).await.iter().collect::<Vec<_>>(), expected, "{query}");
        }
    }

    #[tokio::test]
    async fn says_what_waits_for_whoever_asks() {
        let (app, _, shop) = with_shop().await;
        let operation = deploy(&app, &shop, "prod", "1").await;
        let waiting = async |client: Client<'_>| ids(&client, "?waiting_for=me").await;
        assert!(waiting(app.as_admin("acme")).await.is_empty(), "nobody is asked yet");
        let of_service = format!("?waiting_for=me&service={shop}");
        assert!(ids(&app.as_admin("acme"), &of_service).await.is_empty(), "nobody is asked yet");
        wait(&app, &operation).await;
        deploy(&app, &shop, "dev", "1").await;
        assert_eq!(ids(&app.as_admin("acme"), &of_service).await, [operation.as_str()]);
        assert_eq!(waiting(app.as_admin("acme")).await, [operation.as_str()]);
        assert!(waiting(app.as_developer("acme")).await.is_empty(), "they asked for it themselves");
        assert!(waiting(app.as_viewer("acme")).await.is_empty(), "their role is too small");
        assert!(waiting(app.as_admin("beta")).await.is_empty(), "it is not theirs to see");
        let approver = [Scope::CatalogRead, Scope::OperationsApprove];
        assert_eq!(waiting(app.as_api_key(&approver, "acme")).await, [operation.as_str()]);
        assert!(waiting(app.as_api_key(&[Scope::CatalogRead], "acme")).await.is_empty(), "not in its scopes");
        let path = format!("/services/{shop}/operations/{operation}/approve");
        assert_eq!(app.as_admin("acme").post(path).await.status, 200);
        assert!(waiting(app.as_admin("acme")).await.is_empty(), "somebody has decided");
    }

    #[tokio::test]
    async fn says_to_whoever_is_in_the_group_that_it_waits_for_them() {
        let (app, _) = start().await;
        let say_members = async |members: &[&str]| {
            let group = json!({
                "apiVersion": "backstage.io/v1alpha1", "kind": "Group", "metadata": { "name": "leads" },
                "spec": { "type": "team", "members": members },
            });
            let imported = app.as_admin("acme").post("/v1/catalog/import").json(&group).await;
            assert_eq!(imported.body["summary"]["refused"], 0, "{imported}");
        };
        say_members(&["grace"]).await;
        let mut body = shop();
        body["environments"][1]["approval_group"] = json!("leads");
        let shop = create(&app.as_developer("acme"), &body).await;
        let operation = deploy(&app, &shop, "prod", "1").await;
        wait(&app, &operation).await;
        let waiting = async |name: &str| ids(&app.as_person(name, "acme=developer"), "?waiting_for=me").await;
        assert_eq!(waiting("grace").await, [operation.as_str()]);
        assert!(waiting("heidi").await.is_empty(), "she is not in the group");
        let listed = app.as_viewer("acme").get("/v1/operations").await;
        assert_eq!(listed.body["operations"][0]["approval_group"], "group:default/leads");
        say_members(&["heidi"]).await;
        assert!(waiting("grace").await.is_empty(), "she has left it");
        assert_eq!(waiting("heidi").await, [operation.as_str()]);
    }

    #[tokio::test]
    async fn is_turned_page_by_page() {
        let (app, _, shop) = with_shop().await;
        let mut expected = Vec::new();
        for version in ["1", "2", "3"] {
            let operation = deploy(&app, &shop, "dev", version).await;
            end(&app, &operation, &Settled::default()).await;
            expected.insert(0, operation);
            app.system.advance(std::time::Duration::from_millis(1));
        }
        let (mut found, mut next) = (Vec::new(), Some("?limit=1&status=succeeded".to_owned()));
        while let Some(query) = next {
            let page: Answer = app.as_viewer("acme").get(format!("/v1/operations{query}")).await;
            let operations = page.body["operations"].as_array().expect("a list");
            assert!(operations.len() <= 1, "{page}");
            found.extend(operations.iter().map(|it| it["id"].as_str().expect("an id").to_owned()));
            let link = page.header("link").strip_prefix('<');
            next = link.and_then(|link| link.strip_suffix(">; rel=\"next\"")).map(str::to_owned);
            assert_eq!(next.is_some(), page.body["next_cursor"].is_string(), "{page}");
        }
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn is_refused_where_the_query_cannot_be_read() {
        let (app, _, _) = with_shop().await;
        let list = async |query: &str| app.as_viewer("acme").get(format!("/v1/operations{query}")).await;
        assert_snapshot!(list("?status=done").await, @"
        400 Bad Request
        invalid-query: `status` must be `open` or one of: queued, planning, awaiting_approval, applying, deploying, cancelling, succeeded, failed, cancelled, rejected, timed_out.
        ");
        assert_snapshot!(list("?waiting_for=user:ada").await, @"
        400 Bad Request
        invalid-query: `waiting_for` must be `me`.
        ");
        for query in ["?limit=0", "?cursor=x", "?kind=destroy", "?requested_by=", "?owner=a", "?service=shop"]
        {
            let refused = list(query).await;
            assert_eq!(
                (refused.status.as_u16(), refused.problem()),
                (400, "invalid-query"),
                "{query}: {refused}"
            );
        }
    }
}

mod show {
    use super::*;

    #[tokio::test]
    async fn is_the_operation_as_its_service_has_it() {
        let (app, _, service) = with_shop().await;
        let operation = deploy(&app, &service, "dev", "1").await;
        let viewer = app.as_viewer("acme");
        let found = viewer.get(format!("/v1/operations/{operation}")).await;
        assert_eq!(found.status, 200);
        assert_eq!(found.body, viewer.get(format!("/services/{service}/operations/{operation}")).await.body);
    }

    #[tokio::test]
    async fn one_of_others_does_not_exist() {
        let (app, _, service) = with_shop().await;
        let operation = deploy(&app, &service, "dev", "1").await;
        assert_snapshot!(app.as_viewer("beta").get(format!("/v1/operations/{operation}")).await, @"
        404 Not Found
        not-found: There is no such operation.
        ");
        let unknown = format!("op_{}", "0".repeat(operation.len() - 3));
        let missing = app.as_viewer("acme").get(format!("/v1/operations/{unknown}")).await;
        assert_eq!((missing.status.as_u16(), missing.problem()), (404, "not-found"));
        assert_eq!(app.as_viewer("acme").get("/v1/operations/op").await.problem(), "invalid-path");
    }
}
