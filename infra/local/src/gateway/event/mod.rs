//! The events that functions receive: REST proxy events and REQUEST authorizer events.

use std::collections::BTreeMap;

use data_encoding::{BASE64, HEXLOWER};
use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::{media, request::Incoming};
use crate::aws::Account;

/// The names that AWS would give the API.
#[derive(Clone, Debug)]
pub struct ApiIdentity {
    pub account: Account,
    pub api_id: String,
    /// The stage; comes from the template.
    pub stage: String,
}

impl ApiIdentity {
    /// The ARN that an authorizer's policy is judged against.
    pub fn method_arn(&self, request: &Incoming) -> String {
        let Self { api_id, stage, .. } = self;
        let (method, path) = (&request.method, request.path.trim_start_matches('/'));
        self.account.arn("execute-api", &format!("{api_id}/{stage}/{method}/{path}"))
    }

    pub fn function_arn(&self, function: &str) -> String {
        self.account.arn("lambda", &format!("function:{function}"))
    }
}

/// The resource that a request was routed to.
#[derive(Clone, Debug)]
pub struct Routed {
    /// The resource path, such as `/v1/jobs/{job_id}`.
    pub resource: String,
    pub parameters: BTreeMap<String, String>,
}

/// What the gateway knows about a request: `requestContext`, and `$context` of templates.
///
/// `routed` is absent for a request that no resource answers.
pub fn request_context(api: &ApiIdentity, request: &Incoming, routed: Option<&Routed>) -> Value {
    let host = request.header("host").unwrap_or_default();
    let mut context = json!({
        "accountId": api.account.id,
        "apiId": api.api_id,
        "deploymentId": "local",
        "domainName": host,
        "domainPrefix": host.split('.').next(),
        "extendedRequestId": request.extended_request_id,
        "httpMethod": request.method.as_str(),
        "identity": identity(request),
        "path": format!("/{}{}", api.stage, request.path),
        "protocol": format!("{:?}", request.version),
        "requestId": request.request_id,
        "requestTime": request.received_at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
        "requestTimeEpoch": request.received_at.as_millisecond(),
        "stage": api.stage,
    });
    if let Some(routed) = routed {
        context["resourcePath"] = routed.resource.clone().into();
        context["resourceId"] = resource_id(&routed.resource).into();
    }
    context
}

fn identity(request: &Incoming) -> Value {
    json!({
        "accessKey": null,
        "accountId": null,
        "caller": null,
        "cognitoAuthenticationProvider": null,
        "cognitoAuthenticationType": null,
        "cognitoIdentityId": null,
        "cognitoIdentityPoolId": null,
        "principalOrgId": null,
        "sourceIp": request.source_ip.to_string(),
        "user": null,
        "userAgent": request.header("user-agent"),
        "userArn": null,
    })
}

/// Six characters that stay the same for a resource, as the ids that AWS invents do.
fn resource_id(resource: &str) -> String {
    let hash = resource.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    HEXLOWER.encode(&hash.to_be_bytes()[..3])
}

/// The event of a Lambda proxy integration, version 1.0.
pub fn proxy_event(request: &Incoming, routed: &Routed, context: &Value, binary: &[String]) -> Value {
    let mut event = common(request, routed, context, &Value::Null);
    let content_type = request.header("content-type");
    let (body, is_base64) = body(request, content_type.is_some_and(|kind| media::matches(binary, &kind)));
    event.insert("body".into(), body);
    event.insert("isBase64Encoded".into(), is_base64.into());
    Value::Object(event)
}

/// The event of a REQUEST authorizer.
pub fn authorizer_event(request: &Incoming, routed: &Routed, context: &Value, method_arn: &str) -> Value {
    let mut event = common(request, routed, context, &json!({}));
    event.insert("type".into(), "REQUEST".into());
    event.insert("methodArn".into(), method_arn.into());
    Value::Object(event)
}

/// What both events share; an integration gets `null` where an authorizer gets an empty object.
fn common(request: &Incoming, routed: &Routed, context: &Value, empty: &Value) -> Map<String, Value> {
    let (headers, many_headers) = headers(request);
    let (query, many_query) = pairs(request.parameters());
    let parameters = routed.parameters.iter().map(|(name, value)| (name.clone(), value.clone().into()));
    let or_empty = |map: Map<String, Value>| if map.is_empty() { empty.clone() } else { Value::Object(map) };
    Map::from_iter([
        ("resource".into(), routed.resource.clone().into()),
        ("path".into(), request.path.clone().into()),
        ("httpMethod".into(), request.method.as_str().into()),
        ("headers".into(), Value::Object(headers)),
        ("multiValueHeaders".into(), Value::Object(many_headers)),
        ("queryStringParameters".into(), or_empty(query)),
        ("multiValueQueryStringParameters".into(), or_empty(many_query)),
        ("pathParameters".into(), or_empty(parameters.collect())),
        ("stageVariables".into(), empty.clone()),
        ("requestContext".into(), context.clone()),
    ])
}

fn body(request: &Incoming, binary: bool) -> (Value, bool) {
    match std::str::from_utf8(&request.body) {
        Ok("") => (Value::Null, false),
        Ok(text) if !binary => (text.into(), false),
        _ => (BASE64.encode(&request.body).into(), true),
    }
}

/// One value and all values per name; the last one wins.
fn pairs(pairs: Vec<(String, String)>) -> (Map<String, Value>, Map<String, Value>) {
    let (mut one, mut many) = (Map::new(), Map::new());
    for (name, value) in pairs {
        one.insert(name.clone(), value.clone().into());
        if let Value::Array(values) = many.entry(name).or_insert_with(|| json!([])) {
            values.push(value.into());
        }
    }
    (one, many)
}

/// Request headers that API Gateway keeps to itself.
const DROPPED: [&str; 12] = [
    "connection",
    "content-length",
    "content-md5",
    "expect",
    "max-forwards",
    "proxy-authenticate",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];

fn headers(request: &Incoming) -> (Map<String, Value>, Map<String, Value>) {
    let kept = request.headers.iter().filter(|(name, _)| !DROPPED.contains(&name.as_str()));
    let values = kept.filter(|(name, _)| !is_forwarding(name.as_str()));
    let mut headers: Vec<_> = values
        .map(|(name, value)| {
            (spelling(name.as_str()), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    headers.extend(forwarding(request));
    pairs(headers)
}

fn is_forwarding(name: &str) -> bool {
    matches!(name, "x-forwarded-for" | "x-forwarded-port" | "x-forwarded-proto" | "x-amzn-trace-id")
}

/// What API Gateway adds or replaces. `X-Forwarded-Proto` is `https` on AWS.
fn forwarding(request: &Incoming) -> Vec<(String, String)> {
    let before = request.header("x-forwarded-for").map(|chain| format!("{chain}, ")).unwrap_or_default();
    let port = port(&request.headers).unwrap_or_else(|| "80".to_owned());
    vec![
        ("X-Forwarded-For".into(), format!("{before}{}", request.source_ip)),
        ("X-Forwarded-Port".into(), port),
        ("X-Forwarded-Proto".into(), "http".into()),
        ("X-Amzn-Trace-Id".into(), request.trace_id.clone()),
    ]
}

fn port(headers: &HeaderMap) -> Option<String> {
    let host = headers.get("host")?.to_str().ok()?;
    let (_, port) = host.rsplit_once(':')?;
    port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.to_owned())
}

/// HTTP/2 clients send lower case, and API Gateway capitalises these few: a function must not rely
/// on either.
fn spelling(name: &str) -> String {
    match name {
        "authorization" => "Authorization".into(),
        "host" => "Host".into(),
        "user-agent" => "User-Agent".into(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests;
