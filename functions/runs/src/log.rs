//! The log of a run as plain text.

use std::{sync::Arc, time::Duration};

use async_stream::stream;
use axum::{
    body::Body,
    extract::State,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use gatehouse_domain::{
    ci::{EventStream, ProviderDirectory, RunEvent, RunEventBody, RunStatus},
    clock::Clock,
    runs::RunId,
};
use gatehouse_http::{
    Problem,
    extract::{PathParameter, QueryParameters},
    gateway::Deadline,
    problem::ProblemBody,
    stream::{Admission, Cut, Reader},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{AppState, plain_text::PlainText};

/// How long a run that has not ended may be silent before what there is now is taken for all there is.
const CAUGHT_UP: Duration = Duration::from_secs(1);

/// The run's status when the log was asked for: whether this is all of it.
const RUN_STATUS: HeaderName = HeaderName::from_static("gatehouse-run-status");

/// How much of the log is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// Wait for what a run that goes on still writes; without it, what there is now.
    #[serde(default)]
    follow: bool,
}

/// Shows the log of a run as plain text, without escape sequences, streamed as it is read.
///
/// The header `Gatehouse-Run-Status` says how the run stood when the log was asked for: of a run that has
/// not ended, it may be a part.
#[utoipa::path(
    get, path = "/v1/runs/{run_id}/log", operation_id = "show_run_log", tag = "runs",
    params(("run_id" = String, Path, description = "The run's id."), LogQuery),
    responses(
        (status = 200, description = "The log.", content_type = "text/plain"),
        (status = 404, description = "There is no such run.", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    reader: Reader,
    PathParameter(id): PathParameter<RunId>,
    QueryParameters(query): QueryParameters<LogQuery>,
    deadline: Deadline,
) -> Result<Response, Problem> {
    let run = state.show(&reader.caller, &id).await?.run;
    let provider = state.providers.provider(&run.provider).await.map_err(Problem::provider_lookup)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (RUN_STATUS, HeaderValue::from_static(run.status.as_str())),
    ];
    if run.status == RunStatus::Queued && !query.follow {
        return Ok((headers, Body::empty()).into_response());
    }
    let admission = Admission::new(state.table, state.system.clone(), reader, run.tenant);
    let log = Log {
        events: provider.events(run.target, run.build, None),
        patience: (!query.follow && !run.status.is_terminal()).then_some(CAUGHT_UP),
        clock: state.system,
        deadline,
    };
    Ok((headers, admission.body(log.into_stream(), Cut::line)).into_response())
}

struct Log {
    events: EventStream,
    /// How long to wait for more; for ever without it.
    patience: Option<Duration>,
    clock: Arc<dyn Clock>,
    deadline: Deadline,
}

impl Log {
    /// A log that cannot be read to its end says so in its last line. The transfer itself is ended cleanly:
    /// Lambda would otherwise write its own words about the failure into the text.
    fn into_stream(mut self) -> impl Stream<Item = Bytes> + Send {
        stream! {
            let mut plain = PlainText::default();
            while let Some(event) = self.next().await {
                match event {
                    Ok(RunEvent { body: RunEventBody::Log { step, stream, text }, .. }) => {
                        let text = plain.push(step, stream, &text);
                        if !text.is_empty() {
                            yield Bytes::from(text);
                        }
                    }
                    Ok(RunEvent { body: RunEventBody::Error { message, .. }, .. }) => {
                        yield Bytes::from(format!("{message}\n"));
                    }
                    Ok(RunEvent { body: RunEventBody::End, .. }) => break,
                    Ok(_) => {}
                    Err(error) => {
                        yield Bytes::from(format!("\n[the log is cut here: {}]\n", error.advice));
                        break;
                    }
                }
            }
        }
    }

    async fn next(&mut self) -> Option<Result<RunEvent, gatehouse_domain::ci::CiError>> {
        let wait = match (self.patience, self.deadline.time_left(self.clock.now())) {
            (Some(patience), Some(left)) => patience.min(left),
            (Some(wait), None) | (None, Some(wait)) => wait,
            (None, None) => return self.events.next().await,
        };
        tokio::select! {
            biased;
            event = self.events.next() => event,
            () = self.clock.sleep(wait) => None,
        }
    }
}
