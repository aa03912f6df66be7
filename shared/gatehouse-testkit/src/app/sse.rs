//! Reading server-sent events as they come.

use std::fmt;

use axum::{
    body::{Body, BodyDataStream},
    http::{HeaderMap, StatusCode},
};
use futures_util::StreamExt;
use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub event: String,
    pub id: Option<String>,
    pub data: Value,
}

impl fmt::Display for Event {
    /// `status 3 {"status":"running"}`: type, id and data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_ref().map(|id| format!("{id} ")).unwrap_or_default();
        write!(f, "{} {id}{}", self.event, self.data)
    }
}

/// A stream that is open.
pub struct EventStream {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: BodyDataStream,
    unread: String,
}

impl EventStream {
    pub(super) fn new(status: StatusCode, headers: HeaderMap, body: Body) -> Self {
        Self { status, headers, body: body.into_data_stream(), unread: String::new() }
    }

    /// The next event, or `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.unread.split_once("\n\n") {
                let event = parse(block);
                self.unread = String::from(rest);
                if event.is_some() {
                    return event;
                }
            }
            let chunk = self.body.next().await?.expect("the body can be read");
            self.unread.push_str(std::str::from_utf8(&chunk).expect("chunks end between characters"));
        }
    }
}

/// Every event of a stream that has ended.
pub(super) fn events(text: &str) -> Vec<Event> {
    text.split("\n\n").filter_map(parse).collect()
}

/// The event of a block, unless it holds comments or settings only.
fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim_start().to_owned())
    };
    let data = serde_json::from_str(&field("data")?).expect("data is JSON");
    Some(Event { event: field("event").unwrap_or_else(|| "message".to_owned()), id: field("id"), data })
}
