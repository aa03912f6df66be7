//! The one log line of a request: documented in `docs/LOGGING.md`.

use std::time::Instant;

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};

use crate::{gateway, problem::Problem};

/// The endpoint's id, or an open route's path: the routes leave it in the extensions of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoggedEndpoint(pub &'static str);

/// Runs the request, gives its problem the request's id, and writes the log line.
pub(crate) async fn log(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let request_id = gateway::request_id(request.extensions());
    let caller = gateway::caller(request.extensions()).map(|caller| caller.actor());
    let mut response = next.run(request).await;
    let problem = response.extensions_mut().remove::<Problem>();
    let endpoint = response.extensions().get::<LoggedEndpoint>().map(|endpoint| endpoint.0);
    if let Some(problem) = &problem {
        response = problem.render(request_id.as_deref());
    }
    seal(&mut response);
    let status = response.status();
    let line = Line {
        method: method.as_str(),
        operation: endpoint.unwrap_or("none"),
        caller: caller.as_deref().unwrap_or("nobody"),
        request_id: request_id.as_deref().unwrap_or("none"),
        duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        problem: problem.as_ref().map(Problem::slug),
        cause: problem.as_ref().and_then(Problem::cause),
    };
    line.write(status);
    response
}

/// What browsers are told with every answer: it is for one caller, is no page, and belongs to no other site. The
/// template says the same of what API Gateway answers by itself, and the local stack takes HSTS away again.
pub const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// Adds [`SECURITY_HEADERS`], but for what the handler said itself.
fn seal(response: &mut Response) {
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
}

struct Line<'a> {
    method: &'a str,
    operation: &'a str,
    caller: &'a str,
    request_id: &'a str,
    duration_ms: u64,
    problem: Option<&'static str>,
    cause: Option<String>,
}

impl Line<'_> {
    /// Level from the status: what is our fault, or our dependency's, is an error.
    fn write(&self, status: StatusCode) {
        let Self { method, operation, caller, request_id, duration_ms, problem, cause } = self;
        let (status_code, cause) = (status.as_u16(), cause.as_deref());
        if status.is_server_error() {
            tracing::error!(
                method,
                operation,
                status = status_code,
                caller,
                request_id,
                duration_ms,
                problem,
                cause,
                "{operation} answered {status_code}"
            );
        } else {
            tracing::info!(
                method,
                operation,
                status = status_code,
                caller,
                request_id,
                duration_ms,
                problem,
                cause,
                "{operation} answered {status_code}"
            );
        }
    }
}
