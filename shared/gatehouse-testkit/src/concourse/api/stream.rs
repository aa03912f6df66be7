//! `GET /api/v1/builds/:id/events`: the event stream, byte for byte.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use tokio::sync::watch;

use super::access::{Detail, readable_build};
use super::answer::Rejection;
use crate::concourse::caller::Caller;
use crate::concourse::events;
use crate::concourse::faults::{Cut, CutAfterEvents, flushed};
use crate::concourse::world::World;

/// Records taken from the log at a time, so that a log of any length needs little memory.
const BATCH: u64 = 500;

pub(super) async fn build_events(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(id): Path<String>,
    cut: Option<Extension<CutAfterEvents>>,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let mut reader = open(&world, &caller, &id, &headers)?;
    // Headers leave with the first event: a pending build gives a client nothing at all.
    let first = reader.batch().await;
    let body = records(reader, first, cut.map(|Extension(CutAfterEvents(events))| events));
    let mut answer = if wants_gzip(&headers) {
        let mut answer = Body::from_stream(gzip(body)).into_response();
        answer.headers_mut().insert(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
        answer
    } else {
        Body::from_stream(body).into_response()
    };
    for (name, value) in [
        (CONTENT_TYPE.as_str(), "text/event-stream; charset=utf-8"),
        (CACHE_CONTROL.as_str(), "no-cache, no-store, must-revalidate"),
        ("x-accel-buffering", "no"),
        ("x-atc-stream-version", "2.0"),
    ] {
        answer.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    Ok(answer)
}

fn open(world: &Arc<World>, caller: &Caller, id: &str, headers: &HeaderMap) -> Result<Reader, Rejection> {
    let state = world.lock();
    let build = readable_build(&state, caller, id, Detail::Log)?;
    let last = last_event_id(headers)?;
    Ok(Reader {
        id: build.id,
        index: build.log.after(last),
        sse_id: last.map_or(0, |last| last.saturating_add(1)),
        changed: build.changed.subscribe(),
        _gauge: Gauge::new(world),
        world: world.clone(),
    })
}

/// Reads the number that the header starts with; the server does not look at what follows it.
fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Rejection> {
    let Some(header) = headers.get("last-event-id") else { return Ok(None) };
    let header = header.to_str().map_err(|_| Rejection::BadRequest)?.trim_start();
    if header.is_empty() {
        return Ok(None);
    }
    let digits = header.find(|c: char| !c.is_ascii_digit()).map_or(header, |end| &header[..end]);
    digits.parse().map(Some).map_err(|_| Rejection::BadRequest)
}

fn wants_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|coding| {
            let (name, quality) = coding.split_once(';').unwrap_or((coding, "q=1"));
            let quality = quality.trim().strip_prefix("q=").and_then(|it| it.parse::<f32>().ok());
            name.trim().eq_ignore_ascii_case("gzip") && quality.is_none_or(|it| it > 0.0)
        })
    })
}

/// Where one connection is in a build's log.
struct Reader {
    world: Arc<World>,
    id: i64,
    index: u64,
    sse_id: u64,
    changed: watch::Receiver<()>,
    _gauge: Gauge,
}

/// Records to send; `last` means that the stream is over with them.
struct Batch {
    records: Vec<Bytes>,
    last: bool,
}

impl Reader {
    /// Waits for the next records.
    async fn batch(&mut self) -> Batch {
        loop {
            self.changed.borrow_and_update();
            if let Some(batch) = self.ready() {
                return batch;
            }
            if self.changed.changed().await.is_err() {
                // The build was removed with everything else.
                std::future::pending::<()>().await;
            }
        }
    }

    fn ready(&mut self) -> Option<Batch> {
        let (excerpt, over) = {
            let state = self.world.lock();
            let build = state.builds.get(&self.id)?;
            (build.log.excerpt(self.index, BATCH), build.status.is_terminal())
        };
        let records = excerpt.records(self.sse_id);
        if records.is_empty() {
            let end = || Batch { records: vec![events::end_record(self.sse_id)], last: true };
            return over.then(end);
        }
        self.index += records.len() as u64;
        self.sse_id += records.len() as u64;
        Some(Batch { records, last: false })
    }
}

type Chunk = Result<Bytes, Cut>;

/// Sends records as they come. After `end` the connection stays open until the client leaves.
fn records(mut reader: Reader, first: Batch, cut_after: Option<u64>) -> impl Stream<Item = Chunk> + Send {
    let mut cut = reader.world.cut_streams.subscribe();
    async_stream::stream! {
        let mut batch = first;
        let mut left = cut_after.unwrap_or(u64::MAX);
        'stream: loop {
            for record in batch.records {
                if left == 0 {
                    break 'stream;
                }
                left -= 1;
                yield Ok(record);
            }
            if left == 0 {
                break;
            }
            if batch.last {
                let _ = cut.changed().await;
                break;
            }
            tokio::select! {
                _ = cut.changed() => break,
                next = reader.batch() => batch = next,
            }
        }
        flushed().await;
        yield Err(Cut);
    }
}

/// Compresses each chunk and flushes it, so that no event waits for the next.
fn gzip(records: impl Stream<Item = Chunk> + Send) -> impl Stream<Item = Chunk> + Send {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    records.map(move |record| {
        let record = record?;
        encoder.write_all(&record).and_then(|()| encoder.flush()).map_err(|_| Cut)?;
        Ok(Bytes::from(std::mem::take(encoder.get_mut())))
    })
}

/// Counts the streams that are open.
struct Gauge(Arc<World>);

impl Gauge {
    fn new(world: &Arc<World>) -> Self {
        world.open_streams.fetch_add(1, Ordering::SeqCst);
        Self(world.clone())
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.0.open_streams.fetch_sub(1, Ordering::SeqCst);
    }
}
