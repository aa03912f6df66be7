//! Answers that come chunk by chunk.

use std::fmt;
use std::pin::Pin;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;

use super::error::FunctionError;
use super::server::Message;
use super::source::Source;

/// The content type of an answer that begins with status and headers.
const HTTP_INTEGRATION: &str = "application/vnd.awslambda.http-integration-response";

/// What stands between the prelude and the body.
const DELIMITER: [u8; 8] = [0; 8];

/// The longest prelude; a body without one would else be read to its end.
const PRELUDE_LIMIT: usize = 64 * 1024;

/// A piece of the body and when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// When it reached us.
    pub at: Instant,
    /// What it holds. The transport may split and join what the function wrote.
    pub bytes: Bytes,
}

/// The chunks of an answer, and at last the error if it ends with one.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<Chunk, FunctionError>> + Send>>;

/// An answer of which status and headers are known.
pub struct StreamingInvocation {
    /// The id that the function was given.
    pub request_id: String,
    /// The status; 200 of a function that streams without HTTP.
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The cookies, which travel apart from the headers.
    pub cookies: Vec<String>,
    /// When the event was handed over.
    pub started: Instant,
    /// When status and headers were complete.
    pub head_at: Instant,
    /// The body. When the stream ends without an error, the function was done.
    pub chunks: Chunks,
}

impl fmt::Debug for StreamingInvocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamingInvocation")
            .field("request_id", &self.request_id)
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("cookies", &self.cookies)
            .finish_non_exhaustive()
    }
}

impl StreamingInvocation {
    /// Reads the rest of the body.
    ///
    /// # Errors
    ///
    /// Fails when the function does.
    pub async fn text(mut self) -> Result<String, FunctionError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunks.next().await {
            body.extend_from_slice(&chunk?.bytes);
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Prelude {
    status_code: Option<u16>,
    headers: std::collections::BTreeMap<String, String>,
    multi_value_headers: std::collections::BTreeMap<String, Vec<String>>,
    cookies: Vec<String>,
}

/// Reads up to the end of the prelude.
pub(super) async fn begin(
    request_id: String,
    mut source: Source,
) -> Result<StreamingInvocation, FunctionError> {
    let started = Instant::now();
    let mut read = BytesMut::new();
    let mut has_prelude = false;
    let (prelude, first) = loop {
        match source.next().await? {
            Message::Head { content_type, .. } if content_type == HTTP_INTEGRATION => {
                has_prelude = true;
            }
            Message::Chunk { at, bytes } if has_prelude => {
                read.extend_from_slice(&bytes);
                if let Some(end) = read.windows(DELIMITER.len()).position(|part| part == DELIMITER) {
                    let body = read.split_off(end + DELIMITER.len()).freeze();
                    break (parse(&read[..end])?, Some(Chunk { at, bytes: body }));
                }
                if read.len() > PRELUDE_LIMIT {
                    return Err(FunctionError::Prelude("no delimiter".to_owned()));
                }
            }
            Message::Head { .. } => break (Prelude::default(), None),
            Message::Chunk { .. } | Message::End => {
                return Err(FunctionError::Prelude(String::from_utf8_lossy(&read).into_owned()));
            }
        }
    };
    Ok(StreamingInvocation {
        request_id,
        status: status(&prelude)?,
        headers: headers(&prelude)?,
        cookies: prelude.cookies,
        started,
        head_at: Instant::now(),
        chunks: Box::pin(chunks(first, source)),
    })
}

fn parse(prelude: &[u8]) -> Result<Prelude, FunctionError> {
    serde_json::from_slice(prelude).map_err(|error| FunctionError::Prelude(error.to_string()))
}

fn status(prelude: &Prelude) -> Result<StatusCode, FunctionError> {
    StatusCode::from_u16(prelude.status_code.unwrap_or(200))
        .map_err(|error| FunctionError::Prelude(error.to_string()))
}

fn headers(prelude: &Prelude) -> Result<HeaderMap, FunctionError> {
    let single = prelude.headers.iter();
    let multi = prelude.multi_value_headers.iter();
    let multi = multi.flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    let mut headers = HeaderMap::new();
    for (name, value) in single.chain(multi) {
        let malformed = || FunctionError::Prelude(format!("header {name:?}: {value:?}"));
        let value = HeaderValue::from_str(value).map_err(|_| malformed())?;
        headers.append(HeaderName::try_from(name).map_err(|_| malformed())?, value);
    }
    Ok(headers)
}

fn chunks(
    first: Option<Chunk>,
    mut source: Source,
) -> impl Stream<Item = Result<Chunk, FunctionError>> + Send {
    async_stream::stream! {
        if let Some(first) = first.filter(|chunk| !chunk.bytes.is_empty()) {
            yield Ok(first);
        }
        loop {
            match source.next().await {
                Ok(Message::Chunk { at, bytes }) => yield Ok(Chunk { at, bytes }),
                Ok(Message::Head { .. }) => {}
                Ok(Message::End) => return,
                Err(error) => {
                    yield Err(error);
                    return;
                }
            }
        }
    }
}
