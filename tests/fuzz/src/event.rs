//! An event of API Gateway reaches the endpoint that API Gateway matched, with the parameters it read, or none; and
//! only where the caller whom it names may call that.

use std::sync::LazyLock;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::RawPathParams,
};
use gatehouse_domain::{
    access::{ENDPOINTS, Endpoint},
    caller_context,
};
use gatehouse_http::Routes;
use http::{Method, StatusCode};
use lambda_http::request::LambdaRequest;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{
    caller::{LENGTH, caller},
    system::ready,
};

/// Every endpoint, answering with its own id and the parameters that it got.
static APP: LazyLock<Router> = LazyLock::new(|| {
    let routes = ENDPOINTS.iter().fold(Routes::new(), |routes, endpoint| {
        routes.on(endpoint, move |parameters: RawPathParams| async move {
            let parameters = parameters.iter().map(|(name, value)| json!([name, value]));
            json!([endpoint.id, parameters.collect::<Vec<_>>()]).to_string()
        })
    });
    routes.into_app(())
});

/// The API, as API Gateway has it.
static API: LazyLock<gatehouse_template::Routes<&'static Endpoint>> = LazyLock::new(|| {
    let mut api = gatehouse_template::Routes::default();
    for endpoint in ENDPOINTS {
        for (method, path) in endpoint.routes() {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            api.insert(&method, path, *endpoint).expect("a path that API Gateway takes");
        }
    }
    api
});

/// An event as JSON; or a `!`, six bytes that describe the caller, and a request line.
pub(crate) fn check(input: &[u8]) {
    match input.split_first() {
        Some((b'!', request)) => called(request),
        _ => read(input),
    }
}

/// Whatever the event says, it is answered, and nobody gets further than they may.
fn read(input: &[u8]) {
    let Ok(mut written) = serde_json::from_slice::<Value>(input) else { return };
    as_api_gateway_writes(&mut written);
    let Ok(event) = serde_json::from_value::<LambdaRequest>(written.clone()) else { return };
    let authorizer = &written["requestContext"]["authorizer"];
    let (status, reached) = answer(event);
    assert!(!status.is_server_error(), "{status}");
    if status == StatusCode::OK {
        let caller = caller_context::read(|name| authorizer[name].as_str()).expect("somebody is admitted");
        let endpoint = ENDPOINTS.iter().find(|endpoint| reached[0] == endpoint.id).expect("one of the table");
        assert!(caller.may(endpoint), "{caller:?} reached {}", endpoint.id);
    }
}

/// Sets what API Gateway writes itself, whatever the caller sent: `lambda_http` panics where that makes no URL or no body.
/// Our own code reads none of it.
fn as_api_gateway_writes(event: &mut Value) {
    let Some(members) = event.as_object_mut() else { return };
    members.insert("path".to_owned(), "/as/it/came".into());
    let body = members.get("body").and_then(Value::as_str).unwrap_or_default();
    if data_encoding::BASE64.decode(body.as_bytes()).is_err() {
        members.insert("isBase64Encoded".to_owned(), false.into());
    }
    for headers in ["headers", "multiValueHeaders"] {
        if let Some(headers) = members.get_mut(headers).and_then(Value::as_object_mut) {
            headers.retain(|name, _| {
                !["host", "x-forwarded-proto"].contains(&name.to_ascii_lowercase().as_str())
            });
        }
    }
    if let Some(context) = members.get_mut("requestContext").and_then(Value::as_object_mut) {
        context.remove("domainName");
        context.remove("stage");
    }
}

fn called(request: &[u8]) {
    let (who, line) = request.split_at_checked(LENGTH).unwrap_or((request, &[]));
    let caller = caller(who);
    let Ok(line) = std::str::from_utf8(line) else { return };
    let Some((method, path)) =
        line.split_once(' ').filter(|(_, path)| path.bytes().all(|byte| byte.is_ascii_graphic()))
    else {
        return;
    };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    // API Gateway gives no other path to a function.
    let Some(matched) = API.find(&method, path) else { return };
    let event = json!({
        "resource": matched.resource, "path": path, "httpMethod": method.as_str(), "headers": {},
        "multiValueHeaders": {}, "queryStringParameters": null, "multiValueQueryStringParameters": null,
        "pathParameters": matched.parameters,
        "requestContext": {
            "resourcePath": matched.resource, "httpMethod": method.as_str(), "identity": {},
            "authorizer": caller_context::write(&caller, None),
        },
        "body": null, "isBase64Encoded": false,
    });
    let Ok(event) = serde_json::from_value(event) else { return };
    let (status, reached) = answer(event);
    match status {
        StatusCode::OK => {
            assert!(caller.may(matched.target), "{caller:?} reached {}", matched.target.id);
            let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let meant = matched.parameters.iter().map(|(name, value)| json!([name, decode(value)]));
            assert_eq!(sorted(&reached[1]), meant.collect::<Vec<_>>(), "{line:?}");
            assert_eq!(reached[0], matched.target.id, "{line:?}");
        }
        StatusCode::FORBIDDEN => assert!(!caller.may(matched.target) || is_misread(&matched.parameters)),
        // A parameter that decodes to the name of a sibling.
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND => {
            assert!(is_misread(&matched.parameters), "{line:?}");
        }
        other => panic!("{line:?} is answered {other}"),
    }
}

/// Whether a parameter is none that an id or a name could be: the router decodes it once more than API Gateway.
fn is_misread(parameters: &std::collections::BTreeMap<String, String>) -> bool {
    parameters.values().any(|value| value.contains('%'))
}

fn sorted(parameters: &Value) -> Vec<Value> {
    let mut parameters = parameters.as_array().cloned().unwrap_or_default();
    parameters.sort_by_key(|parameter| parameter[0].to_string());
    parameters
}

/// The status, and what the endpoint said that was reached.
fn answer(event: LambdaRequest) -> (StatusCode, Value) {
    let request = lambda_http::Request::from(event).map(Body::new);
    let answer = ready(APP.clone().oneshot(request)).unwrap_or_else(|never| match never {});
    let status = answer.status();
    let body = ready(to_bytes(answer.into_body(), usize::MAX)).expect("the body can be read");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}
