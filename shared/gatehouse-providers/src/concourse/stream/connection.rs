//! A connection to the event stream of a build that has begun.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use gatehouse_domain::ci::{BuildId, CiError, CiErrorKind, Target};
use gatehouse_outbound::{SseEvent, SseParser};
use reqwest::{Response, header};

use crate::concourse::{
    client::Client,
    error::{About, Call, Effect},
    path,
};

/// What is tried, as failures name it.
pub(super) const OPERATION: &str = "watch the run";

/// The longest event that is kept, in bytes: Concourse cuts output into chunks of some kilobytes, and its
/// longest events are the plans of large pipelines.
pub(super) const MAX_EVENT: usize = 4 * 1024 * 1024;

/// A connection to an event stream.
pub(super) enum Connection {
    /// Nothing has come yet, not even headers.
    Opening(Pin<Box<dyn Future<Output = Result<Response, CiError>> + Send>>),
    Open(Box<ServerEvents>),
}

/// The events of an open stream.
pub(super) struct ServerEvents {
    response: Response,
    parser: SseParser,
    /// What was received and not read yet.
    received: Bytes,
}

/// What came next of a connection.
pub(super) enum Next {
    Opened(Response),
    Event(SseEvent),
    /// It failed with this, or was cut.
    Lost(Option<CiError>),
    Silence,
}

impl Connection {
    pub(super) fn open(
        client: Arc<Client>,
        target: &Target,
        build: &BuildId,
        last: Option<u64>,
    ) -> Result<Self, CiError> {
        let target = path::pipeline_job(target, OPERATION)?.clone();
        let number = path::build_number(build, OPERATION)?;
        let build = build.clone();
        Ok(Self::Opening(Box::pin(async move {
            let call =
                Call { operation: OPERATION, about: About::Build(&target, &build), effect: Effect::Reads };
            let path = format!("/api/v1/builds/{number}/events");
            admit(client.stream(&call, &path, last).await?)
        })))
    }

    pub(super) async fn next(&mut self) -> Next {
        match self {
            Self::Opening(opening) => match opening.await {
                Ok(response) => Next::Opened(response),
                Err(error) => Next::Lost(Some(error)),
            },
            Self::Open(events) => events.next().await.map_or(Next::Lost(None), Next::Event),
        }
    }
}

impl ServerEvents {
    pub(super) fn new(response: Response) -> Self {
        Self { response, parser: SseParser::new(MAX_EVENT), received: Bytes::new() }
    }

    /// The next event of what was received; `None` when more has to come first.
    pub(super) fn ready(&mut self) -> Option<SseEvent> {
        self.parser.next(&mut self.received)
    }

    /// The next event; `None` when the connection is gone. Concourse does not close streams: whoever did,
    /// it was not their end.
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.ready() {
                return Some(event);
            }
            self.received = self.response.chunk().await.ok()??;
        }
    }
}

/// Refuses an answer that is no event stream, or one that cannot be read line by line.
fn admit(response: Response) -> Result<Response, CiError> {
    let header =
        |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let encoding = header(header::CONTENT_ENCODING);
    let advice = if !header(header::CONTENT_TYPE).starts_with("text/event-stream") {
        "what stands before Concourse answers event streams with something else"
    } else if !matches!(encoding, "" | "identity") {
        "what stands before Concourse compresses event streams, which were asked for as they are"
    } else {
        return Ok(response);
    };
    Err(CiError::new(CiErrorKind::Protocol, OPERATION, advice))
}
