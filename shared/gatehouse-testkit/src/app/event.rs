//! The events of a Lambda proxy integration, version 1.0, as API Gateway makes them.

use axum::http::{HeaderMap, Method};
use data_encoding::BASE64;
use gatehouse_domain::{caller::Caller, caller_context};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{
    callers::{REQUEST_ID, USER_AGENT},
    template::{routes, template},
};

/// A request on its way to API Gateway.
pub(super) struct Request {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Whom the authorizer knows. Nobody gets further than an open route.
    pub caller: Option<Caller>,
    pub token_expires_at: Option<Timestamp>,
    /// From where it comes.
    pub source_ip: String,
}

impl Request {
    /// The event that the function gets.
    ///
    /// # Panics
    ///
    /// When the template has no such route: API Gateway would invoke no function.
    pub(super) fn event(&self, now: Timestamp) -> Value {
        let Self { method, path, .. } = self;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let Some(route) = routes().find(method, path) else { panic!("no route answers {method} {path}") };
        let headers = self.headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let query = form_urlencoded::parse(query.as_bytes()).into_owned();
        let ((headers, many_headers), (query, many_query)) = (by_name(headers), by_name(query));
        let (body, is_base64) = match std::str::from_utf8(&self.body) {
            Ok("") => (Value::Null, false),
            Ok(text) => (text.into(), false),
            Err(_) => (BASE64.encode(&self.body).into(), true),
        };
        json!({
            "resource": route.resource,
            "path": path,
            "httpMethod": method.as_str(),
            "headers": headers,
            "multiValueHeaders": many_headers,
            "queryStringParameters": query,
            "multiValueQueryStringParameters": many_query,
            "pathParameters": route.parameters,
            "stageVariables": null,
            "requestContext": self.context(route.resource, path, now),
            "body": body,
            "isBase64Encoded": is_base64,
        })
    }

    fn context(&self, resource: &str, path: &str, now: Timestamp) -> Value {
        let stage = &template().api.stage;
        let mut context = json!({
            "accountId": "000000000000",
            "apiId": "api0example",
            "httpMethod": self.method.as_str(),
            "identity": { "sourceIp": self.source_ip, "userAgent": USER_AGENT },
            "path": format!("/{stage}{path}"),
            "protocol": "HTTP/1.1",
            "requestId": REQUEST_ID,
            "requestTimeEpoch": now.as_millisecond(),
            "resourcePath": resource,
            "stage": stage,
        });
        if let Some(caller) = &self.caller {
            context["authorizer"] = json!(caller_context::write(caller, self.token_expires_at));
            context["authorizer"]["principalId"] = caller.actor().into();
        }
        context
    }
}

/// The last value and all values of each name.
fn by_name(pairs: impl Iterator<Item = (String, String)>) -> (Value, Value) {
    let (mut last, mut all) = (Map::new(), Map::new());
    for (name, value) in pairs {
        last.insert(name.clone(), value.clone().into());
        if let Value::Array(values) = all.entry(name).or_insert_with(|| json!([])) {
            values.push(value.into());
        }
    }
    (last.into(), all.into())
}
