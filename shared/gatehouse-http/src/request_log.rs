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
    let trace_id = gateway::trace_id(request.extensions());
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
        trace_id: trace_id.as_deref(),
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
    trace_id: Option<&'a str>,
    duration_ms: u64,
    problem: Option<&'static str>,
    cause: Option<String>,
}

impl Line<'_> {
    /// Level from the status: what is our fault, or our dependency's, is an error.
    fn write(&self, status: StatusCode) {
        let Self { method, operation, caller, request_id, trace_id, duration_ms, problem, cause } = self;
        let (status_code, cause) = (status.as_u16(), cause.as_deref());
        if status.is_server_error() {
            tracing::error!(
                method,
                operation,
                status = status_code,
                caller,
                request_id,
                trace_id,
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
                trace_id,
                duration_ms,
                problem,
                cause,
                "{operation} answered {status_code}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fmt,
        sync::{Arc, Mutex},
    };

    use tracing::{
        Event, Metadata, Subscriber,
        field::{Field, Visit},
        span,
    };

    use super::*;

    /// The fields of what is logged.
    #[derive(Clone, Default)]
    struct Fields(Arc<Mutex<Vec<(&'static str, String)>>>);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.0.lock().unwrap().push((field.name(), format!("{value:?}")));
        }
    }

    impl Subscriber for Fields {
        fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

        fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            event.record(&mut self.clone());
        }

        fn enter(&self, _span: &span::Id) {}

        fn exit(&self, _span: &span::Id) {}
    }

    /// What the line says of the trace.
    fn said(trace_id: Option<&str>, status: StatusCode) -> Vec<String> {
        let line = Line {
            method: "GET",
            operation: "list_jobs",
            caller: "nobody",
            request_id: "none",
            trace_id,
            duration_ms: 1,
            problem: None,
            cause: None,
        };
        let fields = Fields::default();
        tracing::subscriber::with_default(fields.clone(), || line.write(status));
        let fields = fields.0.lock().unwrap();
        fields.iter().filter(|(name, _)| *name == "trace_id").map(|(_, value)| value.clone()).collect()
    }

    #[test]
    fn the_line_names_the_trace_where_there_is_one() {
        let trace = "1-5759e988-bd862e3fe1be46a994272793";
        for status in [StatusCode::OK, StatusCode::BAD_GATEWAY] {
            assert_eq!(said(Some(trace), status), [format!("{trace:?}")]);
            assert_eq!(said(None, status), Vec::<String>::new());
        }
    }
}
