//! The way of one request: limits, route, authorizer, function, answer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use gatehouse_domain::clock::{Clock, IdSource};
use gatehouse_template::{Template, TransferMode};
use http::{HeaderName, HeaderValue, Response, uri::Authority};
use http_body::Body as HttpBody;
use serde_json::Value;
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
        })))
    }

    /// What the authorizers of this gateway have answered.
    pub fn authorizer_caches(&self) -> AuthorizerCaches {
        AuthorizerCaches(Arc::downgrade(&self.0))
    }

    pub async fn answer<B>(&self, request: http::Request<B>, source_ip: std::net::IpAddr) -> Response<Body>
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
        if !names_a_host(incoming) {
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
        let Some(found) = self.assembly.routes.find(&request.method, &request.path) else {
            return self.refuse(&Refusal::NoRoute, request, None);
        };
        let routed = Routed { resource: found.resource.to_owned(), parameters: found.parameters };
        match self.integrate(found.target, request, &routed).await {
            Ok(response) => response,
            Err(refusal) => self.refuse(&refusal, request, Some(&routed)),
        }
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
fn names_a_host(request: &Incoming) -> bool {
    let Some(host) = request.header("host").filter(|host| !host.contains('@')) else { return false };
    host.parse::<Authority>().is_ok() && Url::parse(&format!("http://{host}/")).is_ok()
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
