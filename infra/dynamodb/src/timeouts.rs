use std::time::Duration;

use aws_sdk_dynamodb::{Client, config::timeout::TimeoutConfig};

/// As long as API Gateway waits for an answer: nothing is gained by giving up before.
const TIMEOUT: Duration = Duration::from_secs(29);

/// The same client with timeouts of 29 s. `DynamoDB` itself answers within milliseconds, or something is
/// wrong; this one may share two processors with a compiler.
pub fn with_long_timeouts(client: &Client) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(TIMEOUT)
        .operation_attempt_timeout(TIMEOUT)
        .operation_timeout(TIMEOUT)
        .build();
    Client::from_conf(client.config().to_builder().timeout_config(timeouts).build())
}
