//! What happens in a run, as server-sent events.
//!
//! The stream opens at once and is kept alive by comments. It ends itself with `reconnect` before the
//! function's time is up; a reader comes back with `Last-Event-ID` and misses nothing. Every event that has
//! a place in the CI system's own stream carries it as its id.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_core::Stream;
use futures_util::{FutureExt, StreamExt, stream};
use gatehouse_domain::{
    ci::{
        CiError, CiErrorKind, EventStream, LogStream, Position, ProviderDirectory, RunEvent, RunEventBody,
        RunStatus, StepFacts, StepPhase,
    },
    clock::Clock,
    error::Chain,
    runs::{RecordRun, Run, RunId},
};
use gatehouse_http::{
    Problem,
    extract::{PathParameter, QueryParameters, single},
    gateway::Deadline,
    problem::{INVALID_HEADER, ProblemBody},
    sse::{self, frame},
    stream::{Admission, Cut, Reader},
    views::ReasonView,
};
use gatehouse_store::Table;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::IntoParams;

use crate::AppState;

/// What precedes a position in an id, so that an id is never empty and never [`sse::END`].
const ID_PREFIX: &str = "e";

/// Where to start, for readers that cannot send a header.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// The id of the last event that was read; the header `Last-Event-ID` wins over it.
    after: Option<String>,
}

/// Streams what happens in a run, from its beginning or from `Last-Event-ID` on, until it ends.
///
/// Events are `status`, `step`, `log`, `error`, `reconnect` and `end`. After `end` nothing more comes, and a
/// reader that comes back all the same is told so by 204. An `end` with a `reason` is the reader's: their
/// credential has ended, or their role does not allow this any more, or the run cannot be watched, as the `error`
/// before it says. `reconnect` alone asks to come back.
#[utoipa::path(
    get, path = "/v1/runs/{run_id}/events", operation_id = "stream_run_events", tag = "runs",
    params(
        ("run_id" = String, Path, description = "The run's id."), EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was read."),
    ),
    responses(
        (status = 200, description = "The events.", content_type = "text/event-stream"),
        (status = 204, description = "The reader has seen everything."),
        (status = 404, description = "There is no such run.", body = ProblemBody),
    )
)]
pub(crate) async fn stream(
    State(state): State<AppState>,
    reader: Reader,
    PathParameter(id): PathParameter<RunId>,
    QueryParameters(query): QueryParameters<EventsQuery>,
    headers: HeaderMap,
    deadline: Deadline,
) -> Result<Response, Problem> {
    let last = single(&headers, "last-event-id")?.map(str::to_owned).or(query.after);
    let after = match last.as_deref() {
        None | Some("") => None,
        Some(sse::END) => return Ok(StatusCode::NO_CONTENT.into_response()),
        Some(id) => Some(read_id(id)?),
    };
    let run = state.run(&reader.caller, &id).await?;
    let provider = state.providers.provider(&run.provider).await.map_err(Problem::provider_lookup)?;
    let mut events = provider.events(run.target.clone(), run.build.clone(), after.clone()).fuse();
    // That no event has this id is known at once, and said before a stream begins.
    let first = after.and_then(|_| events.next().now_or_never().flatten());
    if let Some(Err(CiError { kind: CiErrorKind::Refused, .. })) = first {
        return Err(unknown_id());
    }
    let (table, clock) = (state.table.clone(), state.system.clone());
    let admission = Admission::new(table, clock, reader, run.tenant.clone());
    let source = Source {
        events: Box::pin(stream::iter(first).chain(events)),
        run,
        table: state.table,
        clock: state.system,
        deadline,
    };
    Ok((sse::headers(), admission.body(source.into_stream(), Cut::event)).into_response())
}

fn read_id(id: &str) -> Result<Position, Problem> {
    let position = id.strip_prefix(ID_PREFIX).filter(|position| {
        (1..=64).contains(&position.len()) && position.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    position.map(|position| Position(position.to_owned())).ok_or_else(unknown_id)
}

fn unknown_id() -> Problem {
    Problem::new(INVALID_HEADER, "`Last-Event-ID` is no id of an event of this stream.")
}

/// Where the events come from, and what is to be done with them.
struct Source {
    events: EventStream,
    run: Run,
    table: Arc<Table>,
    clock: Arc<dyn Clock>,
    deadline: Deadline,
}

/// What the stream waited for.
enum Next {
    Event(Option<Result<RunEvent, CiError>>),
    Silence,
    Deadline,
}

impl Source {
    fn into_stream(mut self) -> impl Stream<Item = Bytes> + Send {
        async_stream::stream! {
            yield sse::OPENING;
            loop {
                match self.next().await {
                    Next::Silence => yield sse::ALIVE,
                    Next::Deadline => {
                        yield sse::reconnect();
                        break;
                    }
                    Next::Event(Some(Ok(event))) => {
                        let ended = event.body == RunEventBody::End;
                        self.note(&event).await;
                        yield render(&self.run, event);
                        if ended {
                            break;
                        }
                    }
                    Next::Event(Some(Err(error))) if error.kind == CiErrorKind::NotFound => {
                        yield self.tell_gone(error).await;
                        break;
                    }
                    Next::Event(Some(Err(error))) => {
                        yield failure(&error);
                        break;
                    }
                    Next::Event(None) => {
                        yield sse::reconnect();
                        break;
                    }
                }
            }
        }
    }

    async fn next(&mut self) -> Next {
        let left = self.deadline.time_left(self.clock.now());
        let wait = left.map_or(sse::HEARTBEAT, |left| left.min(sse::HEARTBEAT));
        tokio::select! {
            biased;
            event = self.events.next() => Next::Event(event),
            () = self.clock.sleep(wait) => match left {
                Some(left) if left <= sse::HEARTBEAT => Next::Deadline,
                _ => Next::Silence,
            },
        }
    }

    /// Writes down how the run ended, so that lists need not ask. A failure loses nothing: the next reader
    /// sees the same.
    async fn note(&mut self, event: &RunEvent) {
        let RunEventBody::Status { status, provider_status, reason } = &event.body else { return };
        if !status.is_terminal() || self.run.status.is_terminal() {
            return;
        }
        self.run.status = *status;
        self.run.provider_status.clone_from(provider_status);
        self.run.reason.clone_from(reason);
        self.run.finished_at = event.time;
        self.record().await;
    }

    /// The end of a run whose build the CI system no longer has.
    async fn tell_gone(&mut self, error: CiError) -> Bytes {
        let message = error.advice.clone();
        if !self.run.status.is_terminal() {
            self.run = self.run.clone().gone(error.advice);
            self.record().await;
        }
        let Run { status, provider_status, reason, .. } = self.run.clone();
        let bodies = [
            RunEventBody::Error { step: None, message },
            RunEventBody::Status { status, provider_status, reason },
            RunEventBody::End,
        ];
        let events = bodies.map(|body| RunEvent { position: None, body, time: None });
        events.into_iter().flat_map(|event| render(&self.run, event)).collect()
    }

    /// Writes down how the run stands. (`&mut`, since events cannot be shared between threads.)
    async fn record(&mut self) {
        if let Err(error) = self.table.record_observation(&self.run).await {
            tracing::warn!(run_id = %self.run.id, error = %Chain(&error), "could not record how run {} ended", self.run.id);
        }
    }
}

/// Why the stream fails, and whether to come back: a reader that does as `reconnect` says must not come back for
/// ever to what will not go away.
fn failure(error: &CiError) -> Bytes {
    let retryable = error.kind.is_retryable();
    let data = json!({ "message": error.advice, "retryable": retryable });
    let mut bytes = frame("error", None, &data).to_vec();
    let end = || frame("end", None, &json!({ "reason": "cannot_be_watched" }));
    bytes.extend(if retryable { sse::reconnect() } else { end() });
    bytes.into()
}

/// One event as readers get it.
fn render(run: &Run, event: RunEvent) -> Bytes {
    let id = event.position.map(|position| format!("{ID_PREFIX}{}", position.0));
    let id = id.as_deref();
    let time = event.time;
    match event.body {
        RunEventBody::Status { status, provider_status, reason } => {
            let status = shown(run, status, time);
            frame("status", id, &StatusData { status, provider_status, reason: reason.map(Into::into), time })
        }
        RunEventBody::Step { step, name, phase, facts } => {
            frame("step", id, &StepData { phase: phase.into(), facts, step, name, time })
        }
        RunEventBody::Log { step, stream, text } => frame("log", id, &LogData { step, stream, text, time }),
        RunEventBody::Error { step, message } => {
            frame("error", id, &json!({ "step": step, "message": message, "time": time }))
        }
        RunEventBody::End => frame("end", Some(sse::END), &json!({ "status": run.status })),
    }
}

/// A run that was asked to stop and has not ended is `cancelling`, whatever the CI system calls it; but not what it
/// was before anybody asked.
fn shown(run: &Run, status: RunStatus, time: Option<Timestamp>) -> RunStatus {
    let asked = run.cancel_requested_at.is_some_and(|asked_at| time.is_none_or(|time| time >= asked_at));
    if asked && !status.is_terminal() { RunStatus::Cancelling } else { status }
}

#[derive(Serialize)]
struct StatusData {
    status: RunStatus,
    provider_status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
}

#[derive(Serialize)]
struct LogData {
    step: Option<String>,
    stream: LogStream,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
}

#[derive(Serialize)]
struct StepData {
    step: String,
    name: Option<String>,
    #[serde(flatten)]
    phase: PhaseData,
    #[serde(flatten)]
    facts: Box<StepFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
enum PhaseData {
    Preparing,
    Started,
    Finished { exit_status: Option<i64>, succeeded: Option<bool> },
}

impl From<StepPhase> for PhaseData {
    fn from(phase: StepPhase) -> Self {
        match phase {
            StepPhase::Preparing => Self::Preparing,
            StepPhase::Started => Self::Started,
            StepPhase::Finished { exit_status, succeeded } => Self::Finished { exit_status, succeeded },
        }
    }
}
