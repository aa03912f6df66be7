//! What the gateway answers by itself, in the shape that the template gives.

use std::collections::BTreeMap;

use bytes::Bytes;
use gatehouse_template::GatewayResponseSettings;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use super::request::Incoming;

/// Why the gateway answers instead of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No resource has this path and verb.
    NoRoute,
    /// No credential, or the authorizer said `Unauthorized`.
    Unauthorized,
    /// The authorizer's policy does not allow the call; `explicit` when a statement denies it.
    AccessDenied {
        /// Whether a `Deny` statement matched.
        explicit: bool,
    },
    AuthorizerFailed,
    /// The authorizer answered something that is not an answer.
    AuthorizerMisconfigured,
    /// The body is larger than API Gateway takes.
    BodyTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The event is larger than Lambda takes.
    EventTooLarge,
    /// The header values are larger than API Gateway takes.
    HeadersTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The path makes an ARN that is longer than API Gateway takes.
    PathTooLong,
    /// The body broke off.
    BodyIncomplete,
    /// The `Host` header is missing or names no host.
    BadHost,
    /// The function did not answer in time.
    IntegrationTimeout,
    /// The function failed, or answered something that is not a response.
    FunctionFailed,
}

impl Refusal {
    /// The gateway response type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoRoute => "MISSING_AUTHENTICATION_TOKEN",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::AccessDenied { .. } => "ACCESS_DENIED",
            Self::AuthorizerFailed => "AUTHORIZER_FAILURE",
            Self::AuthorizerMisconfigured => "AUTHORIZER_CONFIGURATION_ERROR",
            Self::BodyTooLarge { .. } | Self::EventTooLarge => "REQUEST_TOO_LARGE",
            Self::HeadersTooLarge { .. } | Self::PathTooLong | Self::BodyIncomplete | Self::BadHost => {
                "DEFAULT_4XX"
            }
            Self::IntegrationTimeout => "INTEGRATION_TIMEOUT",
            Self::FunctionFailed => "DEFAULT_5XX",
        }
    }

    /// The status unless the template gives another.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute | Self::AccessDenied { .. } => StatusCode::FORBIDDEN,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::AuthorizerFailed | Self::AuthorizerMisconfigured => StatusCode::INTERNAL_SERVER_ERROR,
            Self::BodyTooLarge { .. } | Self::EventTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::PathTooLong => StatusCode::URI_TOO_LONG,
            Self::BodyIncomplete | Self::BadHost => StatusCode::BAD_REQUEST,
            Self::IntegrationTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::FunctionFailed => StatusCode::BAD_GATEWAY,
        }
    }

    fn message(&self) -> Option<String> {
        match self {
            Self::NoRoute => Some("Missing Authentication Token".into()),
            Self::Unauthorized => Some("Unauthorized".into()),
            Self::AccessDenied { explicit: false } => {
                Some("User is not authorized to access this resource".into())
            }
            Self::AccessDenied { explicit: true } => {
                Some("User is not authorized to access this resource with an explicit deny".into())
            }
            Self::AuthorizerFailed | Self::AuthorizerMisconfigured => None,
            Self::BodyTooLarge { limit } => Some(format!("HTTP content length exceeded {limit} bytes.")),
            Self::EventTooLarge => Some("Request Too Long".into()),
            Self::HeadersTooLarge { limit } => Some(format!("HTTP header is larger than {limit} bytes.")),
            Self::PathTooLong => Some("Request URI Too Long".into()),
            Self::BodyIncomplete | Self::BadHost => Some("Bad Request".into()),
            Self::IntegrationTimeout => Some("Endpoint request timed out".into()),
            Self::FunctionFailed => Some("Internal server error".into()),
        }
    }

    /// The `x-amzn-ErrorType` header.
    fn error_type(&self) -> &'static str {
        match self {
            Self::NoRoute => "MissingAuthenticationTokenException",
            Self::Unauthorized => "UnauthorizedException",
            Self::AccessDenied { .. } => "AccessDeniedException",
            Self::AuthorizerFailed | Self::AuthorizerMisconfigured => "AuthorizerConfigurationException",
            Self::BodyTooLarge { .. } | Self::EventTooLarge => "RequestTooLargeException",
            Self::HeadersTooLarge { .. } | Self::PathTooLong | Self::BodyIncomplete | Self::BadHost => {
                "BadRequestException"
            }
            Self::IntegrationTimeout | Self::FunctionFailed => "InternalServerErrorException",
        }
    }
}

/// Renders refusals in the template's shapes.
#[derive(Clone, Debug)]
pub struct GatewayResponses {
    settings: BTreeMap<String, GatewayResponseSettings>,
}

/// What a template's variables can name.
struct Facts<'a> {
    refusal: &'a Refusal,
    request: &'a Incoming,
    context: &'a Value,
}

impl GatewayResponses {
    /// Takes the shapes by response type.
    pub fn new(settings: BTreeMap<String, GatewayResponseSettings>) -> Self {
        Self { settings }
    }

    /// Renders a refusal; `context` is what `$context` names.
    pub fn render(&self, refusal: &Refusal, request: &Incoming, context: &Value) -> Response<Bytes> {
        let facts = Facts { refusal, request, context };
        let shape = self.shape(refusal);
        let (media_type, template) = template(shape, &facts);
        let mut response = Response::new(Bytes::from(facts.substitute(&template)));
        *response.status_mut() =
            shape.and_then(|shape| StatusCode::from_u16(shape.status?).ok()).unwrap_or(refusal.status());
        put(&mut response, "content-type", &media_type);
        put(&mut response, "x-amzn-errortype", refusal.error_type());
        for (name, expression) in shape.iter().flat_map(|shape| &shape.headers) {
            if let Some(value) = facts.mapped(expression) {
                put(&mut response, name, &value);
            }
        }
        response
    }

    /// The type's own shape, else the default of its class.
    fn shape(&self, refusal: &Refusal) -> Option<&GatewayResponseSettings> {
        let class = if refusal.status().is_server_error() { "DEFAULT_5XX" } else { "DEFAULT_4XX" };
        self.settings.get(refusal.kind()).or_else(|| self.settings.get(class))
    }
}

/// The template whose key the `Accept` header names first, else the first one.
fn template(shape: Option<&GatewayResponseSettings>, facts: &Facts<'_>) -> (String, String) {
    let templates = shape.map(|shape| &shape.templates);
    let accept = facts.request.header("accept").unwrap_or_default();
    let wanted = accept.split([',', ';']).next().unwrap_or_default().trim();
    let found = templates.and_then(|all| all.get_key_value(wanted).or_else(|| all.first_key_value()));
    let default = || ("application/json".to_owned(), default_template(facts.refusal).to_owned());
    found.map_or_else(default, |(kind, template)| (kind.clone(), template.clone()))
}

/// AWS spells this one body otherwise.
fn default_template(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::AccessDenied { .. } => r#"{"Message":$context.error.messageString}"#,
        _ => r#"{"message":$context.error.messageString}"#,
    }
}

fn put(response: &mut Response<Bytes>, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
        response.headers_mut().insert(name, value);
    }
}

impl Facts<'_> {
    /// Replaces `$context.<path>`; nothing else, and without escaping, as on AWS.
    fn substitute(&self, template: &str) -> String {
        let mut out = String::new();
        let mut rest = template;
        while let Some(start) = rest.find("$context.") {
            let path = &rest[start + "$context.".len()..];
            let end =
                path.find(|c: char| !(c.is_ascii_alphanumeric() || ".-_".contains(c))).unwrap_or(path.len());
            let name = path[..end].trim_end_matches('.');
            out.push_str(&rest[..start]);
            out.push_str(&self.variable(name).unwrap_or_default());
            rest = &path[name.len()..];
        }
        out + rest
    }

    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "error.message" => self.refusal.message(),
            "error.messageString" => Some(Value::from(self.refusal.message()).to_string()),
            "error.responseType" => Some(self.refusal.kind().to_owned()),
            _ => self.context_value(name),
        }
    }

    fn context_value(&self, name: &str) -> Option<String> {
        match self.context.pointer(&format!("/{}", name.replace('.', "/")))? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// The value of a header's mapping expression.
    fn mapped(&self, expression: &str) -> Option<String> {
        if let Some(text) = expression.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
            return Some(text.to_owned());
        }
        if let Some(name) = expression.strip_prefix("context.") {
            return self.variable(name);
        }
        if let Some(name) = expression.strip_prefix("method.request.header.") {
            return self.request.header(&name.to_ascii_lowercase());
        }
        self.request.parameter(expression.strip_prefix("method.request.querystring.")?)
    }
}

/// Gives any answer the ids that API Gateway puts on it.
pub fn stamp<B>(response: &mut Response<B>, request: &Incoming) {
    let ids = [("x-amzn-requestid", &request.request_id), ("x-amz-apigw-id", &request.extended_request_id)];
    for (name, value) in ids {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response.headers_mut().remove(header::TRANSFER_ENCODING);
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method, Version};
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn request(accept: &'static str) -> Incoming {
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static(accept));
        headers.insert("x-api", HeaderValue::from_static("k"));
        Incoming {
            method: Method::GET,
            path: "/x".into(),
            query: "q=1".into(),
            version: Version::HTTP_11,
            headers,
            body: Bytes::new(),
            source_ip: [127, 0, 0, 1].into(),
            received_at: Timestamp::UNIX_EPOCH,
            request_id: "req_1".into(),
            extended_request_id: "ext".into(),
            trace_id: String::new(),
        }
    }

    fn shape(status: Option<u16>, headers: &[(&str, &str)], template: &str) -> GatewayResponseSettings {
        GatewayResponseSettings {
            status,
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            templates: [("application/json".to_owned(), template.to_owned())].into(),
        }
    }

    fn render(shapes: &[(&str, GatewayResponseSettings)], refusal: &Refusal) -> (Response<Bytes>, String) {
        let settings = shapes.iter().map(|(kind, shape)| ((*kind).into(), shape.clone())).collect();
        let context = json!({"requestId": "req_1", "identity": {"sourceIp": "127.0.0.1"}, "none": null});
        let response = GatewayResponses::new(settings).render(refusal, &request("*/*"), &context);
        let body = String::from_utf8(response.body().to_vec()).unwrap();
        (response, body)
    }

    #[test]
    fn without_a_template_the_bodies_are_those_of_aws() {
        for (refusal, status, body) in [
            (Refusal::NoRoute, 403, r#"{"message":"Missing Authentication Token"}"#),
            (Refusal::Unauthorized, 401, r#"{"message":"Unauthorized"}"#),
            (
                Refusal::AccessDenied { explicit: false },
                403,
                r#"{"Message":"User is not authorized to access this resource"}"#,
            ),
            (Refusal::AuthorizerMisconfigured, 500, r#"{"message":null}"#),
            (
                Refusal::BodyTooLarge { limit: 10 },
                413,
                r#"{"message":"HTTP content length exceeded 10 bytes."}"#,
            ),
            (Refusal::IntegrationTimeout, 504, r#"{"message":"Endpoint request timed out"}"#),
            (Refusal::FunctionFailed, 502, r#"{"message":"Internal server error"}"#),
        ] {
            let (response, seen) = render(&[], &refusal);
            assert_eq!((response.status().as_u16(), seen.as_str()), (status, body));
            assert_eq!(response.headers()["content-type"], "application/json");
        }
    }

    #[test]
    fn the_template_gives_status_headers_and_body() {
        let template = r#"{"title":"x","id":"$context.requestId","why":$context.error.messageString,"type":"$context.error.responseType.","ip":"$context.identity.sourceIp","no":"$context.none$context.absent"}"#;
        let headers = [
            ("Content-Type", "'application/problem+json'"),
            ("X-Request", "context.requestId"),
            ("X-Api", "method.request.header.X-Api"),
            ("X-Q", "method.request.querystring.q"),
            ("X-None", "method.request.header.absent"),
        ];
        let shapes = [("MISSING_AUTHENTICATION_TOKEN", shape(Some(404), &headers, template))];
        let (response, body) = render(&shapes, &Refusal::NoRoute);
        assert_eq!(response.status(), 404);
        assert_eq!(
            body,
            r#"{"title":"x","id":"req_1","why":"Missing Authentication Token","type":"MISSING_AUTHENTICATION_TOKEN.","ip":"127.0.0.1","no":""}"#
        );
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("content-type"), Some("application/problem+json"));
        assert_eq!(
            (header("x-request"), header("x-api"), header("x-q")),
            (Some("req_1"), Some("k"), Some("1"))
        );
        assert_eq!(header("x-none"), None);
    }

    #[test]
    fn an_unspecified_type_takes_the_default_of_its_class() {
        let shapes = [
            ("DEFAULT_4XX", shape(None, &[], "four")),
            ("DEFAULT_5XX", shape(Some(599), &[], "five")),
            ("UNAUTHORIZED", shape(None, &[], "own")),
        ];
        let seen = |refusal: Refusal| {
            let (response, body) = render(&shapes, &refusal);
            (response.status().as_u16(), body)
        };
        assert_eq!(seen(Refusal::NoRoute), (403, "four".into()));
        assert_eq!(seen(Refusal::HeadersTooLarge { limit: 1 }), (431, "four".into()));
        assert_eq!(seen(Refusal::FunctionFailed), (599, "five".into()));
        assert_eq!(seen(Refusal::Unauthorized), (401, "own".into()));
    }
}
