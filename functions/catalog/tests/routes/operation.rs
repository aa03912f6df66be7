use gatehouse_domain::{
    catalog::Settled,
    operations::{Effects, SaveOperation},
    revision::EditOutcome,
};
use gatehouse_testkit::app::TestApp;
use insta::assert_snapshot;
use serde_json::json;

use crate::{act, deploy, end, operation_of, record, with_shop};

mod list {
    use super::*;

    /// What the history says of versions, page by page, of one operation each.
    async fn versions(app: &TestApp, service: &str) -> Vec<String> {
        let (mut found, mut next) = (Vec::new(), Some("?limit=1".to_owned()));
        while let Some(query) = next {
            let page = app.as_viewer("acme").get(format!("/services/{service}/operations{query}")).await;
            let operations = page.body["operations"].as_array().expect("a list");
            assert!(operations.len() <= 1, "{page}");
            found.extend(operations.iter().map(|it| it["version"].as_str().expect("a version").to_owned()));
            let link =
                page.header("link").strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
            assert_eq!(link.is_some(), page.body["next_cursor"].is_string(), "{page}");
            next = link.map(str::to_owned);
        }
        found
    }

    #[tokio::test]
    async fn has_the_newest_first() {
        let (app, _, service) = with_shop().await;
        for version in ["1", "2", "3"] {
            let operation = deploy(&app, &service, "dev", version).await;
            end(&app, &operation, &Settled::default()).await;
            // An operation's id begins with the time, in milliseconds.
            app.system.advance(std::time::Duration::from_millis(1));
        }
        assert_eq!(versions(&app, &service).await, ["3", "2", "1"]);
    }

    #[tokio::test]
    async fn is_empty_before_anything_was_done() {
        let (app, _, service) = with_shop().await;
        let listed = app.as_viewer("acme").get(format!("/services/{service}/operations")).await;
        assert_snapshot!(listed, @r#"
        200 OK
        {
          "operations": []
        }
        "#);
    }

    #[tokio::test]
    async fn leaves_out_logs_and_nothing_else() {
        let (app, _, service) = with_shop().await;
        let operation = deploy(&app, &service, "dev", "1").await;
        let mut reported = record(&app, &operation).await;
        reported.version += 1;
        reported.log = vec!["two of five".to_owned()];
        let saved = app.table.table.save_operation(&reported, &Effects::default()).await;
        assert!(matches!(saved, Ok(EditOutcome::Done)), "{saved:?}");

        let path = format!("/services/{service}/operations");
        let listed = app.as_viewer("acme").get(&path).await;
        let mut shown = app.as_viewer("acme").get(format!("{path}/{operation}")).await;
        let whole = shown.body["operation"].as_object_mut().expect("an operation");
        assert_eq!(whole.remove("log"), Some(json!(["two of five"])));
        assert_eq!(listed.body["operations"], json!([whole]), "{listed}");
    }

    #[tokio::test]
    async fn is_refused_where_the_service_is_not_seen_or_the_query_not_read() {
        let (app, _, service) = with_shop().await;
        let list = async |tenant: &str, query: &str| {
            app.as_viewer(tenant).get(format!("/services/{service}/operations{query}")).await
        };
        assert_snapshot!(list("beta", "").await, @"
        404 Not Found
        not-found: There is no such service.
        ");
        for query in ["?limit=0", "?limit=101", "?cursor=x", "?status=failed"] {
            let refused = list("acme", query).await;
            assert_eq!(
                (refused.status.as_u16(), refused.problem()),
                (400, "invalid-query"),
                "{query}: {refused}"
            );
        }
        assert_eq!(app.as_viewer("acme").get("/services/shop/operations").await.problem(), "invalid-path");
    }
}

mod show {
    use super::*;

    #[tokio::test]
    async fn is_the_operation_as_it_was_asked_for() {
        let (app, _, service) = with_shop().await;
        let body = json!({ "environment": "dev", "version": "1" });
        let asked = act(&app.as_developer("acme"), &service, "deploy", &body).await;
        let path = format!("/services/{service}/operations/{}", operation_of(&asked));
        let shown = app.as_viewer("acme").get(path).await;
        assert_eq!(shown.status, 200);
        assert_eq!(shown.body["operation"]["requested_by"], "user:dev");
        // Its start was acknowledged since, which is nothing that is shown.
        assert_eq!(shown.body, asked.body);
    }

    #[tokio::test]
    async fn one_of_others_or_of_another_service_does_not_exist() {
        let (app, _, service) = with_shop().await;
        let operation = deploy(&app, &service, "dev", "1").await;
        let other =
            crate::create(&app.as_developer("acme"), &crate::shop_with(json!({ "name": "other" }))).await;
        let show = async |tenant: &str, service: &str, operation: &str| {
            app.as_viewer(tenant).get(format!("/services/{service}/operations/{operation}")).await
        };
        let foreign = show("beta", &service, &operation).await;
        assert_snapshot!(foreign, @"
        404 Not Found
        not-found: There is no such operation.
        ");
        assert_eq!(show("acme", &other, &operation).await.body, foreign.body);
        let unknown = format!("op_{}", "0".repeat(operation.len() - 3));
        assert_eq!(show("acme", &service, &unknown).await.body, foreign.body);
        assert_eq!(show("acme", &service, "op").await.problem(), "invalid-path");
        assert_eq!(show("acme", &service, &format!("{operation}?full=1")).await.problem(), "invalid-query");
    }
}
