//! What is answered beside the API, and headers that every answer has.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};

use super::version::Version;

/// The page that every path outside of the API shows; scripts in it do the rest.
const PAGE: &str =
    "<!DOCTYPE html>\n<html lang=\"en\">\n  <head>\n    <title>Concourse</title>\n  </head>\n</html>\n";

/// A path that nothing is at.
pub(super) async fn elsewhere(request: Request) -> Response {
    if request.uri().path().starts_with("/sky/") { not_found().await } else { Html(PAGE).into_response() }
}

pub(super) async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

pub(super) async fn method_not_allowed() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n").into_response()
}

/// Adds what Concourse tells browsers with every answer.
pub(super) async fn add_headers(version: State<Version>, request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'none'"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("deny"));
    headers.insert(HeaderName::from_static("x-download-options"), HeaderValue::from_static("noopen"));
    if version.protects_from_xss() {
        headers
            .insert(HeaderName::from_static("x-xss-protection"), HeaderValue::from_static("1; mode=block"));
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, private"));
    }
    answer
}

/// Says what is allowed as Concourse does, which has no word for HEAD.
pub(super) fn tidy_allow(answer: &mut Response) {
    let headers = answer.headers_mut();
    let allowed = headers.get(ALLOW).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let allowed: Vec<_> = allowed.split(',').filter(|method| !matches!(*method, "" | "HEAD")).collect();
    if let Ok(allowed) = HeaderValue::try_from(allowed.join(", "))
        && !allowed.is_empty()
    {
        headers.insert(ALLOW, allowed);
    }
}
