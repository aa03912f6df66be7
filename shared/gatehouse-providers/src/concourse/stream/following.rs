//! Following the event stream of a build that has begun.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use gatehouse_domain::ci::{BuildId, CiError, CiErrorKind, Position, RunEvent, RunEventBody, Target};
use gatehouse_outbound::{SseEvent, SseParser};
use reqwest::{Response, header};

use super::{OPERATION, Phase, Watch};
use crate::concourse::{
    ConcourseProvider,
    error::{About, Call, Effect},
    events::{self, Envelope},
    path, runs, status,
};

/// After how much silence Concourse is asked whether the build has ended: a wake-up of the stream can get
/// lost there.
const WATCHDOG: Duration = Duration::from_mins(1);

/// After how much silence a build whose end was seen is left: after a forced abort more may follow.
const QUIET_AFTER_END: Duration = Duration::from_secs(2);

/// The longest event that is kept, in bytes: Concourse cuts output into chunks of some kilobytes, and its
/// longest events are the plans of large pipelines.
const MAX_EVENT: usize = 4 * 1024 * 1024;

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
enum Next {
    Opened(Response),
    Event(SseEvent),
    /// It failed with this, or was cut.
    Lost(Option<CiError>),
    Silence,
}

impl Connection {
    pub(super) fn open(
        provider: Arc<ConcourseProvider>,
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
            admit(provider.client.stream(&call, &path, last).await?)
        })))
    }

    async fn next(&mut self) -> Next {
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
    /// The next event of what was received; `None` when more has to come first.
    fn ready(&mut self) -> Option<SseEvent> {
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

impl Watch {
    /// Takes what comes next of the stream.
    pub(super) async fn follow(&mut self) -> Result<(), CiError> {
        match self.next_of_stream().await {
            Next::Opened(response) => {
                let events =
                    ServerEvents { response, parser: SseParser::new(MAX_EVENT), received: Bytes::new() };
                self.phase = Phase::Following(Connection::Open(Box::new(events)));
                Ok(())
            }
            Next::Event(event) if event.name == "end" => self.reach_end().await,
            Next::Event(event) => {
                self.take(&event);
                Ok(())
            }
            Next::Lost(error) => self.reopen(error),
            Next::Silence => self.doubt_silence().await,
        }
    }

    async fn next_of_stream(&mut self) -> Next {
        let Phase::Following(connection) = &mut self.phase else { return Next::Lost(None) };
        // Most events come with others, and need no clock.
        if let Connection::Open(events) = connection
            && let Some(event) = events.ready()
        {
            return Next::Event(event);
        }
        let patience = if self.ended { QUIET_AFTER_END } else { WATCHDOG };
        tokio::select! {
            biased;
            next = connection.next() => next,
            () = self.provider.clock.sleep(patience) => Next::Silence,
        }
    }

    /// Tells what an event means, unless it was told before.
    fn take(&mut self, event: &SseEvent) {
        let json = event.data.as_deref();
        let envelope = json.and_then(events::envelope);
        let number = envelope.as_ref().and_then(|it| it.number);
        let number = number.or_else(|| event.id.as_deref().and_then(|id| id.parse().ok()));
        if number.is_some() && number <= self.last {
            return;
        }
        self.backoff.reset();
        self.last = number.or(self.last);
        let position = number.map(|number| Position(number.to_string()));
        match (json, envelope) {
            (Some(json), Some(envelope)) => self.take_event(json, &envelope, position),
            (Some(_), None) => {}
            (None, _) => {
                let message = format!("an event of more than {MAX_EVENT} bytes was left out");
                self.tell(RunEventBody::Error { step: None, message }, position);
            }
        }
    }

    fn take_event(&mut self, json: &[u8], envelope: &Envelope, position: Option<Position>) {
        let names = self.names.get_or_insert_default();
        let Some(meaning) = events::meaning(&envelope.kind, json, names) else { return };
        if let RunEventBody::Status { status, .. } = &meaning.body {
            self.ended |= status.is_terminal();
        }
        self.ready.push_back(RunEvent { position, body: meaning.body, time: meaning.time });
    }

    /// Ends the watch where the stream ends. A stream without the event that ends the build is one that was
    /// resumed behind it, or whose events were deleted.
    async fn reach_end(&mut self) -> Result<(), CiError> {
        if self.ended {
            self.tell_end();
            return Ok(());
        }
        let client = &self.provider.client;
        let build = runs::find(client, &self.target, &self.build, OPERATION).await?.build;
        if build.reap_time.is_some() {
            self.tell_forgotten(&build);
        } else if !status::common(&build.status).is_terminal() {
            return self.reopen(None);
        } else {
            if !self.resumed {
                self.tell_status(&build, None);
            }
            self.tell_end();
        }
        Ok(())
    }

    /// Opens the stream again behind the last event, unless the build has ended and only silence is left,
    /// or too many tries brought nothing.
    fn reopen(&mut self, error: Option<CiError>) -> Result<(), CiError> {
        self.phase = Phase::Closed;
        let error = error.unwrap_or_else(|| {
            let base = self.provider.client.base();
            let advice = format!("the event stream of Concourse at {base} is cut again and again");
            CiError::new(CiErrorKind::Unavailable, OPERATION, advice)
        });
        match self.try_again(error) {
            Err(_) if self.ended => {
                self.tell_end();
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Finds out what silence means: that all was told, that the build goes on, or that a wake-up was lost.
    /// Then a new connection brings the rest; when even that is silent, the build's own status has to do.
    async fn doubt_silence(&mut self) -> Result<(), CiError> {
        if self.ended {
            self.tell_end();
            return Ok(());
        }
        let client = &self.provider.client;
        let build = match runs::find(client, &self.target, &self.build, OPERATION).await {
            Ok(found) => found.build,
            Err(error) if error.kind.is_retryable() => return Ok(()),
            Err(error) => return Err(error),
        };
        if !status::common(&build.status).is_terminal() {
            return Ok(());
        }
        if std::mem::replace(&mut self.silent_after_end, true) {
            self.tell_status(&build, None);
            self.tell_end();
        } else {
            self.phase = Phase::Closed;
        }
        Ok(())
    }
}
