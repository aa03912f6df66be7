//! Waiting for a database on a busy machine.

use std::time::Duration;

use aws_sdk_dynamodb::{Client, config::timeout::TimeoutConfig};

/// As long as API Gateway waits for an answer: nothing is gained by giving up before.
const PATIENCE: Duration = Duration::from_secs(29);

/// The same client, for a table on this machine. `DynamoDB` itself answers within milliseconds, or something
/// is wrong; one that shares two processors with a compiler takes its time.
pub fn patient(client: &Client) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(PATIENCE)
        .operation_attempt_timeout(PATIENCE)
        .operation_timeout(PATIENCE)
        .build();
    Client::from_conf(client.config().to_builder().timeout_config(timeouts).build())
}
