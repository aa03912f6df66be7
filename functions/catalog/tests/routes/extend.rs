use std::time::Duration;

use gatehouse_domain::catalog::{Infrastructure, Provisioned, Settled};
use gatehouse_testkit::app::{Answer, TestApp, catalog as records};
use serde_json::json;

use crate::{act, create, operation_of, record, shop_with, standing, start};

/// A service whose environment `short` lives for ten hours since now.
async fn with_short() -> (TestApp, String) {
    let (app, _) = start().await;
    let environments = json!([
        { "name": "short", "category": "dev", "module": "example", "ttl_hours": 10 },
        { "name": "lasting", "category": "dev", "module": "example" },
    ]);
    let service =
        create(&app.as_developer("acme"), &shop_with(json!({ "environments": environments }))).await;
    let body = json!({ "environment": "short" });
    let asked = act(&app.as_developer("acme"), &service, "provision", &body).await;
    let operation = record(&app, &operation_of(&asked)).await;
    let expires_at = Some(operation.requested.at + Duration::from_hours(10));
    let made = Provisioned { expires_at, ..records::provisioned(&app.table, &operation) };
    let settled = Settled { infrastructure: Some(Infrastructure::Present(made)), ..Settled::default() };
    records::end(&app.table, &operation, &settled).await;
    (app, service)
}

async fn extend(app: &TestApp, service: &str, environment: &str, hours: u32) -> Answer {
    let body = json!({ "environment": environment, "hours": hours });
    act(&app.as_developer("acme"), service, "extend", &body).await
}

/// When `short`, the first of the environments, ends.
async fn end(app: &TestApp, service: &str) -> String {
    let short = standing(app, service).await.remove(0).state;
    let Infrastructure::Present(made) = short.infrastructure else { panic!("{short:#?}") };
    made.expires_at.expect("an end").to_string()
}

#[tokio::test]
async fn moves_the_end_as_far_as_the_time_to_live_allows() {
    let (app, service) = with_short().await;
    let before = end(&app, &service).await;
    let early = extend(&app, &service, "short", 10).await;
    assert_eq!((early.status.as_u16(), early.problem()), (409, "conflict"), "{early}");
    assert_eq!(end(&app, &service).await, before);
    app.system.advance(Duration::from_hours(4));
    let extended = extend(&app, &service, "short", 10).await;
    assert_eq!(extended.status, 200, "{extended}");
    let after = end(&app, &service).await;
    assert_eq!(extended.body, json!({ "environment": "short", "ends_at": after }));
    assert!(after > before, "{after}");
    for hours in [0, 11] {
        let refused = extend(&app, &service, "short", hours).await;
        assert_eq!(refused.status, 422, "{refused}");
    }
    assert_eq!(end(&app, &service).await, after);
}

#[tokio::test]
async fn is_refused_where_nothing_ends_or_something_goes_on() {
    let (app, service) = with_short().await;
    app.system.advance(Duration::from_hours(4));
    assert_eq!(extend(&app, &service, "lasting", 1).await.problem(), "conflict");
    assert_eq!(extend(&app, &service, "nowhere", 1).await.status, 422);
    let body = json!({ "environment": "short", "hours": 9 });
    let viewer = act(&app.as_viewer("acme"), &service, "extend", &body).await;
    assert_eq!(viewer.problem(), "forbidden");
    let body = json!({ "environment": "short" });
    act(&app.as_developer("acme"), &service, "deprovision", &body).await;
    let before = end(&app, &service).await;
    assert_eq!(extend(&app, &service, "short", 9).await.problem(), "conflict");
    assert_eq!(end(&app, &service).await, before);
}
