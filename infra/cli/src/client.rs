//! Calls to a Gatehouse.

use std::time::Duration;

use gatehouse_domain::json::Json;
use gatehouse_outbound::{BodyError, HttpSetupError, OutboundClient, OutboundHttp, read_body};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;

use crate::{
    failure::{Failure, Problem},
    server_url::ServerUrl,
};

/// How long connecting may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the server may be silent: three of the comments that keep a silent stream alive.
const SILENCE: Duration = Duration::from_secs(45);

/// How long a call may take: a Gatehouse answers, or gives up, within 29 s.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// How much of an answer is read, in bytes: more than API Gateway lets through.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// How many entries a page has.
pub(crate) const PAGE: u32 = 100;

/// Speaks with one Gatehouse, as one caller.
pub(crate) struct Client {
    http: OutboundClient,
    site: ServerUrl,
    token: Option<SecretString>,
    hint: String,
}

/// What the server said.
pub(crate) struct Answer {
    /// The body as it came.
    pub(crate) text: String,
    /// The body as JSON; null without one.
    pub(crate) body: Json,
    /// Which version of the thing this is.
    pub(crate) etag: Option<String>,
}

/// A request that is being put together.
pub(crate) struct Call<'a> {
    client: &'a Client,
    request: RequestBuilder,
}

impl Client {
    /// A client that sends no credential.
    pub(crate) fn anonymous(site: ServerUrl) -> Result<Self, Failure> {
        let http = http_client(&site)?;
        Ok(Self { http, site, token: None, hint: String::new() })
    }

    /// Sends `token` with every call; `hint` is what people are told when it is not taken.
    #[must_use]
    pub(crate) fn with_token(mut self, token: SecretString, hint: String) -> Self {
        self.token = Some(token);
        self.hint = hint;
        self
    }

    pub(crate) fn site(&self) -> &ServerUrl {
        &self.site
    }

    /// Begins a call to a path, given by its segments.
    pub(crate) fn call(&self, method: Method, path: &[&str]) -> Result<Call<'_>, Failure> {
        let mut request = self.http.request(method, self.site.join(path)?)?;
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        Ok(Call { client: self, request })
    }

    /// `GET` of a path.
    pub(crate) async fn get(&self, path: &[&str]) -> Result<Answer, Failure> {
        self.call(Method::GET, path)?.answer().await
    }

    /// All entries of a list, over all its pages; `member` is the one that holds those of a page.
    pub(crate) async fn all(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
        member: &str,
    ) -> Result<Vec<Json>, Failure> {
        let (mut entries, mut cursor) = (Vec::new(), None);
        loop {
            let paging = [("limit", Some(PAGE.to_string())), ("cursor", cursor.clone())];
            let page = self.call(Method::GET, path)?.query(query).query(&paging).answer().await?;
            entries.extend_from_slice(page.body[member].as_array().unwrap_or_default());
            let next = page.body["next_cursor"].as_str().map(str::to_owned);
            if next.is_none() {
                return Ok(entries);
            }
            if next == cursor {
                return Err(Failure::Nonsense(format!("{} answers the same page for ever", self.site)));
            }
            cursor = next;
        }
    }

    /// `POST` of JSON to a path.
    pub(crate) async fn post(&self, path: &[&str], body: &Value) -> Result<Answer, Failure> {
        self.call(Method::POST, path)?.json(body).answer().await
    }

    /// `DELETE` of a path.
    pub(crate) async fn delete(&self, path: &[&str]) -> Result<Answer, Failure> {
        self.call(Method::DELETE, path)?.answer().await
    }

    fn lost(&self, error: reqwest::Error) -> Failure {
        Failure::Unreachable { site: self.site.to_string(), source: error.without_url() }
    }

    async fn problem(&self, response: Response) -> Failure {
        let status = response.status();
        if status.is_redirection() {
            return Failure::Nonsense(format!(
                "{} sends callers elsewhere ({status}); credentials do not follow, so name the right URL",
                self.site
            ));
        }
        let retry_after = text_header(&response, header::RETRY_AFTER).and_then(|text| text.parse().ok());
        let text = read(response).await.unwrap_or_default();
        let mut problem: Problem = serde_json::from_str(&text).unwrap_or_default();
        if problem.title.is_empty() {
            status.canonical_reason().unwrap_or("The server refused").clone_into(&mut problem.title);
        }
        problem.body = serde_json::from_str::<Value>(&text).is_ok().then_some(text);
        problem.status = status.as_u16();
        problem.retry_after = retry_after;
        // A password or a code that is wrong, or missing, says nothing of the token.
        let is_about_people = ["/problems/login-refused", "/problems/second-factor-required"]
            .contains(&problem.r#type.as_str());
        let is_token_refused = status == StatusCode::UNAUTHORIZED && !is_about_people;
        problem.hint = (is_token_refused && self.token.is_some()).then(|| self.hint.clone());
        Failure::Problem(Box::new(problem))
    }
}

impl<'a> Call<'a> {
    /// The same call once more; `None` of one whose body cannot be read twice.
    pub(crate) fn again(&self) -> Option<Call<'a>> {
        Some(Call { client: self.client, request: self.request.try_clone()? })
    }

    /// Adds parameters to the query, those that have a value.
    #[must_use]
    pub(crate) fn query(mut self, parameters: &[(&str, Option<String>)]) -> Self {
        for (name, value) in parameters {
            if let Some(value) = value {
                self.request = self.request.query(&[(name, value)]);
            }
        }
        self
    }

    #[must_use]
    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        self.request = self.request.json(body);
        self
    }

    #[must_use]
    pub(crate) fn body(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.request = self.request.header(header::CONTENT_TYPE, content_type).body(body);
        self
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Sends it and reads the answer; an answer that is no success is a [`Failure`].
    pub(crate) async fn answer(mut self) -> Result<Answer, Failure> {
        self.request = self.request.timeout(CALL_TIMEOUT);
        let client = self.client;
        let response = self.open().await?;
        let etag = text_header(&response, header::ETAG);
        let text = read(response).await.map_err(|error| match error {
            BodyError::Lost(error) => client.lost(error),
            BodyError::TooLong(limit) => {
                Failure::Nonsense(format!("{} answers with more than {limit} bytes", client.site))
            }
        })?;
        let body = match text.as_str() {
            "" => Json::Null,
            text => Json::parse(text).map_err(|_| {
                Failure::Nonsense(format!("{} answers with something else than JSON", client.site))
            })?,
        };
        Ok(Answer { text, body, etag })
    }

    /// Sends it and leaves the body to be read as it comes.
    pub(crate) async fn open(self) -> Result<Response, Failure> {
        let client = self.client;
        let response = self.request.send().await.map_err(|error| client.lost(error))?;
        if response.status().is_success() { Ok(response) } else { Err(client.problem(response).await) }
    }
}

fn text_header(response: &Response, name: header::HeaderName) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

async fn read(response: Response) -> Result<String, BodyError> {
    Ok(String::from_utf8_lossy(&read_body(response, ANSWER_LIMIT).await?).into_owned())
}

/// A client of a site. A proxy that the environment names is used, except for this very machine.
fn http_client(site: &ServerUrl) -> Result<OutboundClient, HttpSetupError> {
    let http = OutboundHttp::unguarded(concat!("gatehouse-cli/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE);
    let http = if site.is_loopback() { http.without_proxy() } else { http };
    http.client(None)
}
