//! Watching a service.

use serde_json::json;

use crate::support::{
    Call, Client, Key, TestStack, catalog::deployed_by, events::EventReader, people::Person,
};

async fn watch(client: &Client, service: &str, last: Option<&str>) -> EventReader {
    let mut call =
        Call::get(format!("/services/{service}/actions/status")).header("accept", "text/event-stream");
    if let Some(last) = last {
        call = call.header("last-event-id", last);
    }
    let response = client.open(call).await.expect("it answers");
    assert_eq!(response.status(), 200);
    EventReader::new(response)
}

#[tokio::test]
async fn a_viewer_sees_every_change_until_nothing_goes_on() {
    let stack = TestStack::start_with_people().await;
    let platform = stack.client(&Key::PLATFORM);
    platform.put_script("waiting", "sleep 1000").await;
    let service = platform.create_service(&deployed_by("waiting")).await;
    let operation = platform.deploy(&service, "dev", "1").await;
    let viewer = stack.log_in(Person::VIEWER).await;
    let mut events = watch(&viewer, &service, None).await;
    let first = events.next().await.expect("an event");
    assert_eq!(first.json()["environments"][0]["running"]["id"], operation);
    platform.say(&service, &operation, "cancel").await.expect(202);
    let rest = events.rest().await;
    assert!(rest.last().expect("an end").is_end());
    let last = &rest[rest.len() - 2];
    assert_eq!(last.json()["environments"][0]["last_deploy"]["status"], "cancelled");
    stack.stop().await;
}

#[tokio::test]
async fn who_comes_back_reads_nothing_twice() {
    let stack = TestStack::start().await;
    let client = stack.client(&Key::PLATFORM);
    let service = client.create_service(&deployed_by("hello")).await;
    let operation = client.deploy(&service, "dev", "1").await;
    client.operation_is(&service, &operation, "succeeded").await;
    let mut events = watch(&client, &service, None).await;
    let all = events.rest().await;
    let [status, end] = &all[..] else { panic!("{} events", all.len()) };
    assert!(end.is_end());
    let seen = status.id.as_deref().expect("an id");
    let again = watch(&client, &service, Some(seen)).await.rest().await;
    assert_eq!(again.len(), 1, "only the end");
    let path = format!("/services/{service}/actions/status");
    let call = Call::get(path).header("accept", "text/event-stream").header("last-event-id", "end");
    client.send(call).await.expect(204);
    stack.stop().await;
}

#[tokio::test]
async fn deploys_are_shown_without_the_rest() {
    let stack = TestStack::start().await;
    let client = stack.client(&Key::PLATFORM);
    let service = client.create_service(&deployed_by("hello")).await;
    let operation = client.deploy(&service, "dev", "1").await;
    client.operation_is(&service, &operation, "succeeded").await;
    let shown = client.get(format!("/services/{service}/actions/deploy/status")).await.expect(200).json();
    let environment = &shown["environments"][0];
    assert_eq!(environment["deployed"]["version"], "1");
    assert_eq!(environment["last_deploy"]["status"], "succeeded");
    assert_eq!(environment.get("infrastructure"), None);
    assert_eq!(shown["service"], json!("by-hello"));
    stack.stop().await;
}
