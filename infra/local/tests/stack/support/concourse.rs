//! A twin of Concourse as a provider.

use gatehouse_testkit::concourse::ConcourseTwin;
use serde_json::{Value, json};

use super::client::{Answer, Call, Client};

/// Ids that discovery gives to the jobs of the example.
pub const HELLO: &str = "example-pipeline-hello-job";
pub const SLOW: &str = "example-pipeline-slow-job";
pub const FAILING: &str = "example-pipeline-failing-job";

/// The settings that fit the example.
pub fn settings(twin: &ConcourseTwin) -> Value {
    json!({
        "kind": "concourse",
        "url": twin.url(),
        "auth": { "grant": "password", "username": "ci-gateway", "password": "s3cret" },
        "open_to_all": true,
    })
}

pub async fn register(client: &Client, twin: &ConcourseTwin) {
    client.send(Call::put("/v1/providers/concourse").json(&settings(twin))).await.expect(201);
}

/// Proposes the twin's jobs.
pub async fn discover(client: &Client) -> Answer {
    client.send(Call::post("/v1/jobs/discover").json(&json!({ "project": "concourse" }))).await
}

/// Imports what was discovered, as it is.
pub async fn import(client: &Client, discovered: &Answer) -> Value {
    let call = Call::post("/v1/jobs/import?tenant=example").body("application/json", discovered.body.clone());
    let report = client.send(call).await.expect(200).json();
    assert_eq!(report["summary"]["refused"], 0, "{report}");
    report
}

/// Registers the twin and imports all its jobs.
pub async fn set_up(client: &Client, twin: &ConcourseTwin) {
    register(client, twin).await;
    let discovered = discover(client).await.expect(200);
    import(client, &discovered).await;
}
