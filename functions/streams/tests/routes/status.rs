use std::time::Duration;

use gatehouse_domain::{
    access::Scope,
    catalog::{
        Category, CreateService, DeployTarget, Deployed, EnvironmentSpec, FindService, Infrastructure,
        Provisioned, SaveService, SealedInput, SecretInputs, Service, Settled,
    },
    clock::Clock,
    operations::{Asked, BeginOutcome, Configuration, Operation, Work},
    revision::EditOutcome,
};
use gatehouse_testkit::app::{Call, TestApp, catalog as records};
use insta::assert_snapshot;
use jiff::Timestamp;
use serde_json::json;

use crate::{let_time_stand_still, start};

/// An environment that nobody provisions.
fn plain(name: &str, category: Category) -> EnvironmentSpec {
    EnvironmentSpec { module: None, category, ..records::environment(name) }
}

/// One that the module `example` provisions.
fn made() -> EnvironmentSpec {
    EnvironmentSpec { category: Category::Test, ..records::environment("made") }
}

/// The function, with the service `shop` of tenant `acme` that has these environments.
async fn with_environments(environments: Vec<EnvironmentSpec>) -> (TestApp, Service) {
    let (app, _) = start().await;
    let mut service = records::service(&app.table, "acme", "shop");
    service.spec.environments = environments;
    let entry = records::entry_of(&app.table, &service);
    let created = app.table.table.create_service(&service, None, &entry).await;
    assert!(matches!(created, Ok(CreateService::Created)), "{created:?}");
    (app, service)
}

/// The same with `dev`, with `prod`, where somebody has to approve, and with [`made`].
async fn with_shop() -> (TestApp, Service) {
    let prod = EnvironmentSpec { approval_required: true, ..plain("prod", Category::Prod) };
    with_environments(vec![plain("dev", Category::Dev), prod, made()]).await
}

/// Begins an operation as `user:dev`.
async fn begin(app: &TestApp, service: &Service, environment: &str, work: Work) -> Operation {
    let requested = Asked::by("user:dev", app.system.now());
    let operation = Operation { work, requested, ..records::operation(&app.table, service, environment) };
    let outcome = records::begin(&app.table, &operation, service).await;
    assert!(matches!(outcome, BeginOutcome::Begun), "{outcome:?}");
    operation
}

/// Begins a deploy to `dev`.
async fn deploy(app: &TestApp, service: &Service, version: &str) -> Operation {
    let target = DeployTarget::Job("ship".parse().expect("a job id"));
    begin(app, service, "dev", Work::Deploy { version: version.to_owned(), target }).await
}

/// A deploy to `dev` that ended well.
async fn deployed(app: &TestApp, service: &Service, version: &str) -> Operation {
    let operation = deploy(app, service, version).await;
    let (id, at) = (operation.id.clone(), operation.updated_at);
    let deployed = Deployed { operation: id, version: version.to_owned(), at };
    records::end(&app.table, &operation, &Settled { deployed: Some(deployed), ..Settled::default() }).await
}

/// Provisions `made` with this, which ends well.
async fn provisioned(app: &TestApp, service: &Service, given: Configuration) -> Operation {
    let operation = begin(app, service, "made", Work::Provision(given)).await;
    let present = records::present(&app.table, &operation);
    records::end(&app.table, &operation, &present).await
}

fn status<'a>(app: &'a TestApp, service: &Service) -> Call<'a> {
    app.as_viewer("acme").get(format!("/services/{}/actions/status", service.id))
}

/// The same as a stream, for somebody whose credential is in the table.
async fn watch<'a>(app: &'a TestApp, service: &Service) -> Call<'a> {
    let reader = app.key_on_record(Duration::from_hours(12)).await;
    let path = format!("/services/{}/actions/status", service.id);
    app.as_caller(reader).get(path).header("accept", "text/event-stream")
}

#[tokio::test]
async fn of_a_service_in_which_nothing_was_done() {
    let (app, service) = with_shop().await;
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
    let (app, service) = with_shop().await;
    let made = provisioned(&app, &service, records::configuration()).await;
    let last = deployed(&app, &service, "1").await;
    let running = deploy(&app, &service, "2").await;
    let shown = status(&app, &service).await;
    let [dev, _prod, shown_made] = &shown.body["environments"].as_array().expect("a list")[..] else {
        panic!("{shown}");
    };
    let of_last = json!({ "operation": last.id.as_str(), "version": "1", "at": "2026-09-21T14:13:20Z" });
    assert_eq!(dev["deployed"], of_last);
    assert_eq!(dev["running"]["id"], running.id.as_str());
    assert_eq!(dev["running"]["status"], "queued");
    assert_eq!(shown_made["infrastructure"]["state"], "present");
    assert_eq!(shown_made["infrastructure"]["operation"], made.id.as_str());
    assert_eq!(shown_made["last_provisioning"]["id"], made.id.as_str());
    assert_eq!(shown_made.get("running"), None);
}

#[tokio::test]
async fn says_when_what_is_provisioned_ends_and_is_looked_at_for_drift() {
    let looked_at = EnvironmentSpec { drift_hours: Some(24), ..made() };
    let (app, service) = with_environments(vec![looked_at]).await;
    let shown = async || status(&app, &service).await.body["environments"][0].clone();
    let before = shown().await;
    assert_eq!(
        (&before["drift_hours"], before.get("next_drift_check")),
        (&json!(24), None),
        "there is nothing"
    );
    let operation = begin(&app, &service, "made", Work::Provision(records::configuration())).await;
    let now = app.system.now();
    let ends_at = now + Duration::from_hours(8);
    let there = Provisioned { expires_at: Some(ends_at), ..records::provisioned(&app.table, &operation) };
    let settled = Settled { infrastructure: Some(Infrastructure::Present(there)), ..Settled::default() };
    records::end(&app.table, &operation, &settled).await;
    let after = shown().await;
    assert_eq!(after["infrastructure"]["ends_at"], ends_at.to_string());
    let next: Timestamp = after["next_drift_check"].as_str().expect("a time").parse().expect("a time");
    assert!(now < next && next <= now + Duration::from_hours(24), "{next}");
}

#[tokio::test]
async fn has_the_names_of_secret_inputs_and_no_more_of_them() {
    let (app, service) = with_shop().await;
    let sealed = json!({ "password": SealedInput::unverified("sealed-canary".to_owned()) });
    let secret_inputs: SecretInputs = serde_json::from_value(sealed).expect("secret inputs");
    let given = Configuration { secret_inputs, ..records::configuration() };
    provisioned(&app, &service, given).await;
    let shown = status(&app, &service).await;
    let last = &shown.body["environments"][2]["last_provisioning"];
    assert_eq!((&last["inputs"], &last["secret_inputs"]), (&json!({ "size": 3 }), &json!(["password"])));
    assert!(!shown.text.contains("canary"), "{shown}");
}

#[tokio::test]
async fn of_deploys_is_without_the_rest() {
    let (app, service) = with_shop().await;
    provisioned(&app, &service, records::configuration()).await;
    deployed(&app, &service, "1").await;
    let path = format!("/services/{}/actions/deploy/status", service.id);
    let shown = app.as_viewer("acme").get(path).await;
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
    let (app, service) = with_shop().await;
    for path in ["actions/status", "actions/deploy/status"] {
        let foreign = app.as_viewer("beta").get(format!("/services/{}/{path}", service.id)).await;
        assert_eq!(foreign.to_string(), "404 Not Found\nnot-found: There is no such service.");
        let foreign = app.as_viewer("beta").get(format!("/services/{}/{path}", service.id));
        assert_eq!(foreign.header("accept", "text/event-stream").await.problem(), "not-found");
        let viewer = app.as_viewer("acme");
        assert_eq!(viewer.get(format!("/services/shop/{path}")).await.problem(), "invalid-path");
        let refused = viewer.get(format!("/services/{}/{path}?full=1", service.id)).await;
        assert_eq!(refused.problem(), "invalid-query");
    }
}

#[tokio::test]
async fn is_for_those_who_may_read() {
    let (app, service) = with_shop().await;
    for path in ["actions/status", "actions/deploy/status"] {
        let path = format!("/services/{}/{path}", service.id);
        assert_eq!(app.anonymous().get(&path).await.problem(), "unauthorized");
        let admitting = [Scope::CatalogRead, Scope::All];
        let others: Vec<_> = Scope::ALL.iter().copied().filter(|scope| !admitting.contains(scope)).collect();
        assert_eq!(app.as_api_key(&others, "acme").get(&path).await.problem(), "forbidden");
        assert_eq!(app.as_service("acme", "payments", "worker").get(&path).await.problem(), "forbidden");
        assert_eq!(app.as_api_key(&[Scope::CatalogRead], "acme").get(&path).await.status, 200);
    }
}

mod stream {
    use super::*;

    #[tokio::test]
    async fn ends_where_nothing_goes_on_and_nobody_reads_twice() {
        let (app, service) = with_shop().await;
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
        let (app, service) = with_shop().await;
        let operation = deploy(&app, &service, "1").await;
        let_time_stand_still(&app);
        let mut events = watch(&app, &service).await.stream().await;
        let first = events.next().await.expect("an event");
        assert_eq!(first.data["environments"][0]["running"]["id"], operation.id.as_str());
        records::end(&app.table, &operation, &Settled::default()).await;
        let second = events.next().await.expect("an event");
        assert_eq!(second.data["environments"][0]["last_deploy"]["status"], "succeeded");
        assert_eq!(events.next().await.map(|event| event.event).as_deref(), Some("end"));
        assert_eq!(events.next().await, None);
    }

    #[tokio::test]
    async fn of_deploys_ends_while_something_is_provisioned() {
        let (app, service) = with_shop().await;
        begin(&app, &service, "made", Work::Provision(records::configuration())).await;
        let path = format!("/services/{}/actions/deploy/status", service.id);
        let answer =
            app.as_viewer("acme").get(path).header("accept", "text/html, text/event-stream;q=0.9").await;
        let types: Vec<_> = answer.events().into_iter().map(|event| event.event).collect();
        assert_eq!(types, ["status", "end"]);
    }

    #[tokio::test]
    async fn ends_when_the_service_is_deleted() {
        let (app, service) = with_shop().await;
        let operation = deploy(&app, &service, "1").await;
        let_time_stand_still(&app);
        let mut events = watch(&app, &service).await.stream().await;
        assert_eq!(events.next().await.map(|event| event.event).as_deref(), Some("status"));
        records::end(&app.table, &operation, &Settled::default()).await;
        let table = &app.table.table;
        let found = table.find_service(&service.id).await.expect("an answer").expect("a service");
        let states: Vec<_> = found.environments.into_values().collect();
        let entry = records::entry_of(&app.table, &service);
        let deleted = table.delete_service(&found.service, &states, &entry).await.expect("an outcome");
        assert_eq!(deleted, EditOutcome::Done);
        assert_eq!(events.next().await.map(|event| event.event).as_deref(), Some("end"));
        assert_eq!(events.next().await, None);
    }

    #[tokio::test]
    async fn asks_for_another_before_the_functions_time_is_up() {
        let (app, service) = with_shop().await;
        deploy(&app, &service, "1").await;
        let started = app.system.now();
        let_time_stand_still(&app);
        let answer = watch(&app, &service).await.await;
        let types: Vec<_> = answer.events().into_iter().map(|event| event.event).collect();
        assert_eq!(types, ["status", "reconnect"]);
        assert!(answer.text.contains("\n: alive"), "{}", answer.text);
        let lasted = app.system.now().duration_since(started);
        assert!(lasted.unsigned_abs() < Duration::from_mins(15), "{lasted:?}");
    }
}
