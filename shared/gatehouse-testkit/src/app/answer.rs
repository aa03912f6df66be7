use std::{
    fmt::{self, Write as _},
    sync::LazyLock,
};

use axum::http::{HeaderMap, StatusCode, header};
use gatehouse_http::request_log::SECURITY_HEADERS;
use regex::{Captures, Regex};
use serde_json::Value;

use super::{
    callers::REQUEST_ID,
    sse::{self, Event},
};

/// What a function answered.
///
/// Shown, it is what a snapshot holds: the status, headers that are not the same for all answers, the body.
/// Of a problem's body, only what is not held against it anyway: its slug, detail, fields and own members.
/// Random ids are numbered, `svc_#1`, so that a snapshot does not say how many were drawn before.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The body, where it is JSON; `null` otherwise.
    pub body: Value,
    pub text: String,
}

impl Answer {
    /// # Panics
    ///
    /// When a security header is missing, an error is no problem, or a problem contradicts the request or its own status.
    pub(super) fn new(status: StatusCode, headers: HeaderMap, text: String) -> Self {
        let body = serde_json::from_str(&text).unwrap_or_default();
        let answer = Self { status, headers, body, text };
        for (name, _) in SECURITY_HEADERS {
            assert!(answer.headers.contains_key(&name), "{status} without {name}: {}", answer.text);
        }
        if status.is_client_error() || status.is_server_error() {
            assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.text);
            assert_eq!(answer.body["status"], status.as_u16(), "{}", answer.text);
            assert_eq!(answer.body["request_id"], REQUEST_ID, "{}", answer.text);
            assert!(answer.body["title"].is_string(), "{}", answer.text);
        }
        answer
    }

    /// The header's value, empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The `ETag`, quotes included, as `If-Match` takes it.
    pub fn etag(&self) -> &str {
        self.header("etag")
    }

    /// The last segment of a problem's type.
    pub fn problem(&self) -> &str {
        self.body["type"].as_str().and_then(|kind| kind.strip_prefix("/problems/")).unwrap_or_default()
    }

    /// The server-sent events of a stream that has ended.
    pub fn events(&self) -> Vec<Event> {
        sse::events(&self.text)
    }

    fn is_plain(&self, name: &header::HeaderName) -> bool {
        match *name {
            header::CONTENT_TYPE => self.body.is_object(),
            header::CONTENT_LENGTH => true,
            _ => SECURITY_HEADERS
                .iter()
                .any(|(known, value)| known == name && self.header(name.as_str()) == *value),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_numbered_ids(&self.shown()?))
    }
}

impl Answer {
    fn shown(&self) -> Result<String, fmt::Error> {
        let mut shown = self.status.to_string();
        for (name, value) in self.headers.iter().filter(|(name, _)| !self.is_plain(name)) {
            write!(shown, "\n{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        match (&self.body, self.text.as_str()) {
            (_, "") => {}
            (Value::Null, text) => write!(shown, "\n\n{text}")?,
            (body, _) if self.problem().is_empty() => write!(shown, "\n{body:#}")?,
            (body, _) => show_problem(self.problem(), body, &mut shown)?,
        }
        Ok(shown)
    }
}

/// Gives the ids of each kind the numbers in which they come.
fn with_numbered_ids(text: &str) -> String {
    static ID: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?-u:\b)([a-z]+)_([0-9a-v]{20,})(?-u:\b)").expect("the pattern is one")
    });
    let mut seen: Vec<(String, String)> = Vec::new();
    let number = |id: &Captures<'_>| {
        let id = (id[1].to_owned(), id[2].to_owned());
        if !seen.contains(&id) {
            seen.push(id.clone());
        }
        let of_its_kind = seen.iter().filter(|(kind, _)| *kind == id.0);
        let number = of_its_kind.take_while(|known| **known != id).count() + 1;
        format!("{}_#{number}", id.0)
    };
    ID.replace_all(text, number).into_owned()
}

/// `not-found: There is no such job.`, and a line for each field that was refused and each member of its own.
fn show_problem(slug: &str, body: &Value, f: &mut String) -> fmt::Result {
    write!(f, "\n{slug}: {}", body["detail"].as_str().unwrap_or_default())?;
    for error in body["errors"].as_array().into_iter().flatten() {
        let text = |name: &str| error[name].as_str().unwrap_or_default();
        write!(f, "\n  {:?}: {}", text("pointer"), text("detail"))?;
    }
    let known = ["type", "title", "status", "detail", "request_id", "errors"];
    let members = body.as_object().into_iter().flatten();
    for (name, value) in members.filter(|(name, _)| !known.contains(&name.as_str())) {
        write!(f, "\n  {name}: {value}")?;
    }
    Ok(())
}
