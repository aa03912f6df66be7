//! Server-sent events, as WHATWG HTML section 9.2 writes them.
//!
//! A stream opens at once, is kept alive by comments, and ends itself with `reconnect` before the
//! function's time is up; a reader comes back with `Last-Event-ID`.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, header};
use bytes::Bytes;
use serde::Serialize;

/// How long a silent stream stays silent: below the 30 s after which the strictest front between a reader
/// and us ends idle connections.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a stream begins with: readers wait this long, in milliseconds, before they come back.
pub const OPENING: Bytes = Bytes::from_static(b": gatehouse\nretry: 1000\n\n");

/// What keeps a silent stream alive.
pub const ALIVE: Bytes = Bytes::from_static(b": alive\n\n");

/// The id of the last event: a reader that comes back with it has seen everything.
pub const END: &str = "end";

/// The headers of a stream.
pub fn headers() -> [(HeaderName, HeaderValue); 2] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]
}

/// One event. JSON on one line never holds a line end.
pub fn frame(event: &str, id: Option<&str>, data: &impl Serialize) -> Bytes {
    frame_of(event, id, &serde_json::to_string(data).unwrap_or_default())
}

/// One event whose data is JSON on one line already.
pub fn frame_of(event: &str, id: Option<&str>, data: &str) -> Bytes {
    match id {
        Some(id) => format!("id: {id}\nevent: {event}\ndata: {data}\n\n").into(),
        None => format!("event: {event}\ndata: {data}\n\n").into(),
    }
}

/// Tells the reader to come back.
pub fn reconnect() -> Bytes {
    frame("reconnect", None, &serde_json::json!({}))
}
