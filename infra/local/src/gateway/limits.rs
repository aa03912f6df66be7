//! The limits of API Gateway and Lambda, as numbers that tests can make small.

use std::time::Duration;

/// What a request and an answer may measure.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request body.
    pub request_body: usize,
    /// Bytes of all header values of a request together.
    pub request_headers: usize,
    /// Bytes of the ARN that an authorizer judges.
    pub method_arn: usize,
    /// Bytes of the event that Lambda takes.
    pub event: usize,
    /// Bytes of the answer that Lambda gives whole.
    pub answer: usize,
    /// How long an integration may take where the route does not say.
    pub integration: Duration,
    /// How long an authorizer may take.
    pub authorizer: Duration,
    /// How long a stream may be silent.
    pub stream_silence: Duration,
    /// How long open requests may last after a shutdown was asked for; AWS has no such limit.
    pub shutdown: Duration,
}

impl Default for Limits {
    /// The numbers of AWS, for a regional endpoint.
    fn default() -> Self {
        Self {
            request_body: 10 * 1024 * 1024,
            request_headers: 10_240,
            method_arn: 1_600,
            event: 6 * 1024 * 1024,
            answer: 6_291_556,
            integration: Duration::from_secs(29),
            authorizer: Duration::from_secs(29),
            stream_silence: Duration::from_mins(5),
            shutdown: Duration::from_secs(2),
        }
    }
}
