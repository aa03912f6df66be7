//! Build events: how each looks on the wire, and the log that keeps them.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::version::Version;

/// One event of a build, before it has a time and an id.
#[derive(Clone, Debug)]
pub(super) struct Event {
    kind: String,
    version: String,
    body: Body,
    since: Version,
}

#[derive(Clone, Debug)]
enum Body {
    /// Fields in the order Concourse writes them.
    Fields(Vec<(&'static str, Value)>),
    /// The `data` value as given.
    Data(String),
    /// The whole text after `data: `, whatever it is.
    Verbatim(String),
}

#[derive(Clone, Debug)]
enum Value {
    Now,
    Json(String),
}

impl Event {
    pub(super) fn new(kind: &str, version: &str) -> Self {
        let body = Body::Fields(Vec::new());
        Self { kind: kind.to_owned(), version: version.to_owned(), body, since: Version::V6_5 }
    }

    pub(super) fn with_data(kind: &str, version: &str, data: &serde_json::Value) -> Self {
        Self { body: Body::Data(go_json(data)), ..Self::new(kind, version) }
    }

    pub(super) fn verbatim(text: &str) -> Self {
        Self { body: Body::Verbatim(text.to_owned()), ..Self::new("", "") }
    }

    /// Leaves the event out of streams of older servers, which did not know it.
    pub(super) fn since(mut self, version: Version) -> Self {
        self.since = version;
        self
    }

    pub(super) fn is_known_to(&self, version: Version) -> bool {
        version >= self.since
    }

    pub(super) fn now(self) -> Self {
        self.field("time", Value::Now)
    }

    pub(super) fn json(self, name: &'static str, value: &impl Serialize) -> Self {
        self.field(name, Value::Json(go_json(value)))
    }

    fn field(mut self, name: &'static str, value: Value) -> Self {
        if let Body::Fields(fields) = &mut self.body {
            fields.push((name, value));
        }
        self
    }

    /// Returns the envelope without its end, so that an id can still be put in.
    fn render(&self, time: i64) -> Rendered {
        let data = match &self.body {
            Body::Verbatim(text) => return Rendered::Verbatim(text.clone()),
            Body::Data(data) => data.clone(),
            Body::Fields(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, value)| value.render(name, time)).collect();
                format!("{{{}}}", fields.join(","))
            }
        };
        let (kind, version) = (go_json(&self.kind), go_json(&self.version));
        Rendered::Open(format!(r#"{{"data":{data},"event":{kind},"version":{version}"#))
    }
}

impl Value {
    fn render(&self, name: &str, time: i64) -> String {
        match self {
            Self::Now => format!(r#""{name}":{time}"#),
            Self::Json(json) => format!(r#""{name}":{json}"#),
        }
    }
}

#[derive(Debug)]
enum Rendered {
    Open(String),
    Verbatim(String),
}

/// Everything a build has said, able to hold a million lines in a few bytes.
#[derive(Debug)]
pub(super) struct EventLog {
    segments: Vec<Arc<Segment>>,
    len: u64,
    numbering: Numbering,
}

/// How events get their `event_id`.
#[derive(Clone, Copy, Debug)]
struct Numbering {
    step: u64,
    shown: bool,
}

#[derive(Debug)]
struct Segment {
    first: u64,
    len: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    One(Rendered),
    /// Numbered lines, made when they are read: an envelope, cut where the number goes.
    Lines {
        head: String,
        tail: String,
    },
}

impl EventLog {
    pub(super) fn new(version: Version, id_step: u64) -> Self {
        let numbering = Numbering { step: id_step.max(1), shown: version.has_event_ids() };
        Self { segments: Vec::new(), len: 0, numbering }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn clear(&mut self) {
        self.segments.clear();
        self.len = 0;
    }

    pub(super) fn push(&mut self, event: &Event, time: i64) {
        self.append(1, Content::One(event.render(time)));
    }

    /// Adds `line 0`, `line 1` and so on.
    pub(super) fn push_lines(&mut self, origin: &str, count: u64, time: i64) {
        const BEFORE_NUMBER: &str = "line ";
        let Rendered::Open(open) = log_event(origin, "stdout", "line \r\n").render(time) else { return };
        let Some(cut) = open.rfind(BEFORE_NUMBER).filter(|_| count > 0) else { return };
        let (head, tail) = open.split_at(cut + BEFORE_NUMBER.len());
        self.append(count, Content::Lines { head: head.to_owned(), tail: tail.to_owned() });
    }

    fn append(&mut self, len: u64, content: Content) {
        self.segments.push(Arc::new(Segment { first: self.len, len, content }));
        self.len += len;
    }

    /// Returns the index of the first event whose id is above `last`.
    pub(super) fn after(&self, last: Option<u64>) -> u64 {
        last.map_or(0, |last| (last / self.numbering.step).saturating_add(1))
    }

    /// Returns at most `limit` events from `index` on, still to be rendered: that needs no lock.
    pub(super) fn excerpt(&self, index: u64, limit: u64) -> Excerpt {
        let end = self.len.min(index.saturating_add(limit));
        let from = self.segments.partition_point(|segment| segment.first + segment.len <= index);
        let inside = self.segments[from..].iter().take_while(|segment| segment.first < end);
        Excerpt { segments: inside.cloned().collect(), index, end, numbering: self.numbering }
    }
}

/// A few events of a log.
#[derive(Debug)]
pub(super) struct Excerpt {
    segments: Vec<Arc<Segment>>,
    index: u64,
    end: u64,
    numbering: Numbering,
}

impl Excerpt {
    /// Returns the records, numbered from `sse_id`.
    pub(super) fn records(&self, sse_id: u64) -> Vec<Bytes> {
        let events = self.segments.iter().flat_map(|segment| {
            let range = segment.first.max(self.index)..(segment.first + segment.len).min(self.end);
            range.map(move |index| segment.envelope(index, self.numbering))
        });
        let numbered = events.zip(sse_id..);
        numbered
            .map(|(event, id)| Bytes::from(format!("id: {id}\nevent: event\ndata: {event}\n\n")))
            .collect()
    }
}

impl Segment {
    fn envelope(&self, index: u64, numbering: Numbering) -> String {
        match &self.content {
            Content::One(Rendered::Verbatim(text)) => text.clone(),
            Content::One(Rendered::Open(open)) => numbering.close(open.clone(), index),
            Content::Lines { head, tail } => {
                numbering.close(format!("{head}{}{tail}", index - self.first), index)
            }
        }
    }
}

impl Numbering {
    fn close(self, mut open: String, index: u64) -> String {
        if self.shown {
            open += r#","event_id":""#;
            open += &(index * self.step).to_string();
            open.push('"');
        }
        open.push('}');
        open
    }
}

/// Returns the record that ends a stream: the field name `data` alone, without a colon.
pub(super) fn end_record(sse_id: u64) -> Bytes {
    Bytes::from(format!("id: {sse_id}\nevent: end\ndata\n\n"))
}

#[derive(Serialize)]
struct Origin<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    source: &'a str,
}

pub(super) fn log_event(origin: &str, source: &str, payload: &str) -> Event {
    Event::new("log", "5.1").now().json("origin", &Origin { id: origin, source }).json("payload", &payload)
}

pub(super) fn error_event(origin: &str, message: &str) -> Event {
    let origin = Origin { id: origin, source: "" };
    Event::new("error", "4.1").json("message", &message).json("origin", &origin).now()
}

pub(super) fn status_event(status: &str) -> Event {
    Event::new("status", "1.0").json("status", &status).now()
}

pub(super) fn set_pipeline_changed_event(origin: &str, changed: bool) -> Event {
    let origin = Origin { id: origin, source: "" };
    Event::new("set-pipeline-changed", "1.0").json("origin", &origin).json("changed", &changed)
}

/// An event that carries the step it is about and the time, in that order.
pub(super) fn step_event(kind: &str, version: &str, origin: &str) -> Event {
    Event::new(kind, version).json("origin", &Origin { id: origin, source: "" }).now()
}

/// An event that carries the time and the step it is about, in that order.
pub(super) fn timed_event(kind: &str, version: &str, origin: &str) -> Event {
    Event::new(kind, version).now().json("origin", &Origin { id: origin, source: "" })
}

pub(super) fn finish_task_event(origin: &str, exit_status: i32) -> Event {
    let origin = Origin { id: origin, source: "" };
    Event::new("finish-task", "4.0").now().json("exit_status", &exit_status).json("origin", &origin)
}

/// Writes JSON as Go's encoder does: `<`, `>`, `&` and the two line separators are escaped.
pub(super) fn go_json(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("the twin only writes values that JSON can hold");
    if !json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return json;
    }
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}
