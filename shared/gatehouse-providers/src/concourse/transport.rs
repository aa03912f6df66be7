//! Requests to one Concourse, and what comes back, before anybody judges it.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use gatehouse_domain::providers::Provider;
use gatehouse_outbound::{BodyError, ForbiddenDestination, OutboundClient, OutboundHttp, read_body};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::de::DeserializeOwned;

use super::version::ServerVersion;
use crate::limits::{ANSWER_LIMIT, CALL_TIMEOUT};

/// How much of a refusal's text is looked at, in bytes.
const REFUSAL_LIMIT: usize = 4 * 1024;

/// The header with which Concourse signs every answer.
const VERSION_HEADER: &str = "x-concourse-version";

/// Why there is no answer to work with.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The provider's settings do not make a client.
    #[error("the provider's settings cannot be used: {0}")]
    Settings(String),
    /// The URL leads where calls are not made.
    #[error(transparent)]
    Forbidden(ForbiddenDestination),
    /// No connection was made, so nothing was sent.
    #[error("no connection could be made")]
    NotConnected(#[source] reqwest::Error),
    /// Time ran out; the request may have been sent.
    #[error("there was no answer in time")]
    TimedOut(#[source] reqwest::Error),
    /// The connection broke; the request may have been sent.
    #[error("the connection broke")]
    Lost(#[source] reqwest::Error),
    /// The answer is longer than is read.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// The answer is not what was expected.
    #[error("the answer makes no sense")]
    Garbled(#[source] serde_json::Error),
    /// A web page came, which no call is answered with: something else answered, and did nothing.
    #[error("the answer was a web page")]
    WebPage,
    /// The answer is no success.
    #[error("the answer was {}", .0.status)]
    Refused(Refusal),
}

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// Whether Concourse itself answered, not something before it.
    pub(super) by_concourse: bool,
    pub(super) retry_after: Option<Duration>,
    /// Where a redirect leads, without query.
    pub(super) location: Option<String>,
    pub(super) body: String,
}

/// Whether a request may be sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Never,
    /// Once more when the connection broke: the server may have closed it just then.
    Once,
}

/// Speaks HTTP with one Concourse.
#[derive(Debug)]
pub(super) struct Transport {
    http: Result<OutboundClient, String>,
    base: String,
    version: RwLock<Option<ServerVersion>>,
}

impl Transport {
    /// Settings that cannot work are not refused here: every call says what is wrong with them.
    pub(super) fn new(provider: &Provider, http: OutboundHttp) -> Self {
        let base = provider.url.as_deref().unwrap_or_default().trim_end_matches('/').to_owned();
        let http = http.client(provider.ca_certificate.as_deref()).map_err(|error| error.to_string());
        Self { http, base, version: RwLock::new(None) }
    }

    /// Where Concourse is, without a slash at the end.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The version that answered last, if any did.
    pub(super) fn version(&self) -> Option<ServerVersion> {
        self.version.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a request to `path` that `shape` completes; gives the answer when it is a success.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        repeat: Repeat,
        shape: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Failure> {
        let request = || self.request(method.clone(), path).map(&shape);
        match self.send_once(request()?).await {
            Err(Failure::Lost(_)) if repeat == Repeat::Once => self.send_once(request()?).await,
            outcome => outcome,
        }
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Failure> {
        let http = self.http.as_ref().map_err(|why| Failure::Settings(why.clone()))?;
        let url = Url::parse(&format!("{}{path}", self.base))
            .map_err(|_| Failure::Settings("its URL is not valid".to_owned()))?;
        http.request(method, url).map_err(Failure::Forbidden)
    }

    async fn send_once(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(Failure::of_transport)?;
        let by_concourse = self.note_version(&response);
        if response.status().is_success() {
            return if is_web_page(&response) { Err(Failure::WebPage) } else { Ok(response) };
        }
        Err(Failure::Refused(Refusal::of(response, by_concourse).await))
    }

    /// Remembers the version that answered. Says whether it was Concourse that did.
    fn note_version(&self, response: &Response) -> bool {
        let Some(text) = response.headers().get(VERSION_HEADER).and_then(|it| it.to_str().ok()) else {
            return false;
        };
        let seen = ServerVersion::parse(text);
        if self.version().as_ref() != Some(&seen) {
            *self.version.write().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        }
        true
    }
}

fn is_web_page(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

/// Reads an answer of up to `limit` bytes as JSON.
pub(super) async fn read_json<T: DeserializeOwned>(response: Response, limit: usize) -> Result<T, Failure> {
    let body = read_body(response, limit).await?;
    serde_json::from_slice(&body).map_err(Failure::Garbled)
}

/// Reads an answer of the usual length as JSON.
pub(super) async fn read_answer<T: DeserializeOwned>(response: Response) -> Result<T, Failure> {
    read_json(response, ANSWER_LIMIT).await
}

impl Refusal {
    async fn of(response: Response, by_concourse: bool) -> Self {
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after = header(header::RETRY_AFTER).and_then(|text| text.trim().parse().ok());
        let location = header(header::LOCATION).map(|text| text.split(['?', '#']).next().unwrap_or_default());
        Self {
            status: response.status(),
            by_concourse,
            retry_after: retry_after.map(Duration::from_secs),
            location: location.map(|text| text.chars().take(200).collect()),
            body: text(response).await.unwrap_or_default(),
        }
    }
}

/// The text of a refusal; `None` when it is long, or does not come: event streams have no time limit of
/// their own, and a text that cannot be read tells no less than an empty one.
async fn text(response: Response) -> Option<String> {
    let body = tokio::time::timeout(CALL_TIMEOUT, read_body(response, REFUSAL_LIMIT)).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&body).into_owned())
}

impl Failure {
    fn of_transport(error: reqwest::Error) -> Self {
        if let Some(forbidden) = ForbiddenDestination::behind(&error) {
            Self::Forbidden(forbidden)
        } else if error.is_connect() {
            Self::NotConnected(error)
        } else if error.is_timeout() {
            Self::TimedOut(error)
        } else {
            Self::Lost(error)
        }
    }

    /// The status of the refusal, if it is one.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLong(limit) => Self::TooLong(limit),
            BodyError::Lost(error) if error.is_timeout() => Self::TimedOut(error),
            BodyError::Lost(error) => Self::Lost(error),
        }
    }
}
