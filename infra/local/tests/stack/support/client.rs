//! An HTTP client that hides nothing: one connection for each call, no retries, paths as they are written.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    events::{EventReader, Resume},
    wait::{found, in_time},
};

/// Somebody without a credential.
pub struct Anonymous;

/// An API key of the seed.
#[derive(Clone, Copy)]
pub struct Key {
    pub text: &'static str,
    pub tenants: &'static str,
    pub scopes: &'static [&'static str],
}

impl Key {
    /// May do everything everywhere.
    pub const PLATFORM: Self = Self { text: "canary-key-platform", tenants: "*", scopes: &["*"] };
    /// May do everything in one tenant.
    pub const EXAMPLE: Self = Self { text: "canary-key-example", tenants: "example", scopes: &["*"] };
    /// The same in another one.
    pub const OTHER: Self = Self { text: "canary-key-other", tenants: "other", scopes: &["*"] };
    /// Sees jobs and nothing else.
    pub const JOBS_READER: Self =
        Self { text: "canary-key-jobs-reader", tenants: "example", scopes: &["jobs:read"] };
    /// Sees all there is, everywhere.
    pub const READER: Self = Self {
        text: "canary-key-reader",
        tenants: "*",
        scopes: &["jobs:read", "runs:read", "providers:read"],
    };

    /// May do nothing.
    pub const SCOPELESS: Self = Self { text: "canary-key-scopeless", tenants: "example", scopes: &[] };

    pub const ALL: [Self; 6] =
        [Self::PLATFORM, Self::EXAMPLE, Self::OTHER, Self::JOBS_READER, Self::READER, Self::SCOPELESS];
}

/// Who calls.
pub trait Caller {
    fn credential(&self) -> Option<String>;
}

impl Caller for Anonymous {
    fn credential(&self) -> Option<String> {
        None
    }
}

impl Caller for Key {
    fn credential(&self) -> Option<String> {
        Some(self.text.to_owned())
    }
}

/// One caller of one stack.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    credential: Option<String>,
}

/// A request.
#[derive(Clone)]
pub struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    pub fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path)
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub fn body(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }.header("content-type", content_type)
    }

    /// A body whose type is among the headers.
    pub fn raw_body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// The same call with this body in place of its own.
    pub fn body_instead(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.headers.remove(header::CONTENT_TYPE);
        self.body(content_type, body)
    }

    pub fn method_instead(self, method: Method) -> Self {
        Self { method, ..self }
    }

    pub fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let value = HeaderValue::from_bytes(value.as_ref()).expect("a header can hold it");
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    pub fn describe(&self) -> String {
        let path: String = self.path.chars().take(100).collect();
        let body: String = String::from_utf8_lossy(&self.body).chars().take(200).collect();
        format!("{} {path} {:?} {body:?}", self.method, self.headers)
    }
}

impl Client {
    pub fn new(address: SocketAddr, caller: &impl Caller) -> Self {
        Self { address, credential: caller.credential() }
    }

    /// Sends the request and returns its head, while the body is still to come.
    pub async fn open(&self, call: Call) -> std::io::Result<http::Response<Incoming>> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = call.method;
        *request.uri_mut() = call.path.parse().expect("the path is one that a request can have");
        *request.headers_mut() = call.headers;
        let headers = request.headers_mut();
        headers.entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
        if let Some(credential) = &self.credential {
            let value = HeaderValue::from_str(&format!("Bearer {credential}")).expect("keys are ASCII");
            headers.entry(header::AUTHORIZATION).or_insert(value);
        }
        sender.send_request(request).await.map_err(std::io::Error::other)
    }

    /// As [`Client::send`], where the stack may be gone.
    pub async fn try_send(&self, call: Call) -> std::io::Result<Answer> {
        let (parts, body) = self.open(call).await?.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    pub async fn send(&self, call: Call) -> Answer {
        let what = call.describe();
        in_time(&what, self.try_send(call)).await.unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    pub async fn get(&self, path: impl Into<String>) -> Answer {
        self.send(Call::get(path)).await
    }

    /// Sends a request line as it is written here, which need not be HTTP.
    pub async fn raw(&self, method: &str, path: &[u8]) -> Answer {
        let mut request = format!("{method} ").into_bytes();
        request.extend_from_slice(path);
        // Of HTTP/1.0, so that the answer's body needs no decoding.
        request.extend_from_slice(b" HTTP/1.0\r\nhost: localhost\r\n");
        if let Some(credential) = &self.credential {
            request.extend_from_slice(format!("authorization: Bearer {credential}\r\n").as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        in_time("an answer to a raw request", async {
            let mut stream = TcpStream::connect(self.address).await.expect("the stack listens");
            stream.write_all(&request).await.expect("the stack reads");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("the stack answers");
            parse(&answer)
        })
        .await
    }

    /// Everything of a list, over all its pages.
    pub async fn all(&self, path: &str, member: &str) -> Vec<Value> {
        let (separator, mut items) = (if path.contains('?') { '&' } else { '?' }, Vec::new());
        let mut next = path.to_owned();
        loop {
            let page = self.get(next).await.expect(200).json();
            items.extend(page[member].as_array().expect("a list").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("{path}{separator}cursor={cursor}"),
                None => return items,
            }
        }
    }

    /// Saves a job that runs `script` in a shell.
    pub async fn put_script(&self, job: &str, script: &str) {
        let body = json!({
            "project": "example",
            "provider": { "kind": "process", "ref": { "command": ["sh", "-c", script] } },
        });
        self.send(Call::put(format!("/v1/jobs/{job}")).json(&body)).await.expect(201);
    }

    /// Triggers a job, and returns the run's id.
    pub async fn trigger(&self, job: &str) -> String {
        self.send(Call::post(format!("/v1/jobs/{job}/runs"))).await.expect(201).run_id()
    }

    pub async fn run(&self, run: &str) -> Value {
        self.get(format!("/v1/runs/{run}")).await.expect(200).json()["run"].clone()
    }

    /// The run when it has ended.
    pub async fn ended(&self, run: &str) -> Value {
        found(&format!("the end of {run}"), || async {
            let run = self.run(run).await;
            is_terminal(run["status"].as_str()?).then_some(run)
        })
        .await
    }

    pub async fn log(&self, run: &str) -> String {
        self.get(format!("/v1/runs/{run}/log")).await.expect(200).text()
    }

    pub async fn events(&self, run: &str, resume: Resume) -> EventReader {
        let what = format!("the events of {run}, {resume:?}");
        let call = resume.call(run);
        let response =
            in_time(&what, self.open(call)).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        EventReader::new(response)
    }
}

fn is_terminal(status: &str) -> bool {
    matches!(status, "succeeded" | "failed" | "errored" | "cancelled")
}

fn parse(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an answer has a head");
    let head = std::str::from_utf8(&answer[..end]).expect("a head is text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header has a value");
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header has a name");
        headers.append(name, HeaderValue::from_str(value).expect("a header's value is text"));
    }
    Answer {
        status: status.parse().expect("a status is a number"),
        headers,
        body: Bytes::copy_from_slice(&answer[end + 4..]),
    }
}

impl Answer {
    /// The answer, if it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("our headers are text"))
    }

    #[track_caller]
    pub fn run_id(&self) -> String {
        self.json()["run"]["run_id"].as_str().expect("a run has an id").to_owned()
    }

    /// The problem of this status and type, if that is what it is.
    #[track_caller]
    pub fn problem(&self, status: u16, slug: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["type"], format!("/problems/{slug}"), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["request_id"].is_string(), "{problem}");
        problem
    }

    /// The body of a problem without what is another one each time.
    #[track_caller]
    pub fn anonymous_problem(&self, status: u16, slug: &str) -> Value {
        let mut problem = self.problem(status, slug);
        problem["request_id"] = Value::Null;
        problem
    }
}
