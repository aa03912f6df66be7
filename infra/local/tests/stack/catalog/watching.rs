//! Watching a service.

use crate::support::{
    Call, Client, Key, TestStack, catalog::deployed_by, events::EventReader, people::Person,
};

async fn watch(client: &Client, service: &str) -> EventReader {
    let call = Call::get(format!("/services/{service}/actions/status")).header("accept", "text/event-stream");
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
    let mut events = watch(&viewer, &service).await;
    let first = events.next().await.expect("an event");
    assert_eq!(first.json()["environments"][0]["running"]["id"], operation);
    platform.say(&service, &operation, "cancel").await.expect(202);
    let rest = events.rest().await;
    assert!(rest.last().expect("an end").is_end());
    let last = &rest[rest.len() - 2];
    assert_eq!(last.json()["environments"][0]["last_deploy"]["status"], "cancelled");
    stack.stop().await;
}
