//! A client that sees every byte and every cut.

use std::io::Read;

use flate2::read::GzDecoder;
use gatehouse_testkit::concourse::{ConcourseTwin, Role, Script, TwinBuilder};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The scopes that make a useful token.
pub const SCOPES: &str = "openid profile email federated:id groups";

pub const FLY: &str = "Basic Zmx5OlpteDU=";

/// One user, one pipeline `p` in `main` with the job `j`, which does what `script` says.
pub fn one_job(script: Script) -> TwinBuilder {
    ConcourseTwin::builder()
        .user("ci-gateway", "s3cret")
        .team("main", |team| team.role("ci-gateway", Role::PipelineOperator))
        .pipeline("main", "p", |pipeline| pipeline.job("j", |job| job.script(script)))
}

pub const JOB: &str = "/api/v1/teams/main/pipelines/p/jobs/j";

#[derive(Clone)]
pub struct Client {
    address: String,
    token: Option<String>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Client {
    pub fn anonymous(twin: &ConcourseTwin) -> Self {
        Self { address: twin.url().trim_start_matches("http://").to_owned(), token: None }
    }

    /// Logs `ci-gateway` in.
    pub async fn login(twin: &ConcourseTwin) -> Self {
        Self::login_with(twin, "ci-gateway", SCOPES).await
    }

    pub async fn login_with(twin: &ConcourseTwin, user: &str, scope: &str) -> Self {
        let client = Self::anonymous(twin);
        let reply = client.password(user, "s3cret", scope).await;
        client.with_token(reply.json()["access_token"].as_str().unwrap())
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub async fn password(&self, user: &str, password: &str, scope: &str) -> Reply {
        let form = [("grant_type", "password"), ("username", user), ("password", password), ("scope", scope)];
        self.token_request(Some(FLY), &form).await
    }

    pub async fn token_request(&self, authorization: Option<&str>, form: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = Request::post("/sky/issuer/token");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        self.reply(request, body).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, "").await
    }

    pub async fn post(&self, path: &str) -> Reply {
        self.call(Method::POST, path, "").await
    }

    pub async fn put(&self, path: &str, body: &str) -> Reply {
        self.call(Method::PUT, path, body).await
    }

    pub async fn call(&self, method: Method, path: &str, body: &str) -> Reply {
        self.try_call(method, path, body).await.unwrap()
    }

    pub async fn try_call(&self, method: Method, path: &str, body: &str) -> anyhow::Result<Reply> {
        self.reply(self.request(method, path), body.to_owned()).await
    }

    /// Triggers the job and returns the id of the build.
    pub async fn trigger(&self, job: &str) -> i64 {
        let reply = self.post(&format!("{job}/builds")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["id"].as_i64().unwrap()
    }

    pub async fn events(&self, build: i64, headers: &[(&str, &str)]) -> EventStream {
        self.try_events(build, headers).await.unwrap()
    }

    pub async fn try_events(&self, build: i64, headers: &[(&str, &str)]) -> anyhow::Result<EventStream> {
        let path = format!("/api/v1/builds/{build}/events");
        let request = headers
            .iter()
            .fold(self.request(Method::GET, &path), |request, (name, value)| request.header(*name, *value));
        let (head, body) = self.send(request, String::new()).await?.into_parts();
        Ok(EventStream { status: head.status, headers: head.headers, body, seen: Vec::new(), taken: 0 })
    }

    /// A call with headers of its own.
    pub async fn send_with(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let request = self.request(method, path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.reply(request, body.to_owned()).await.unwrap()
    }

    /// The same, whose answer does not end.
    pub async fn send_for_stream(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> EventStream {
        let request = self.request(method, path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (head, body) = self.send(request, String::new()).await.unwrap().into_parts();
        EventStream { status: head.status, headers: head.headers, body, seen: Vec::new(), taken: 0 }
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    async fn reply(&self, request: http::request::Builder, body: String) -> anyhow::Result<Reply> {
        let (head, body) = self.send(request, body).await?.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok(Reply { status: head.status, headers: head.headers, body })
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: String,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = request.header("host", &self.address).body(Full::new(Bytes::from(body)))?;
        // The connection lives until the body is read or dropped.
        Ok(sender.send_request(request).await?)
    }
}

pub const END: &str = "event: end\ndata\n\n";

/// An event stream being read.
pub struct EventStream {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    seen: Vec<u8>,
    taken: usize,
}

impl EventStream {
    /// Reads on; `None` when the connection was cut.
    async fn more(&mut self) -> Option<()> {
        let frame = self.body.frame().await?.ok()?;
        self.seen.extend_from_slice(&frame.into_data().ok()?);
        Some(())
    }

    /// Returns the next record with its blank line, or `None` at a cut.
    pub async fn record(&mut self) -> Option<String> {
        loop {
            let rest = &self.seen[self.taken..];
            if let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") {
                let record = String::from_utf8(rest[..end + 2].to_vec()).unwrap();
                self.taken += end + 2;
                return Some(record);
            }
            self.more().await?;
        }
    }

    /// Reads records until one has `text` in it.
    pub async fn record_with(&mut self, text: &str) -> String {
        loop {
            let record = self.record().await.expect("the stream was cut");
            if record.contains(text) {
                return record;
            }
        }
    }

    /// Returns everything up to and with `end`.
    pub async fn until_end(&mut self) -> String {
        while !self.seen.ends_with(END.as_bytes()) {
            self.more().await.expect("the stream was cut");
        }
        self.taken = self.seen.len();
        String::from_utf8(self.seen.clone()).unwrap()
    }

    /// Returns everything up to `end` or the cut, whichever comes first.
    pub async fn until_end_or_cut(mut self) -> String {
        while !self.seen.ends_with(END.as_bytes()) && self.more().await.is_some() {}
        String::from_utf8(self.seen).unwrap()
    }

    /// Returns every byte that came before the cut.
    pub async fn until_cut(mut self) -> Vec<u8> {
        while self.more().await.is_some() {}
        self.seen
    }

    /// Decompresses as it reads, up to and with `end`.
    pub async fn gunzip_until_end(&mut self) -> String {
        loop {
            let mut text = Vec::new();
            // The stream of a connection that stays open has no end, which the decoder misses.
            let _ = GzDecoder::new(self.seen.as_slice()).read_to_end(&mut text);
            if text.ends_with(END.as_bytes()) {
                return String::from_utf8(text).unwrap();
            }
            self.more().await.expect("the stream was cut");
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The envelopes of a stream, in order.
pub fn envelopes(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}
