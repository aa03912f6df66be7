//! Concourse's build events, and what each is in the words of the domain.
//!
//! Reading is lenient: Concourse keeps events of every version that it ever was, and each version adds
//! types. What cannot be read is skipped, never an error.

mod names;
mod origin;
mod progress;
#[cfg(test)]
mod tests;
mod wire;

use gatehouse_domain::ci::{LogStream, RunEventBody, StepFacts, StepPhase};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use self::{
    names::StepNames,
    origin::Step,
    progress::{Closed, Progress},
    wire::Data,
};
use super::status;

/// The envelope of an event: what can be known before its type is.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) kind: String,
    /// The number in Concourse's database, from 7.4 on.
    pub(super) number: Option<u64>,
}

#[derive(Deserialize)]
struct RawEnvelope {
    event: String,
    event_id: Option<EventId>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum EventId {
    Number(u64),
    Text(String),
}

impl Envelope {
    /// Whether what it means depends on what the plan says of steps.
    pub(super) fn names_steps(&self) -> bool {
        !matches!(self.kind.as_str(), "status" | "log")
    }
}

/// Something that an event means.
#[derive(Debug, PartialEq)]
pub(super) struct Meaning {
    pub(super) body: RunEventBody,
    pub(super) time: Option<Timestamp>,
}

/// Reads the envelope of an event; `None` when `json` is none.
pub(super) fn envelope(json: &[u8]) -> Option<Envelope> {
    let raw: RawEnvelope = serde_json::from_slice(json).ok()?;
    let number = raw.event_id.and_then(|id| match id {
        EventId::Number(number) => Some(number),
        EventId::Text(text) => text.parse().ok(),
    });
    Some(Envelope { kind: raw.event, number })
}

/// Reads the events of one build, in their order from the first on: what an event means depends on those before it.
#[derive(Debug, Default)]
pub(super) struct EventReader {
    names: StepNames,
    progress: Progress,
}

impl EventReader {
    /// Takes the build's plan, which has the names of its steps.
    pub(super) fn add_plan(&mut self, plan: &Value) {
        self.names.add_plan(plan);
    }

    /// What the event `json` of type `kind` means: nothing when it means nothing to anybody, or cannot be read.
    /// Before what it says itself stands what follows from it: that other steps have ended.
    pub(super) fn read(&mut self, kind: &str, json: &[u8]) -> Vec<Meaning> {
        let Some(data) = data::<Data>(json) else { return Vec::new() };
        let at = time(data.time);
        let ended = self.ended_before(kind, &data);
        let mut bodies: Vec<_> = ended.into_iter().map(|closed| self.closed(closed)).collect();
        bodies.extend(self.body(kind, data));
        bodies.into_iter().map(|body| Meaning { body, time: at }).collect()
    }

    /// The steps that have not ended when the build has.
    pub(super) fn end(&mut self) -> Vec<RunEventBody> {
        let closed = self.progress.close_all();
        closed.into_iter().map(|closed| self.closed(closed)).collect()
    }

    fn ended_before(&mut self, kind: &str, data: &Data) -> Vec<Closed> {
        match kind {
            "error" => Vec::new(),
            "status" if data.status.as_deref().is_some_and(|status| status::common(status).is_terminal()) => {
                self.progress.close_all()
            }
            _ => {
                let step = data.origin.step();
                self.progress.close_failing(step.as_ref().map(|step| step.id.as_str()))
            }
        }
    }

    fn closed(&self, Closed { id, succeeded }: Closed) -> RunEventBody {
        self.tell(id, StepPhase::Finished { exit_status: None, succeeded }, StepFacts::default())
    }

    fn body(&mut self, kind: &str, data: Data) -> Option<RunEventBody> {
        match kind {
            "log" => log(data),
            "status" => {
                let provider_status = data.status?;
                let status = status::common(&provider_status);
                Some(RunEventBody::Status { status, provider_status, reason: None })
            }
            "error" => Some(self.error(data)),
            "across-substeps" => {
                self.names.add_substeps(&data.origin.step()?.id, &data.substeps);
                None
            }
            _ => self.step(kind, data),
        }
    }

    fn error(&mut self, data: Data) -> RunEventBody {
        let message = data.message.unwrap_or_else(|| "an error without a message".to_owned());
        let step = data.origin.step().map(|step| step.id);
        if let Some(step) = &step {
            self.progress.fail(step, &message);
        }
        RunEventBody::Error { step, message }
    }

    fn step(&mut self, kind: &str, mut data: Data) -> Option<RunEventBody> {
        let step = step_of(kind, &data)?;
        let happened = Happened::of(kind)?;
        if let Some((kind, name)) = &step.said {
            self.names.add(&step.id, kind, name);
        } else if let Some(name) = data.name.as_deref().or(data.plan["name"].as_str()) {
            self.names.add(&step.id, kind.rsplit('-').next().unwrap_or_default(), name);
        }
        if matches!(kind, "image-check" | "image-get" | "sub-get-var") {
            self.names.add_plan_of(&step.id, &data.plan);
        }
        if matches!(kind, "input" | "output") {
            // What they got or put stands in a member of its own in the first version of these events.
            data.version.extend(std::mem::take(&mut data.input.version));
            data.metadata.extend(std::mem::take(&mut data.input.metadata));
        }
        let phase = self.advance(&step.id, happened, &data);
        let facts = facts(kind, data);
        Some(self.tell(step.id, phase, facts))
    }

    /// Notes how far a step is now.
    fn advance(&mut self, id: &str, happened: Happened, data: &Data) -> StepPhase {
        match happened {
            Happened::Initialized => {
                self.progress.prepare(id);
                StepPhase::Preparing
            }
            Happened::Started => {
                self.progress.start(id);
                StepPhase::Started
            }
            Happened::Finished => {
                self.progress.finish(id);
                finished(data)
            }
            // Gets and puts choose their worker after they have started.
            Happened::Something if self.progress.touch(id) => StepPhase::Started,
            Happened::Something => StepPhase::Preparing,
            Happened::Brought => StepPhase::Finished { exit_status: None, succeeded: Some(true) },
        }
    }

    fn tell(&self, step: String, phase: StepPhase, facts: StepFacts) -> RunEventBody {
        let known = self.names.facts(&step);
        let facts = StepFacts { kind: known.kind, attempt: known.attempt, across: known.across, ..facts };
        RunEventBody::Step { name: self.names.name(&step), step, phase, facts: Box::new(facts) }
    }
}

fn data<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    #[derive(Deserialize)]
    struct Carrier<T> {
        data: T,
    }
    serde_json::from_slice::<Carrier<T>>(json).ok().map(|carrier| carrier.data)
}

/// Which step an event is of. In builds from before there were steps, one command ran.
fn step_of(kind: &str, data: &Data) -> Option<Step> {
    let name = || data.plan["name"].as_str().unwrap_or(&data.input.name);
    match kind {
        "initialize" | "start" | "finish" => Some(data.origin.step().unwrap_or_else(Step::run)),
        "input" => Some(Step::of("get", name())),
        "output" => Some(Step::of("put", name())),
        _ => data.origin.step(),
    }
}

/// What an event says of its step.
#[derive(Debug, Clone, Copy)]
enum Happened {
    Initialized,
    /// Something that makes it neither start nor end.
    Something,
    Started,
    Finished,
    /// It got or put something, and nothing else is ever said of it.
    Brought,
}

impl Happened {
    /// `None` for types that say nothing of steps, or are not known yet.
    fn of(kind: &str) -> Option<Self> {
        match kind {
            "initialize-task" | "initialize-get" | "initialize-put" | "initialize-check" | "initialize" => {
                Some(Self::Initialized)
            }
            "waiting-for-worker"
            | "selected-worker"
            | "streaming-volume"
            | "waiting-for-streamed-volume"
            | "image-check"
            | "image-get"
            | "sub-get-var"
            | "set-pipeline-changed" => Some(Self::Something),
            "start-task" | "start-get" | "start-put" | "start" => Some(Self::Started),
            "finish-task" | "finish-get" | "finish-put" | "finish" => Some(Self::Finished),
            "input" | "output" => Some(Self::Brought),
            _ => None,
        }
    }
}

/// What an event says of its step beside how far that is.
fn facts(kind: &str, data: Data) -> StepFacts {
    let detail = detail(kind, &data);
    let image = Some(data.config.image.clone()).filter(|image| !image.is_empty());
    StepFacts {
        detail,
        worker: data.selected_worker,
        command: data.config.command(),
        image,
        version: data.version,
        metadata: data.metadata.into_iter().map(Into::into).collect(),
        changed: data.changed,
        ..StepFacts::default()
    }
}

fn detail(kind: &str, data: &Data) -> Option<String> {
    let detail = match kind {
        "waiting-for-worker" => "waiting for a worker",
        "selected-worker" => return Some(format!("on worker {}", data.selected_worker.as_ref()?)),
        "streaming-volume" | "waiting-for-streamed-volume" => return Some(streaming(data)),
        "image-check" => "looking for its image",
        "image-get" => "fetching its image",
        "sub-get-var" => "fetching a variable",
        "set-pipeline-changed" if data.changed == Some(true) => "the pipeline has changed",
        "set-pipeline-changed" => "the pipeline has not changed",
        _ => return None,
    };
    Some(detail.to_owned())
}

fn streaming(data: &Data) -> String {
    match (&data.volume, &data.source_worker) {
        (Some(volume), Some(worker)) => format!("streaming {volume} from worker {worker}"),
        (Some(volume), None) => format!("waiting for {volume} to be streamed"),
        (None, _) => "streaming a volume".to_owned(),
    }
}

fn log(data: Data) -> Option<RunEventBody> {
    let stream =
        if data.origin.source.as_deref() == Some("stderr") { LogStream::Stderr } else { LogStream::Stdout };
    let text = data.payload.filter(|text| !text.is_empty())?;
    Some(RunEventBody::Log { step: data.origin.step().map(|step| step.id), stream, text })
}

/// `finish` of today says whether the step succeeded; everything else states an exit status.
fn finished(data: &Data) -> StepPhase {
    let succeeded = data.succeeded.or(data.exit_status.map(|status| status == 0));
    StepPhase::Finished { exit_status: data.exit_status, succeeded }
}

/// Old events have no time, or 0.
fn time(seconds: Option<i64>) -> Option<Timestamp> {
    seconds.filter(|seconds| *seconds > 0).and_then(|seconds| Timestamp::from_second(seconds).ok())
}
