//! `Invoke` of Lambda's own API, for functions that no route leads to: on AWS a schedule calls them, and
//! people with `aws lambda invoke`.
//!
//! Only this machine may, since nothing here checks signatures. Functions that routes lead to are left out:
//! an event that somebody made up would get past the authorizer.

use std::collections::BTreeMap;

use axum::body::Body;
use bytes::Bytes;
use gatehouse_template::Template;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{
    invoke::{CallError, DeployedFunction},
    request::Incoming,
};

/// The functions that can be called directly, by name.
#[derive(Default)]
pub struct Invocable(BTreeMap<String, DeployedFunction>);

impl Invocable {
    /// Those of `deployed` that the API does not lead to.
    pub fn of(template: &Template, deployed: &BTreeMap<String, DeployedFunction>) -> Self {
        let authorizers = template.api.authorizers.values();
        let authorizers: Vec<_> = authorizers.map(|authorizer| authorizer.function.as_str()).collect();
        let is_inside = |name: &str| {
            template.function(name).is_none_or(|function| !function.routes.is_empty())
                || authorizers.contains(&name)
        };
        let outside = deployed.iter().filter(|(name, _)| !is_inside(name));
        Self(outside.map(|(name, function)| (name.clone(), function.clone())).collect())
    }

    /// Answers `POST /2015-03-31/functions/{name}/invocations`; `None` where that is not what is asked, or
    /// not by this machine.
    pub async fn answer(&self, request: &Incoming) -> Option<Response<Body>> {
        let name = request.path.strip_prefix("/2015-03-31/functions/")?.strip_suffix("/invocations")?;
        let function = self.0.get(name)?;
        if request.method != Method::POST || !request.source_ip.to_canonical().is_loopback() {
            return None;
        }
        let event =
            if request.body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(&request.body) };
        let Ok(event) = event else { return Some(refusal()) };
        Some(answer(function.call(&event, request).await))
    }
}

fn answer(called: Result<Bytes, CallError>) -> Response<Body> {
    match called {
        Ok(payload) => response(StatusCode::OK, Body::from(payload)),
        Err(error) => {
            let payload = match error {
                CallError::Failed { kind, message } => json!({ "errorType": kind, "errorMessage": message }),
                other => json!({ "errorMessage": other.to_string() }),
            };
            let mut response = response(StatusCode::OK, Body::from(payload.to_string()));
            let failed = HeaderValue::from_static("Unhandled");
            response.headers_mut().insert(HeaderName::from_static("x-amz-function-error"), failed);
            response
        }
    }
}

/// What Lambda says of an event that is not JSON.
fn refusal() -> Response<Body> {
    let body: Value = json!({ "Type": "User", "Message": "Could not parse request body into json" });
    let mut response = response(StatusCode::BAD_REQUEST, Body::from(body.to_string()));
    let kind = HeaderValue::from_static("InvalidRequestContentException");
    response.headers_mut().insert(HeaderName::from_static("x-amzn-errortype"), kind);
    response
}

fn response(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HeaderName::from_static("x-amz-executed-version"), HeaderValue::from_static("$LATEST"));
    response
}
