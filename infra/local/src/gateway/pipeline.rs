//! The way of one request: limits, route, authorizer, function, answer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use axum::{body::Body, response::IntoResponse};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use gatehouse_domain::clock::{Clock, IdSource};
use gatehouse_http::request_log::SECURITY_HEADERS;
use gatehouse_loopback::{OwnNames, Stranger};
use gatehouse_template::{Template, TransferMode};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, uri::Authority};
use http_body::Body as HttpBody;
use serde_json::{Value, json};
use tokio::{
    task::yield_now,
    time::{Instant, timeout, timeout_at},
};
use tracing::error;
use url::Url;

use super::{
    GatewayError,
    assembly::{Assembly, Target, assemble},
    authorizer::{Authorizer, Question},
    body,
    event::{Routed, proxy_event, request_context},
    gateway_response::{GatewayResponses, Refusal, stamp},
    invoke::{CallError, DeployedFunction, LambdaFunction, StreamedAnswer},
    limits::Limits,
    request::Incoming,
    response::{self, Head},
    settings::GatewaySettings,
    visitors::KnownToEverybody,
};
use crate::aws::ids::{extended_request_id, trace_id, uuid};

/// API Gateway in this process. Clones share everything.
#[derive(Clone)]
pub struct Gateway(Arc<Parts>);

struct Parts {
    assembly: Assembly,
    responses: GatewayResponses,
    binary: Vec<String>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    names: OwnNames,
    refused: KnownToEverybody,
}

/// The memory of a gateway's authorizers. It may outlive the gateway, whose functions hold it.
#[derive(Clone)]
pub struct AuthorizerCaches(Weak<Parts>);

impl AuthorizerCaches {
    /// Forgets every answer of every authorizer, as `flush-stage-authorizers-cache` does.
    pub fn flush(&self) {
        if let Some(parts) = self.0.upgrade() {
            parts.assembly.authorizers.iter().for_each(|authorizer| authorizer.flush());
        }
    }
}

impl Gateway {
    /// Puts the functions behind the template's routes.
    ///
    /// # Errors
    /// When the template names a function that is not given, or one is given that it does not name.
    pub fn new(
        template: &Template,
        functions: &BTreeMap<String, LambdaFunction>,
        settings: GatewaySettings,
    ) -> Result<Self, GatewayError> {
        Ok(Self(Arc::new(Parts {
            assembly: assemble(template, functions, &settings)?,
            responses: GatewayResponses::new(template.api.gateway_responses.clone()),
            binary: template.api.binary_media_types.clone(),
            limits: settings.limits,
            clock: settings.clock,
            ids: settings.ids,
            names: settings.names,
            refused: settings.refused,
        })))
    }

    /// What the authorizers of this gateway have answered.
    pub fn authorizer_caches(&self) -> AuthorizerCaches {
        AuthorizerCaches(Arc::downgrade(&self.0))
    }

    /// Answers a request that came over the network: one that names this gateway, was not made by a page of another
    /// site, and brings no credential that everybody knows.
    pub async fn visited<B>(&self, request: http::Request<B>, source_ip: std::net::IpAddr) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin,
    {
        let mut response = match self.0.names.admit(request.uri(), request.headers()) {
            // A host that is none is a bad request, and goes no further than that.
            Err(Stranger::OtherHost) if !names_a_host(request.headers()) => {
                self.answer(request, source_ip).await
            }
            Err(stranger) => stranger.into_response(),
            Ok(()) => self.respond(request, source_ip, &self.0.refused).await,
        };
        // Over plain HTTP it must not be sent: RFC 6797, 7.2.
        response.headers_mut().remove(header::STRICT_TRANSPORT_SECURITY);
        response
    }

    /// Answers a request that was made in this process.
    pub async fn answer<B>(&self, request: http::Request<B>, source_ip: std::net::IpAddr) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin,
    {
        self.respond(request, source_ip, &KnownToEverybody::default()).await
    }

    async fn respond<B>(
        &self,
        request: http::Request<B>,
        source_ip: std::net::IpAddr,
        refused: &KnownToEverybody,
    ) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin,
    {
        let (parts, body) = request.into_parts();
        if matches!(parts.uri.path(), "/ping" | "/sping") {
            // API Gateway keeps these two paths for its own health check.
            return Response::new(Body::from("OK"));
        }
        let mut incoming = self.0.incoming(parts, source_ip);
        let mut response = match self.0.read_body(&mut incoming, body).await {
            Ok(()) if refused.is_in(&incoming) => self.0.refuse(&Refusal::Unauthorized, &incoming, None),
            Ok(()) => self.0.answer(&incoming).await,
            Err(refusal) => self.0.refuse(&refusal, &incoming, None),
        };
        stamp(&mut response, &incoming);
        response
    }

    /// How long open requests may last after a shutdown was asked for.
    pub(super) fn shutdown_grace(&self) -> Duration {
        self.0.limits.shutdown
    }
}

impl Parts {
    fn incoming(&self, parts: http::request::Parts, source_ip: std::net::IpAddr) -> Incoming {
        let received_at = self.clock.now();
        Incoming {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            version: parts.version,
            headers: parts.headers,
            body: Bytes::new(),
            source_ip,
            received_at,
            request_id: uuid(&*self.ids),
            extended_request_id: extended_request_id(&*self.ids),
            trace_id: trace_id(&*self.ids, received_at),
        }
    }

    async fn read_body<B>(&self, incoming: &mut Incoming, body: B) -> Result<(), Refusal>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin,
    {
        if !names_a_host(&incoming.headers) {
            return Err(Refusal::BadHost);
        }
        let headers: usize = incoming.headers.values().map(HeaderValue::len).sum();
        if headers > self.limits.request_headers {
            return Err(Refusal::HeadersTooLarge { limit: self.limits.request_headers });
        }
        incoming.body = body::read(body, self.limits.request_body).await?;
        Ok(())
    }

    async fn answer(&self, request: &Incoming) -> Response<Body> {
        if let Some(answer) = self.assembly.invocable.answer(request).await {
            return answer;
        }
        if matches!(request.method, Method::TRACE | Method::CONNECT) {
            return not_allowed(&request.method, &self.methods_at(&request.path));
        }
        let Some(found) = self.assembly.routes.find(&request.method, &request.path) else {
            return self.refuse(&Refusal::NoRoute, request, None);
        };
        let routed = Routed { resource: found.resource.to_owned(), parameters: found.parameters };
        match self.integrate(found.target, request, &routed).await {
            Ok(response) => response,
            Err(refusal) => self.refuse(&refusal, request, Some(&routed)),
        }
    }

    /// The methods that the template has at a path.
    fn methods_at(&self, path: &str) -> Vec<&'static str> {
        let all = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let names = ["GET", "POST", "PUT", "PATCH", "DELETE"];
        let found =
            all.iter().zip(names).filter(|(method, _)| self.assembly.routes.find(method, path).is_some());
        found.map(|(_, name)| name).collect()
    }

    async fn integrate(
        &self,
        target: &Target,
        request: &Incoming,
        routed: &Routed,
    ) -> Result<Response<Body>, Refusal> {
        let mut context = request_context(&self.assembly.api, request, Some(routed));
        if let Some(authorizer) = &target.authorizer {
            context["authorizer"] = self.authorize(authorizer, request, routed, &context).await?;
        }
        let event = proxy_event(request, routed, &context, &self.binary);
        let mut response = match target.transfer {
            TransferMode::Buffered => self.buffered(target, &event, request).await?,
            TransferMode::Streaming => self.streaming(target, &event, request).await?,
        };
        if let Ok(trace) = HeaderValue::from_str(&request.trace_id) {
            response.headers_mut().insert(HeaderName::from_static("x-amzn-trace-id"), trace);
        }
        Ok(response)
    }

    async fn authorize(
        &self,
        authorizer: &Authorizer,
        request: &Incoming,
        routed: &Routed,
        context: &Value,
    ) -> Result<Value, Refusal> {
        let method_arn = self.assembly.api.method_arn(request);
        if method_arn.len() > self.limits.method_arn {
            return Err(Refusal::PathTooLong);
        }
        let question = Question { request, routed, context, method_arn: &method_arn };
        let decided = timeout(self.limits.authorizer, authorizer.authorize(question)).await;
        decided.unwrap_or(Err(Refusal::AuthorizerFailed))
    }

    async fn buffered(
        &self,
        target: &Target,
        event: &Value,
        request: &Incoming,
    ) -> Result<Response<Body>, Refusal> {
        let called = timeout(target.timeout, target.function.call(event, request)).await;
        let payload = called
            .map_err(|_| Refusal::IntegrationTimeout)?
            .map_err(|error| failure(&target.function, &error))?;
        let accept = request.header("accept").unwrap_or_default();
        let (head, body) = response::buffered(&payload, &accept, &self.binary)
            .map_err(|error| malformed(&target.function, &error))?;
        Ok(with_head(head, Body::from(body)))
    }

    async fn streaming(
        &self,
        target: &Target,
        event: &Value,
        request: &Incoming,
    ) -> Result<Response<Body>, Refusal> {
        let deadline = Instant::now() + target.timeout.min(target.function.timeout());
        let called = timeout(target.timeout, target.function.stream(event, request)).await;
        let answer = called
            .map_err(|_| Refusal::IntegrationTimeout)?
            .map_err(|error| failure(&target.function, &error))?;
        let head = response::prelude(&answer.prelude).map_err(|error| malformed(&target.function, &error))?;
        Ok(with_head(head, cut_at(answer, deadline, self.limits.stream_silence)))
    }

    fn refuse(&self, refusal: &Refusal, request: &Incoming, routed: Option<&Routed>) -> Response<Body> {
        let context = request_context(&self.assembly.api, request, routed);
        self.responses.render(refusal, request, &context).map(Body::from)
    }
}

/// Passes a stream's chunks on as they come. At the deadline, or after too long a silence, the
/// connection breaks off without an end, so that the caller can tell.
fn cut_at(answer: StreamedAnswer, deadline: Instant, silence: Duration) -> Body {
    let chunks = stream::unfold(Some(answer.body), move |body| async move {
        let mut body = body?;
        let until = deadline.min(Instant::now() + silence);
        match timeout_at(until, body.next()).await {
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(body))),
            Ok(Some(Err(error))) => Some((Err(break_off(error).await), None)),
            Ok(None) => None,
            Err(_) => Some((Err(break_off("the stream was cut at its deadline".into()).await), None)),
        }
    });
    Body::from_stream(chunks)
}

/// Lets the chunks before the break go out first: an error drops what has not been written.
async fn break_off(error: lambda_runtime::Error) -> lambda_runtime::Error {
    yield_now().await;
    error
}

/// On AWS a request with another host than the API's never gets here. `lambda_http` puts the host before
/// the path and parses both as one URL, so a host with a slash in it would change the path.
fn names_a_host(headers: &HeaderMap) -> bool {
    let host = headers.get_all(header::HOST).iter().next_back().and_then(|host| host.to_str().ok());
    let Some(host) = host.filter(|host| !host.contains('@')) else { return false };
    host.parse::<Authority>().is_ok() && Url::parse(&format!("http://{host}/")).is_ok()
}

/// Methods that a REST API cannot have at all.
fn not_allowed(method: &Method, allowed: &[&str]) -> Response<Body> {
    let detail = format!("No path takes {method}.");
    let body = json!({
        "type": "/problems/method-not-allowed", "title": "Method not allowed", "status": 405, "detail": detail,
    });
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    let allow = [(header::ALLOW, allowed.join(", "))];
    let mut response = (StatusCode::METHOD_NOT_ALLOWED, kind, allow, body.to_string()).into_response();
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn with_head(head: Head, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

fn failure(function: &DeployedFunction, error: &CallError) -> Refusal {
    if matches!(error, CallError::EventTooLarge(_)) {
        return Refusal::EventTooLarge;
    }
    error!(function = function.name(), %error, "the function failed");
    Refusal::FunctionFailed
}

fn malformed(function: &DeployedFunction, error: &response::Malformed) -> Refusal {
    error!(function = function.name(), %error, "the function's answer cannot be sent");
    Refusal::FunctionFailed
}
