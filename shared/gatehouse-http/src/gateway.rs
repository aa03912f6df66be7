//! What API Gateway says of a request: its id, who is calling, the route that it matched, the deadline.

use std::{convert::Infallible, time::Duration};

use axum::{extract::FromRequestParts, http::request::Parts};
use gatehouse_domain::{
    audit::{MAX_USER_AGENT, Origin},
    caller::Caller,
    caller_context,
    revocation::Stage,
};
use http::Uri;
use jiff::Timestamp;
use lambda_http::{
    Context, RequestExt, aws_lambda_events::apigw::ApiGatewayProxyRequestContext, request::RequestContext,
};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

/// What may stand in a path segment as it is: RFC 3986 unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a path cannot hold as it is: without it, routing sees the same segments. A `%` stays.
const UNSEEN_IN_PATHS: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}');

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

/// The trace that the request belongs to, as X-Ray names it: the root of what Lambda says of it. Part of that comes from
/// whoever calls, so nothing is taken but `1-<8 hex digits>-<24 hex digits>`.
pub(crate) fn trace_id(extensions: &http::Extensions) -> Option<String> {
    let said = extensions.get::<Context>()?.xray_trace_id.as_deref()?;
    let root = said.split(';').find_map(|field| field.strip_prefix("Root="))?;
    is_trace_id(root).then(|| root.to_owned())
}

fn is_trace_id(text: &str) -> bool {
    let hex = |part: &str, digits| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<_> = text.split('-').collect();
    matches!(parts[..], ["1", time, number] if hex(time, 8) && hex(number, 24))
}

/// Who is calling, from the context that the authorizer attached. `None` when it attached none, or one
/// that makes no sense: then nobody is.
pub fn caller(extensions: &http::Extensions) -> Option<Caller> {
    caller_context::read(authorized(context(extensions)?))
}

/// What the authorizer said, by name.
fn authorized<'a>(context: &'a ApiGatewayProxyRequestContext) -> impl Fn(&str) -> Option<&'a str> {
    |name| context.authorizer.fields.get(name).and_then(Value::as_str)
}

/// How long before its end a token's answers say so.
const ANNOUNCED_BEFORE_END: Duration = Duration::from_hours(14 * 24);

/// When the caller's token ends, if that is soon, by API Gateway's clock.
pub(crate) fn expires_soon(extensions: &http::Extensions) -> Option<Timestamp> {
    let context = context(extensions)?;
    let expires_at = caller_context::read_token_expiry(authorized(context))?;
    let now = Timestamp::from_millisecond(context.request_time_epoch).ok()?;
    (expires_at - ANNOUNCED_BEFORE_END <= now).then_some(expires_at)
}

/// When API Gateway got the request, by its own clock; `None` where it does not say.
pub(crate) fn received_at(extensions: &http::Extensions) -> Option<Timestamp> {
    let epoch = context(extensions)?.request_time_epoch;
    Timestamp::from_millisecond(epoch).ok().filter(|_| epoch > 0)
}

/// The stage through which the request came.
pub(crate) fn stage(extensions: &http::Extensions) -> Option<Stage> {
    let context = context(extensions)?;
    Some(Stage { api_id: context.apiid.clone()?, name: context.stage.clone()? })
}

/// From where the request comes.
pub(crate) fn origin(extensions: &http::Extensions) -> Origin {
    let Some(context) = context(extensions) else { return Origin::default() };
    let user_agent = context.identity.user_agent.as_deref();
    let user_agent = user_agent.map(|text| &text[..text.floor_char_boundary(MAX_USER_AGENT)]);
    Origin {
        request_id: context.request_id.clone().unwrap_or_default(),
        source_ip: context.identity.source_ip.clone(),
        user_agent: user_agent.filter(|text| !text.is_empty()).map(str::to_owned),
    }
}

/// The rest of the path that a greedy parameter took, as it stands in the request line.
#[derive(Debug, Clone)]
pub(crate) struct Rest(pub String);

/// Points the request at the route that API Gateway matched, with the parameters it read.
///
/// Taking API Gateway's own match instead of matching its path again leaves no room for a path that is
/// read one way there, where the caller was admitted, and another way here.
///
/// A parameter of one segment is an id or a name. Whether API Gateway hands it over decoded makes no
/// difference: none holds a `%`, so decoding one twice is decoding it once. What a greedy parameter takes
/// is for whoever is behind us to read, so it stays as it is: `%2F`, `//` and `..` mean there what they mean
/// there.
pub fn restore_path<B>(mut request: http::Request<B>) -> http::Request<B> {
    if let Some((path, rest)) = matched_path(&request) {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(uri) = format!("{path}{query}").parse::<Uri>() {
            *request.uri_mut() = uri;
        }
        if let Some(rest) = rest {
            request.extensions_mut().insert(Rest(rest));
        }
    }
    request
}

/// The path, and what of it the greedy parameter took.
fn matched_path<B>(request: &http::Request<B>) -> Option<(String, Option<String>)> {
    let context = context(request.extensions())?;
    let parameters = request.path_parameters_ref();
    let mut rest = None;
    let segments = context.resource_path.as_deref()?.split('/').map(|segment| {
        let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
        let Some(name) = name else { return Some(segment.to_owned()) };
        // API Gateway writes the parameter of `{proxy+}` as `proxy`.
        if let Some(greedy) = name.strip_suffix('+') {
            let value = parameters?.first(greedy)?;
            rest = Some(value.to_owned());
            return Some(utf8_percent_encode(value, UNSEEN_IN_PATHS).to_string());
        }
        let value = percent_decode_str(parameters?.first(name)?).decode_utf8_lossy();
        Some(utf8_percent_encode(&value, SEGMENT).to_string())
    });
    let path = segments.collect::<Option<Vec<_>>>()?.join("/");
    Some((path, rest))
}

/// When Lambda ends this invocation; `None` outside Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(pub Option<Timestamp>);

impl Deadline {
    /// How long before the deadline an answer that lasts ends itself.
    const MARGIN: Duration = Duration::from_secs(5);

    /// How long an answer may still last; `None` outside Lambda, where nothing ends it.
    pub fn time_left(self, now: Timestamp) -> Option<Duration> {
        let left = |deadline: Timestamp| Duration::try_from(deadline.duration_since(now)).unwrap_or_default();
        self.0.map(|deadline| left(deadline).saturating_sub(Self::MARGIN))
    }
}

impl<S: Sync> FromRequestParts<S> for Deadline {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let millis = parts.extensions.get::<Context>().map(|context| context.deadline);
        let millis = millis.and_then(|millis| i64::try_from(millis).ok()).filter(|millis| *millis > 0);
        Ok(Self(millis.and_then(|millis| Timestamp::from_millisecond(millis).ok())))
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::request::LambdaRequest;
    use serde_json::json;

    use super::*;

    /// The path that is routed, and what a greedy parameter took.
    fn restored(resource: &str, parameters: &Value) -> (String, Option<String>) {
        let event = json!({
            "resource": resource, "path": "/as/it/came", "httpMethod": "GET", "headers": {},
            "multiValueHeaders": {}, "queryStringParameters": { "a": "1" },
            "multiValueQueryStringParameters": { "a": ["1"] }, "pathParameters": parameters,
            "requestContext": { "resourcePath": resource, "httpMethod": "GET", "identity": {} },
            "body": null, "isBase64Encoded": false,
        });
        let event: LambdaRequest = serde_json::from_value(event).unwrap();
        let request = restore_path(lambda_http::Request::from(event));
        let rest = request.extensions().get::<Rest>().map(|rest| rest.0.clone());
        assert_eq!(request.uri().query(), Some("a=1"));
        (request.uri().path().to_owned(), rest)
    }

    #[test]
    fn the_path_is_the_one_that_api_gateway_matched() {
        for (id, path) in [("a", "/v1/jobs/a"), ("a%2Fb", "/v1/jobs/a%2Fb"), ("a/b", "/v1/jobs/a%2Fb")] {
            let restored = restored("/v1/jobs/{job_id}", &json!({ "job_id": id }));
            assert_eq!(restored, (path.to_owned(), None), "{id}");
        }
    }

    #[test]
    fn a_trace_is_named_by_its_root_and_by_nothing_else_that_somebody_says() {
        let named = |said: Option<&str>| {
            let mut context = Context::default();
            context.xray_trace_id = said.map(str::to_owned);
            let mut extensions = http::Extensions::new();
            extensions.insert(context);
            trace_id(&extensions)
        };
        let root = "1-5759e988-bd862e3fe1be46a994272793";
        for said in [
            format!("Root={root}"),
            format!("Root={root};Parent=53995c3f42cd8ad8;Sampled=1"),
            format!("Self=1-67891234-12456789abcdef012345678;Root={root}"),
        ] {
            assert_eq!(named(Some(&said)).as_deref(), Some(root), "{said}");
        }
        for said in [
            None,
            Some(""),
            Some(root),
            Some("Root="),
            Some("Root=2-5759e988-bd862e3fe1be46a994272793"),
            Some("Root=1-5759e988-bd862e3fe1be46a99427279"),
            Some("Root=1-5759e988-bd862e3fe1be46a99427279g"),
            Some("Root=1-5759e988-bd862e3fe1be46a994272793-1"),
        ] {
            assert_eq!(named(said), None, "{said:?}");
        }
        assert_eq!(trace_id(&http::Extensions::new()), None);
    }

    #[test]
    fn the_rest_of_a_greedy_path_stays_as_it_is() {
        for (rest, routed) in [
            ("a/b", "/shop/a/b"),
            ("a%2Fb/%2e%2E/c", "/shop/a%2Fb/%2e%2E/c"),
            ("x//y/../z", "/shop/x//y/../z"),
            ("50%25", "/shop/50%25"),
            ("%", "/shop/%"),
            ("what?", "/shop/what%3F"),
            ("ä b", "/shop/%C3%A4%20b"),
        ] {
            let parameters = json!({ "project": "shop", "proxy": rest });
            let restored = restored("/{project}/{proxy+}", &parameters);
            assert_eq!(restored, (routed.to_owned(), Some(rest.to_owned())), "{rest}");
        }
    }
}
