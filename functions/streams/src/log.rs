//! The log of a run as plain text.

use std::{collections::HashMap, sync::Arc, time::Duration};

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
    ci::{
        BuildId, CiError, CiProvider, EventStream, ProviderDirectory, RunEvent, RunEventBody, RunStatus,
        StepPhase, Target,
    },
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
use utoipa::{IntoParams, ToSchema};

use crate::{
    AppState,
    plain_text::{PlainText, printable},
};

/// How long a run that has not ended may be silent before what there is now is taken for all there is.
const CAUGHT_UP: Duration = Duration::from_secs(1);

/// How long the first event of a run that has begun may take: it is there, and only has to be fetched.
const FIRST_EVENT: Duration = Duration::from_secs(20);

/// How long it may take to ask the CI system whether it is there.
const ASKING: Duration = Duration::from_secs(10);

/// How many steps are remembered.
const MAX_STEPS: usize = 10_000;

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
    /// Only what this step wrote: its id or its name, as the run's events have them.
    step: Option<String>,
    /// What stands before each line.
    #[param(inline)]
    prefix: Option<Prefix>,
}

/// What stands before each line of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Prefix {
    /// The step that wrote it: `[task unit] `.
    Steps,
}

/// Shows the log of a run as plain text, without escape sequences and controls, streamed as it is read.
///
/// Lines come whole, also where several steps write at the same time: those of each step in their order.
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
    let run = state.run(&reader.caller, &id).await?;
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
        events: provider.clone().events(run.target.clone(), run.build.clone(), None),
        catch_up: (!query.follow && !run.status.is_terminal()).then_some(CatchUp {
            wait: FIRST_EVENT,
            provider,
            target: run.target,
            build: run.build,
        }),
        clock: state.system,
        deadline,
        text: PlainText::default(),
        steps: Steps { wanted: query.step, prefix: query.prefix, labels: HashMap::new() },
    };
    Ok((headers, admission.body(log.into_stream(), Cut::line)).into_response())
}

struct Log {
    events: EventStream,
    /// Without it, the run's end is waited for.
    catch_up: Option<CatchUp>,
    clock: Arc<dyn Clock>,
    deadline: Deadline,
    text: PlainText,
    steps: Steps,
}

/// How long more is waited for, and who says whether silence means that there is no more.
struct CatchUp {
    wait: Duration,
    provider: Arc<dyn CiProvider>,
    target: Target,
    build: BuildId,
}

/// What came next of a log.
enum Next {
    Event(RunEvent),
    /// The end, or the time is up.
    Over,
    Cut(CiError),
}

impl Log {
    /// A log that cannot be read to its end says so in its last line. The transfer itself is ended cleanly:
    /// Lambda would otherwise write its own words about the failure into the text.
    fn into_stream(mut self) -> impl Stream<Item = Bytes> + Send {
        stream! {
            loop {
                match self.next().await {
                    Next::Event(event) => {
                        let text = self.take(event.body);
                        if !text.is_empty() {
                            yield Bytes::from(text);
                        }
                    }
                    Next::Over => {
                        yield Bytes::from(self.rest());
                        break;
                    }
                    Next::Cut(error) => {
                        let mut text = self.rest();
                        let cut = format!("[the log is cut here: {}]", error.advice);
                        text.push_str(&self.text.message("", &cut));
                        yield Bytes::from(text);
                        break;
                    }
                }
            }
        }
    }

    /// What there is to read of an event.
    fn take(&mut self, body: RunEventBody) -> String {
        match body {
            RunEventBody::Log { step, stream, text } if self.steps.wants(step.as_deref()) => {
                self.text.push(step.as_deref(), stream, &self.steps.mark(step.as_deref()), &text)
            }
            RunEventBody::Error { step, message } if self.steps.wants(step.as_deref()) => {
                let mark = self.steps.mark(step.as_deref());
                let rest = step.map(|step| self.text.finish(&step, &mark));
                rest.unwrap_or_default() + &self.text.message(&mark, &message)
            }
            RunEventBody::Step { step, name, phase, facts } => {
                self.steps.note(&step, facts.kind, name);
                match phase {
                    StepPhase::Finished { .. } => self.text.finish(&step, &self.steps.mark(Some(&step))),
                    StepPhase::Preparing | StepPhase::Started => String::new(),
                }
            }
            _ => String::new(),
        }
    }

    fn rest(&mut self) -> String {
        self.text.end(|step| self.steps.mark(step))
    }

    async fn next(&mut self) -> Next {
        let wait = self.catch_up.as_ref().map(|catch_up| catch_up.wait);
        let left = self.deadline.time_left(self.clock.now());
        let event = match (wait, left) {
            (None, None) => self.events.next().await,
            (wait, left) => {
                let pause = wait.into_iter().chain(left).min().unwrap_or_default();
                tokio::select! {
                    biased;
                    event = self.events.next() => event,
                    () = self.clock.sleep(pause) => return match &self.catch_up {
                        Some(catch_up) if left.is_none_or(|left| left > catch_up.wait + ASKING) => {
                            catch_up.doubt().await
                        }
                        _ => Next::Over,
                    },
                }
            }
        };
        match event {
            None | Some(Ok(RunEvent { body: RunEventBody::End, .. })) => Next::Over,
            Some(Ok(event)) => {
                if let Some(catch_up) = &mut self.catch_up {
                    catch_up.wait = CAUGHT_UP;
                }
                Next::Event(event)
            }
            Some(Err(error)) => Next::Cut(error),
        }
    }
}

impl CatchUp {
    /// Silence means that there is no more, unless the CI system is away: then the stream is silent too, while it is
    /// opened again.
    async fn doubt(&self) -> Next {
        match self.provider.build(&self.target, &self.build).await {
            Ok(_) => Next::Over,
            Err(error) => Next::Cut(error),
        }
    }
}

/// The steps of a run, as far as its log shows them.
struct Steps {
    /// The id or the name of the only one that is wanted.
    wanted: Option<String>,
    prefix: Option<Prefix>,
    /// Kind and name, by id.
    labels: HashMap<String, (Option<String>, Option<String>)>,
}

impl Steps {
    fn note(&mut self, step: &str, kind: Option<String>, name: Option<String>) {
        if self.labels.len() < MAX_STEPS || self.labels.contains_key(step) {
            self.labels.insert(step.to_owned(), (kind, name));
        }
    }

    fn wants(&self, step: Option<&str>) -> bool {
        let Some(wanted) = self.wanted.as_deref() else { return true };
        let name = step.and_then(|step| self.labels.get(step)?.1.as_deref());
        step == Some(wanted) || name == Some(wanted)
    }

    /// `[task unit] `, or nothing where marks are not wanted. A step whose name is not known is called by its id.
    fn mark(&self, step: Option<&str>) -> String {
        let (Some(Prefix::Steps), Some(step)) = (self.prefix, step) else { return String::new() };
        let label = match self.labels.get(step) {
            Some((Some(kind), Some(name))) => format!("{kind} {name}"),
            Some((None, Some(name))) => name.clone(),
            _ => step.to_owned(),
        };
        format!("[{}] ", printable(&label))
    }
}
