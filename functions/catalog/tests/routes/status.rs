use std::time::Duration;

use gatehouse_domain::{
    catalog::{Deployed, Settled},
    clock::Clock,
};
use gatehouse_testkit::app::{Call, TestApp};
use insta::assert_snapshot;
use jiff::Timestamp;
use serde_json::json;

use crate::{create, deploy, end, provision, record, shop_with, start, with_shop};

/// A deploy to `dev` that ended well.
async fn deployed(app: &TestApp, service: &str, version: &str) -> String {
    let operation = deploy(app, service, "dev", version).await;
    let (id, at) = (operation.parse().expect("an id"), record(app, &operation).await.updated_at);
    let deployed = Deployed { operation: id, version: version.to_owned(), at };
    end(app, &operation, &Settled { deployed: Some(deployed), ..Settled::default() }).await;
    operation
}

fn status<'a>(app: &'a TestApp, service: &str) -> Call<'a> {
    app.as_viewer("acme").get(format!("/services/{service}/actions/status"))
}

/// The same as a stream, for somebody whose credential is in the table.
async fn watch<'a>(app: &'a TestApp, service: &str) -> Call<'a> {
    let reader = app.key_on_record(Duration::from_hours(12)).await;
    let path = format!("/services/{service}/actions/status");
    app.as_caller(reader).get(path).header("accept", "text/event-stream")
}

/// From here on, time passes only when a stream and the look after its reader both sleep.
fn let_time_stand_still(app: &TestApp) {
    app.system.announce(2);
}

#[tokio::test]
async fn of_a_service_in_which_nothing_was_done() {
    let (app, _, service) = with_shop().await;
    assert_snapshot!(status(&app, &service).await, @r#"
    200 OK
    {
      "environments": [
        {
          "approval_required": false,
          "category": "dev",
          "infrastructure": {
            "state": "absent"
          },
          "name": "dev"
        },
        {
          "approval_required": true,
          "category": "prod",
          "infrastructure": {
            "state": "absent"
          },
          "name": "prod"
        },
        {
          "approval_required": false,
          "category": "test",
          "infrastructure": {
            "state": "absent"
          },
          "name": "made"
        }
      ],
      "service": "shop",
      "service_id": "svc_#1"
    }
    "#);
}

#[tokio::test]
async fn has_what_is_deployed_and_provisioned_and_what_goes_on() {
    let (app, _, service) = with_shop().await;
    let provisioned = provision(&app, &service).await;
    let last = deployed(&app, &service, "1").await;
    let running = deploy(&app, &service, "dev", "2").await;
    let shown = status(&app, &service).await;
    let [dev, _prod, made] = &shown.body["environments"].as_array().expect("a list")[..] else {
        panic!("{shown}");
    };
    assert_eq!(dev["deployed"], json!({ "operation": last, "version": "1", "at": "2026-09-21T14:13:20Z" }));
    assert_eq!(dev["running"]["id"], running);
    assert_eq!(dev["running"]["status"], "queued");
    assert_eq!(made["infrastructure"]["state"], "present");
    assert_eq!(made["infrastructure"]["operation"], provisioned);
    assert_eq!(made["last_provisioning"]["id"], provisioned);
    assert_eq!(made.get("running"), None);
}

#[tokio::test]
async fn says_when_what_is_provisioned_is_looked_at_for_drift() {
    let (app, _) = start().await;
    let looked_at = |hours: Option<u32>| {
        let made = json!({ "name": "made", "category": "test", "module": "example", "drift_hours": hours });
        shop_with(json!({ "environments": [made] }))
    };
    let service = create(&app.as_developer("acme"), &looked_at(Some(24))).await;
    let made = async || status(&app, &service).await.body["environments"][0].clone();
    let before = made().await;
    assert_eq!(
        (&before["drift_hours"], before.get("next_drift_check")),
        (&json!(24), None),
        "there is nothing"
    );
    provision(&app, &service).await;
    let next: Timestamp = made().await["next_drift_check"].as_str().expect("a time").parse().expect("a time");
    let (now, day) = (app.system.now(), Duration::from_hours(24));
    assert!(now < next && next <= now + day, "{next}");
    // An edit that leaves the hours alone leaves the time alone, and one that takes them away takes it away.
    let put = async |body: &serde_json::Value| {
        let path = format!("/services/{service}");
        let etag = app.as_viewer("acme").get(&path).await.header("etag").to_owned();
        app.as_developer("acme").put(&path).header("if-match", &etag).json(body).await
    };
    app.system.advance(Duration::from_hours(30));
    assert_eq!(put(&looked_at(Some(24))).await.status, 200);
    let component = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": { "name": "shop" },
        "spec": { "type": "service", "lifecycle": "production", "owner": "team-a" },
    });
    let imported = app.as_developer("acme").post("/v1/catalog/import").json(&component).await;
    assert_eq!(imported.status, 200, "{imported}");
    let path = format!("/services/{service}");
    let described = app.as_viewer("acme").get(&path).await;
    assert_eq!(described.body["service"]["described_by"], "component:default/shop", "{described}");
    assert_eq!(made().await["next_drift_check"], next.to_string());
    assert_eq!(put(&looked_at(None)).await.status, 200);
    let after = made().await;
    assert_eq!((after.get("drift_hours"), after.get("next_drift_check")), (None, None));
}

#[tokio::test]
async fn of_deploys_is_without_the_rest() {
    let (app, _, service) = with_shop().await;
    provision(&app, &service).await;
    deployed(&app, &service, "1").await;
    let shown = app.as_viewer("acme").get(format!("/services/{service}/actions/deploy/status")).await;
    let environment = &shown.body["environments"][0];
    assert_eq!(environment["deployed"]["version"], "1");
    assert_eq!(environment["last_deploy"]["status"], "succeeded");
    assert_eq!(environment.get("infrastructure"), None);
    assert_eq!(shown.body["service"], "shop");
    assert_snapshot!(shown, @r#"
    200 OK
    {
      "environments": [
        {
          "deployed": {
            "at": "2026-09-21T14:13:20Z",
            "operation": "op_#1",
            "version": "1"
          },
          "last_deploy": {
            "approval": {
              "required": false
            },
            "deadline": "2026-09-21T22:13:20Z",
            "ended_at": "2026-09-21T14:13:20Z",
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
            "status": "succeeded",
            "steps": [],
            "tenant": "acme",
            "updated_at": "2026-09-21T14:13:20Z",
            "version": "1"
          },
          "name": "dev"
        },
        {
          "name": "prod"
        },
        {
          "name": "made"
        }
      ],
      "service": "shop",
      "service_id": "svc_#1"
    }
    "#);
}

#[tokio::test]
async fn is_refused_where_the_service_is_not_seen() {
    let (app, _, service) = with_shop().await;
    for path in ["actions/status", "actions/deploy/status"] {
        let foreign = app.as_viewer("beta").get(format!("/services/{service}/{path}")).await;
        assert_eq!(foreign.to_string(), "404 Not Found\nnot-found: There is no such service.");
        let foreign = app.as_viewer("beta").get(format!("/services/{service}/{path}"));
        assert_eq!(foreign.header("accept", "text/event-stream").await.problem(), "not-found");
        let viewer = app.as_viewer("acme");
        assert_eq!(viewer.get(format!("/services/shop/{path}")).await.problem(), "invalid-path");
        assert_eq!(viewer.get(format!("/services/{service}/{path}?full=1")).await.problem(), "invalid-query");
    }
}

mod stream {
    use super::*;

    #[tokio::test]
    async fn ends_where_nothing_goes_on_and_nobody_reads_twice() {
        let (app, _, service) = with_shop().await;
        deployed(&app, &service, "1").await;
        let all = watch(&app, &service).await.await;
        assert_eq!(
            (all.status.as_u16(), all.header("content-type")),
            (200, "text/event-stream; charset=utf-8")
        );
        let events = all.events();
        let [shown, end] = &events[..] else { panic!("{events:?}") };
        assert_eq!((&*shown.event, &shown.data), ("status", &status(&app, &service).await.body));
        assert_eq!((&*end.event, end.id.as_deref(), &end.data), ("end", Some("end"), &json!({})));
        let seen = shown.id.as_deref().expect("an id");
        let again = watch(&app, &service).await.last_event_id(seen).await.events();
        assert_eq!(again, std::slice::from_ref(end), "only the end");
        let done = watch(&app, &service).await.last_event_id("end").await;
        assert_eq!((done.status.as_u16(), done.text.as_str()), (204, ""));
        // What is new is shown to them all the same.
        deployed(&app, &service, "2").await;
        let news = watch(&app, &service).await.last_event_id(seen).await.events();
        assert_eq!(news[0].data["environments"][0]["deployed"]["version"], "2");
    }

    #[tokio::test]
    async fn shows_each_change_until_nothing_goes_on() {
        let (app, _, service) = with_shop().await;
        let operation = deploy(&app, &service, "dev", "1").await;
        let_time_stand_still(&app);
        let mut events = watch(&app, &service).await.stream().await;
        let first = events.next().await.expect("an event");
        assert_eq!(first.data["environments"][0]["running"]["id"], operation);
        let cancel = format!("/services/{service}/operations/{operation}/cancel");
        assert_eq!(app.as_developer("acme").post(cancel).await.status, 202);
        let second = events.next().await.expect("an event");
        assert_eq!(second.data["environments"][0]["last_deploy"]["status"], "cancelled");
        assert_eq!(events.next().await.map(|event| event.event).as_deref(), Some("end"));
        assert_eq!(events.next().await, None);
    }

    #[tokio::test]
    async fn of_deploys_ends_while_something_is_provisioned() {
        let (app, _, service) = with_shop().await;
        let body = json!({ "environment": "made" });
        let asked = crate::act(&app.as_developer("acme"), &service, "provision", &body).await;
        assert_eq!(asked.status, 202, "{asked}");
        let path = format!("/services/{service}/actions/deploy/status");
        let answer =
            app.as_viewer("acme").get(path).header("accept", "text/html, text/event-stream;q=0.9").await;
        let types: Vec<_> = answer.events().into_iter().map(|event| event.event).collect();
        assert_eq!(types, ["status", "end"]);
    }

    #[tokio::test]
    async fn ends_when_the_service_is_deleted() {
        let (app, _, service) = with_shop().await;
        let operation = deploy(&app, &service, "dev", "1").await;
        let_time_stand_still(&app);
        let mut events = watch(&app, &service).await.stream().await;
        assert_eq!(events.next().await.map(|event| event.event).as_deref(), Some("status"));
        end(&app, &operation, &Settled::default()).await;
        let admin = app.as_admin("acme");
        let shown = admin.get(format!("/services/{service}")).await;
        let deleted = admin.delete(format!("/services/{service}")).if_match(shown.etag()).await;
        assert_eq!(deleted.status, 200, "{deleted}");
        assert_eq!(events.next().await.map(|event| event.event).as_deref(), Some("end"));
        assert_eq!(events.next().await, None);
    }

    #[tokio::test]
    async fn asks_for_another_before_the_functions_time_is_up() {
        let (app, _, service) = with_shop().await;
        deploy(&app, &service, "dev", "1").await;
        let started = gatehouse_domain::clock::Clock::now(&*app.system);
        let_time_stand_still(&app);
        let answer = watch(&app, &service).await.await;
        let types: Vec<_> = answer.events().into_iter().map(|event| event.event).collect();
        assert_eq!(types, ["status", "reconnect"]);
        assert!(answer.text.contains("\n: alive"), "{}", answer.text);
        let lasted = gatehouse_domain::clock::Clock::now(&*app.system).duration_since(started);
        assert!(lasted.unsigned_abs() < Duration::from_mins(15), "{lasted:?}");
    }
}
