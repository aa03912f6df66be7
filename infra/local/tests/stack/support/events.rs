//! A reader of event streams as WHATWG HTML section 9.2 describes it, which can leave at any moment.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::{client::Call, wait::in_time};

/// Where a reader begins.
#[derive(Clone, Debug)]
pub enum Resume {
    /// At the beginning.
    Start,
    /// Behind the event with this id, told by header.
    LastEventId(String),
    /// Behind the event with this id, told by query.
    After(String),
}

impl Resume {
    pub fn call(&self, run: &str) -> Call {
        let path = format!("/v1/runs/{run}/events");
        match self {
            Self::Start => Call::get(path),
            Self::LastEventId(id) => Call::get(path).header("last-event-id", id),
            Self::After(id) => Call::get(format!("{path}?after={id}")),
        }
    }
}

/// An event as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: Option<String>,
    pub kind: String,
    pub data: String,
}

impl Event {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {}", self.data))
    }

    /// The text, if it is a log event.
    pub fn text(&self) -> Option<String> {
        (self.kind == "log").then(|| self.json()["text"].as_str().expect("a log has text").to_owned())
    }

    pub fn is_end(&self) -> bool {
        self.kind == "end"
    }
}

/// The text of all log events.
pub fn text(events: &[Event]) -> String {
    events.iter().filter_map(Event::text).collect()
}

/// An open stream. Dropping it closes the connection.
pub struct EventReader {
    body: Incoming,
    received: Vec<u8>,
    /// Where in `received` the next record begins.
    next_record: usize,
    /// Comments, apart from the opening one.
    pub comments: usize,
}

impl EventReader {
    #[track_caller]
    pub fn new(response: http::Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        assert_eq!(head.status, 200, "no stream");
        assert_eq!(head.headers["content-type"], "text/event-stream; charset=utf-8");
        assert_eq!(head.headers["cache-control"], "no-store");
        Self { body, received: Vec::new(), next_record: 0, comments: 0 }
    }

    /// The next event; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Event> {
        in_time("the next event", async {
            loop {
                if let Some(record) = self.record() {
                    if let Some(event) = self.read(&record) {
                        return Some(event);
                    }
                } else {
                    let chunk = self.chunk().await?;
                    self.received.drain(..self.next_record);
                    self.next_record = 0;
                    self.received.extend_from_slice(&chunk);
                }
            }
        })
        .await
    }

    /// As many events as there are to `count`.
    pub async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            let Some(event) = self.next().await else { break };
            events.push(event);
        }
        events
    }

    /// The events to the end of the stream.
    pub async fn rest(&mut self) -> Vec<Event> {
        self.take(usize::MAX).await
    }

    async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            let frame = self.body.frame().await?.expect("a stream is not cut");
            if let Ok(data) = frame.into_data() {
                return Some(data);
            }
        }
    }

    /// The next whole record.
    fn record(&mut self) -> Option<String> {
        let unread = &self.received[self.next_record..];
        let length = unread.windows(2).position(|bytes| bytes == b"\n\n")?;
        let record = String::from_utf8(unread[..length].to_vec()).expect("a stream is UTF-8");
        self.next_record += length + 2;
        Some(record)
    }

    /// The event in a record, if it is more than a comment.
    fn read(&mut self, record: &str) -> Option<Event> {
        let (mut id, mut kind, mut data) = (None, None, None);
        for line in record.split('\n') {
            match line.split_once(':').expect("a field has a value") {
                ("", " gatehouse") | ("retry", " 1000") => {}
                ("", " alive") => self.comments += 1,
                ("id", value) => id = Some(value.trim_start().to_owned()),
                ("event", value) => kind = Some(value.trim_start().to_owned()),
                ("data", value) => {
                    assert!(data.replace(value.trim_start().to_owned()).is_none(), "one line of data");
                }
                _ => panic!("{line:?} has no place in a stream"),
            }
        }
        Some(Event { id, kind: kind?, data: data.expect("an event has data") })
    }
}
