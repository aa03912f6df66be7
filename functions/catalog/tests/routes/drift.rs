//! What edits do to the looks for drift that nobody asks for.

use std::time::Duration;

use gatehouse_domain::clock::Clock;
use gatehouse_testkit::app::TestApp;
use serde_json::{Value, json};

use crate::{create, provision, shop_with, standing, start};

/// A service whose environment `made` is looked at for drift once in so many hours.
fn looked_at(hours: Option<u32>) -> Value {
    let made = json!({ "name": "made", "category": "test", "module": "example", "drift_hours": hours });
    shop_with(json!({ "environments": [made] }))
}

/// When `made`, the only environment, is looked at next.
async fn next(app: &TestApp, service: &str) -> Option<jiff::Timestamp> {
    standing(app, service).await.remove(0).next_drift_check
}

#[tokio::test]
async fn an_edit_that_leaves_the_hours_alone_leaves_the_time_alone() {
    let (app, _) = start().await;
    let service = create(&app.as_developer("acme"), &looked_at(Some(24))).await;
    assert_eq!(next(&app, &service).await, None, "there is nothing");
    provision(&app, &service).await;
    let due = next(&app, &service).await.expect("a time");
    let (now, day) = (app.system.now(), Duration::from_hours(24));
    assert!(now < due && due <= now + day, "{due}");
    let path = format!("/services/{service}");
    let put = async |body: &Value| {
        let etag = app.as_viewer("acme").get(&path).await.etag().to_owned();
        app.as_developer("acme").put(&path).if_match(&etag).json(body).await
    };
    app.system.advance(Duration::from_hours(30));
    assert_eq!(put(&looked_at(Some(24))).await.status, 200);
    let component = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": { "name": "shop" },
        "spec": { "type": "service", "lifecycle": "production", "owner": "team-a" },
    });
    let imported = app.as_developer("acme").post("/v1/catalog/import").json(&component).await;
    assert_eq!(imported.status, 200, "{imported}");
    let described = app.as_viewer("acme").get(&path).await;
    assert_eq!(described.body["service"]["described_by"], "component:default/shop", "{described}");
    assert_eq!(next(&app, &service).await, Some(due));
    // One that takes the hours away takes the time away.
    assert_eq!(put(&looked_at(None)).await.status, 200);
    assert_eq!(next(&app, &service).await, None);
}
