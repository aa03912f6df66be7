//! What API Gateway says of a request: its id, who is calling, the route that it matched, the deadline.

use std::{convert::Infallible, str::FromStr};

use axum::{extract::FromRequestParts, http::request::Parts};
use gatehouse_domain::{
    access::{Role, Scope},
    caller::{Caller, Grant, Tenants},
};
use http::Uri;
use jiff::Timestamp;
use lambda_http::{
    Context, RequestExt, aws_lambda_events::apigw::ApiGatewayProxyRequestContext, request::RequestContext,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

/// What may stand in a path segment as it is: RFC 3986 unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a REST API of API Gateway says of the request. Other fronts are not served.
fn context(extensions: &http::Extensions) -> Option<&ApiGatewayProxyRequestContext> {
    match extensions.get::<RequestContext>()? {
        RequestContext::ApiGatewayV1(context) => Some(context),
        _ => None,
    }
}

/// The id that API Gateway gave the request.
pub fn request_id(extensions: &http::Extensions) -> Option<String> {
    context(extensions)?.request_id.clone()
}

/// Who is calling, from the context that the authorizer attached. `None` when it attached none, or one
/// that makes no sense: then nobody is.
pub fn caller(extensions: &http::Extensions) -> Option<Caller> {
    let fields = &context(extensions)?.authorizer.fields;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let grant = match text("kind")? {
        "user" => Grant::User(Role::ALL.into_iter().find(|role| Some(role.as_str()) == text("role"))?),
        "api_key" => {
            let scopes = text("scopes")?.split_ascii_whitespace().map(Scope::from_str);
            Grant::ApiKey(scopes.collect::<Result<_, _>>().ok()?)
        }
        _ => return None,
    };
    Some(Caller {
        subject: text("subject")?.to_owned(),
        grant,
        tenants: text("tenants")?.parse::<Tenants>().ok()?,
    })
}

/// Points the request at the route that API Gateway matched, with the parameters it read.
///
/// Taking API Gateway's own match instead of matching its path again leaves no room for a path that is
/// read one way there, where the caller was admitted, and another way here. Whether it hands parameters
/// over decoded makes no difference: no id holds a `%`, so decoding one twice is decoding it once.
pub fn restore_path<B>(mut request: http::Request<B>) -> http::Request<B> {
    if let Some(path) = matched_path(&request) {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(uri) = format!("{path}{query}").parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    request
}

fn matched_path<B>(request: &http::Request<B>) -> Option<String> {
    let context = context(request.extensions())?;
    let parameters = request.path_parameters_ref();
    let segments = context.resource_path.as_deref()?.split('/').map(|segment| {
        let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
        match name {
            None => Some(segment.to_owned()),
            Some(name) => {
                let value = percent_decode_str(parameters?.first(name)?).decode_utf8_lossy();
                Some(utf8_percent_encode(&value, SEGMENT).to_string())
            }
        }
    });
    segments.collect::<Option<Vec<_>>>().map(|segments| segments.join("/"))
}

/// When Lambda ends this invocation; `None` outside Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(pub Option<Timestamp>);

impl<S: Sync> FromRequestParts<S> for Deadline {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let millis = parts.extensions.get::<Context>().map(|context| context.deadline);
        let millis = millis.and_then(|millis| i64::try_from(millis).ok()).filter(|millis| *millis > 0);
        Ok(Self(millis.and_then(|millis| Timestamp::from_millisecond(millis).ok())))
    }
}
