//! Concourse's build events, and what each is in the words of the domain.
//!
//! Reading is lenient: Concourse keeps events of every version that it ever was, and each version adds
//! types. What cannot be read is skipped, never an error.

use gatehouse_domain::ci::{LogStream, RunEventBody, StepPhase};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    plan::{StepNames, Substep},
    status,
};

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

/// What an event means.
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

/// What the event `json` of type `kind` means; `None` when it means nothing to anybody, or cannot be read.
pub(super) fn meaning(kind: &str, json: &[u8], names: &mut StepNames) -> Option<Meaning> {
    match kind {
        "log" => log(data(json)?),
        "status" => Some(status(data(json)?)),
        "error" => Some(error(data(json)?)),
        "across-substeps" => {
            names.add_substeps(&data::<Across>(json)?.substeps);
            None
        }
        _ => step(kind, &data(json)?, names),
    }
}

fn data<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    #[derive(Deserialize)]
    struct Carrier<T> {
        data: T,
    }
    serde_json::from_slice::<Carrier<T>>(json).ok().map(|carrier| carrier.data)
}

/// Where an event comes from. Old ones name the step instead of its id.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Origin {
    id: Option<Value>,
    name: Option<String>,
    source: Option<String>,
}

impl Origin {
    fn step(&self) -> Option<String> {
        let id = match &self.id {
            Some(Value::String(id)) => Some(id.clone()),
            Some(Value::Number(id)) => Some(id.to_string()),
            _ => None,
        };
        id.or_else(|| self.name.clone()).filter(|step| !step.is_empty())
    }
}

#[derive(Deserialize)]
struct Log {
    time: Option<i64>,
    origin: Option<Origin>,
    payload: Option<String>,
}

fn log(log: Log) -> Option<Meaning> {
    let origin = log.origin.unwrap_or_default();
    let stream =
        if origin.source.as_deref() == Some("stderr") { LogStream::Stderr } else { LogStream::Stdout };
    let text = log.payload.filter(|text| !text.is_empty())?;
    Some(Meaning { body: RunEventBody::Log { step: origin.step(), stream, text }, time: time(log.time) })
}

#[derive(Deserialize)]
struct Status {
    status: String,
    time: Option<i64>,
}

fn status(event: Status) -> Meaning {
    let status = status::common(&event.status);
    let body = RunEventBody::Status { status, provider_status: event.status, reason: None };
    Meaning { body, time: time(event.time) }
}

#[derive(Deserialize)]
struct Failure {
    message: Option<String>,
    origin: Option<Origin>,
    time: Option<i64>,
}

fn error(error: Failure) -> Meaning {
    let step = error.origin.and_then(|origin| origin.step());
    let message = error.message.unwrap_or_else(|| "an error without a message".to_owned());
    Meaning { body: RunEventBody::Error { step, message }, time: time(error.time) }
}

#[derive(Deserialize)]
struct Across {
    substeps: Vec<Substep>,
}

/// What events of steps carry, each its own part of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Step {
    time: Option<i64>,
    origin: Option<Origin>,
    name: Option<String>,
    exit_status: Option<i64>,
    succeeded: Option<bool>,
    selected_worker: Option<String>,
    volume: Option<String>,
    source_worker: Option<String>,
    plan: Option<Value>,
}

fn step(kind: &str, event: &Step, names: &mut StepNames) -> Option<Meaning> {
    let phase = phase(kind, event)?;
    let step = event.origin.as_ref().and_then(Origin::step)?;
    if let Some(name) = &event.name {
        names.add(&step, name);
    }
    if let Some(plan) = &event.plan {
        names.add_plan(plan);
    }
    let name = names.name(&step);
    Some(Meaning { body: RunEventBody::Step { step, name, phase }, time: time(event.time) })
}

/// What a type of event says about its step; `None` for types that say nothing, or are not known yet.
fn phase(kind: &str, event: &Step) -> Option<StepPhase> {
    let preparing = |detail: Option<String>| Some(StepPhase::Preparing { detail });
    match kind {
        "initialize-task" | "initialize-get" | "initialize-put" | "initialize-check" | "initialize" => {
            preparing(None)
        }
        "waiting-for-worker" => preparing(Some("waiting for a worker".into())),
        "selected-worker" => {
            preparing(event.selected_worker.as_ref().map(|worker| format!("on worker {worker}")))
        }
        "streaming-volume" | "waiting-for-streamed-volume" => preparing(Some(streaming(event))),
        "image-check" => preparing(Some("looking for its image".into())),
        "image-get" => preparing(Some("fetching its image".into())),
        "start-task" | "start-get" | "start-put" | "start" => Some(StepPhase::Started),
        "finish-task" | "finish-get" | "finish-put" | "finish" => Some(finished(event)),
        _ => None,
    }
}

fn streaming(event: &Step) -> String {
    match (&event.volume, &event.source_worker) {
        (Some(volume), Some(worker)) => format!("streaming {volume} from worker {worker}"),
        (Some(volume), None) => format!("waiting for {volume} to be streamed"),
        (None, _) => "streaming a volume".to_owned(),
    }
}

/// `finish` of today says whether the step succeeded; everything else states an exit status.
fn finished(event: &Step) -> StepPhase {
    let succeeded = event.succeeded.or(event.exit_status.map(|status| status == 0));
    StepPhase::Finished { exit_status: event.exit_status, succeeded }
}

/// Old events have no time, or 0.
fn time(seconds: Option<i64>) -> Option<Timestamp> {
    seconds.filter(|seconds| *seconds > 0).and_then(|seconds| Timestamp::from_second(seconds).ok())
}

#[cfg(test)]
mod tests {
    use gatehouse_domain::ci::RunStatus;
    use serde_json::json;

    use super::*;

    fn read(kind: &str, data: &Value, names: &mut StepNames) -> Option<RunEventBody> {
        let json = json!({"data": data, "event": kind, "version": "1.0", "event_id": "5"}).to_string();
        assert_eq!(envelope(json.as_bytes()).unwrap().kind, kind);
        meaning(kind, json.as_bytes(), names).map(|meaning| meaning.body)
    }

    fn step_of(kind: &str, data: &Value) -> Option<StepPhase> {
        match read(kind, data, &mut StepNames::default())? {
            RunEventBody::Step { phase, .. } => Some(phase),
            other => panic!("{other:?} is no step"),
        }
    }

    fn detail(text: &str) -> StepPhase {
        StepPhase::Preparing { detail: Some(text.to_owned()) }
    }

    fn finish(exit_status: Option<i64>, succeeded: bool) -> StepPhase {
        StepPhase::Finished { exit_status, succeeded: Some(succeeded) }
    }

    #[test]
    fn numbers_of_events_are_text_or_numbers_or_absent() {
        let number = |json: &str| envelope(json.as_bytes()).map(|envelope| envelope.number);
        assert_eq!(number(r#"{"event":"log","event_id":"18446744073709551615"}"#), Some(Some(u64::MAX)));
        assert_eq!(number(r#"{"event":"log","event_id":7}"#), Some(Some(7)));
        assert_eq!(number(r#"{"event":"log"}"#), Some(None));
        assert_eq!(number(r#"{"event":"log","event_id":"x"}"#), Some(None));
        assert_eq!(number("not JSON"), None);
    }

    #[test]
    fn output_keeps_its_text_step_and_stream() {
        let mut names = StepNames::default();
        let data =
            json!({"time": 7, "origin": {"id": "a0", "source": "stderr"}, "payload": "\u{1b}[1mhi\r\n"});
        let body = RunEventBody::Log {
            step: Some("a0".into()),
            stream: LogStream::Stderr,
            text: "\u{1b}[1mhi\r\n".into(),
        };
        assert_eq!(read("log", &data, &mut names), Some(body));
        let old = json!({"origin": {"name": "build", "type": "task", "location": {"id": 1}}, "payload": "x"});
        let body =
            RunEventBody::Log { step: Some("build".into()), stream: LogStream::Stdout, text: "x".into() };
        assert_eq!(read("log", &old, &mut names), Some(body));
        assert_eq!(read("log", &json!({"origin": {"id": "a0"}, "payload": ""}), &mut names), None);
    }

    #[test]
    fn times_that_say_nothing_are_left_out() {
        let of = |data: Value| {
            let json = json!({"data": data, "event": "error"}).to_string();
            meaning("error", json.as_bytes(), &mut StepNames::default()).unwrap().time
        };
        assert_eq!(of(json!({"message": "m", "time": 9})), Timestamp::from_second(9).ok());
        assert_eq!(of(json!({"message": "m", "time": 0})), None);
        assert_eq!(of(json!({"message": "m"})), None);
    }

    #[test]
    fn a_status_is_told_in_both_vocabularies() {
        let body = read("status", &json!({"status": "aborted", "time": 1}), &mut StepNames::default());
        let expected = RunEventBody::Status {
            status: RunStatus::Cancelled,
            provider_status: "aborted".into(),
            reason: None,
        };
        assert_eq!(body, Some(expected));
    }

    #[test]
    fn every_type_of_step_event_has_its_phase() {
        let origin = json!({"origin": {"id": "a0"}});
        let with = |more: Value| {
            let mut data = origin.clone();
            data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            data
        };
        let preparing = Some(StepPhase::Preparing { detail: None });
        for kind in ["initialize-task", "initialize-get", "initialize-put", "initialize-check", "initialize"]
        {
            assert_eq!(step_of(kind, &with(json!({"config": {"run": {"args": null}}}))), preparing, "{kind}");
        }
        for kind in ["start-task", "start-get", "start-put", "start"] {
            assert_eq!(step_of(kind, &origin), Some(StepPhase::Started), "{kind}");
        }
        for kind in ["finish-task", "finish-get", "finish-put", "finish"] {
            assert_eq!(
                step_of(kind, &with(json!({"exit_status": 3}))),
                Some(finish(Some(3), false)),
                "{kind}"
            );
        }
        assert_eq!(step_of("finish", &with(json!({"succeeded": true}))), Some(finish(None, true)));
        assert_eq!(step_of("waiting-for-worker", &origin), Some(detail("waiting for a worker")));
        assert_eq!(
            step_of("selected-worker", &with(json!({"selected_worker": "w1"}))),
            Some(detail("on worker w1"))
        );
        let volume = with(json!({"volume": "repo", "source_worker": "w1", "dest_worker": "w2"}));
        assert_eq!(step_of("streaming-volume", &volume), Some(detail("streaming repo from worker w1")));
        let volume = with(json!({"volume": "repo", "dest_worker": "w2"}));
        assert_eq!(
            step_of("waiting-for-streamed-volume", &volume),
            Some(detail("waiting for repo to be streamed"))
        );
    }

    #[test]
    fn unknown_types_and_what_belongs_to_no_step_are_skipped() {
        let mut names = StepNames::default();
        assert_eq!(
            read("from-the-future", &json!({"origin": {"id": "a0"}, "time": "later"}), &mut names),
            None
        );
        assert_eq!(
            read("set-pipeline-changed", &json!({"origin": {"id": "a0"}, "changed": true}), &mut names),
            None
        );
        assert_eq!(read("finish", &json!({"time": 1, "exit_status": 0}), &mut names), None);
        assert_eq!(read("start-task", &json!(["not", "an", "object"]), &mut names), None);
        assert_eq!(meaning("log", b"not JSON", &mut names), None);
    }

    #[test]
    fn events_teach_the_names_of_steps() {
        let mut names = StepNames::default();
        let plan = json!({"id": "a0/image", "get": {"name": "image"}});
        read("image-get", &json!({"origin": {"id": "a0"}, "plan": plan}), &mut names);
        assert_eq!(names.name("a0/image").as_deref(), Some("image"));
        let substeps = json!([{"step": {"id": "b0/0", "task": {"name": "unit"}}, "values": ["go"]}]);
        assert_eq!(read("across-substeps", &json!({"substeps": substeps}), &mut names), None);
        let body = read("start-task", &json!({"origin": {"id": "b0/0"}}), &mut names);
        let expected = RunEventBody::Step {
            step: "b0/0".into(),
            name: Some("unit (go)".into()),
            phase: StepPhase::Started,
        };
        assert_eq!(body, Some(expected));
    }
}
