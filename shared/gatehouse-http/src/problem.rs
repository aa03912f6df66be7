//! Problem bodies, RFC 9457: what callers see of anything that went wrong.
//!
//! What the caller sees and what is logged are different things: [`Problem::internal`] keeps its cause for
//! the log line and shows a fixed text.

use std::{error::Error, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use gatehouse_domain::{
    catalog::{SealError, ShowServiceError},
    ci::{CiError, CiErrorKind, ProviderLookupError},
    error::Chain,
    name::TenantId,
    paging::ListError,
    revision::PreconditionError,
    runs::ShowRunError,
    scopes::ScopeClosed,
    secret::SecretError,
    store::StoreError,
    validation::FieldError,
};
use serde::Serialize;
use utoipa::ToSchema;

/// When to ask a CI system again that does not answer and does not say itself.
const PROVIDER_PAUSE: Duration = Duration::from_secs(5);

/// A kind of problem: stable, listed in `docs/API.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemType {
    /// Last segment of the `type`: `/problems/<slug>`.
    pub slug: &'static str,
    /// The same for every problem of this kind.
    pub title: &'static str,
    pub status: StatusCode,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $status:ident, $title:literal;)*) => {
        $($(#[$doc])* pub const $name: ProblemType =
            ProblemType { slug: $slug, title: $title, status: StatusCode::$status };)*

        /// Every kind, in the order of their status.
        pub const ALL: &[ProblemType] = &[$($name),*];
    };
}

problems! {
    /// The request is refused before it reaches an operation.
    BAD_REQUEST = "bad-request", BAD_REQUEST, "Bad request";
    /// An id or name in the path cannot be one.
    INVALID_PATH = "invalid-path", BAD_REQUEST, "Invalid path parameter";
    /// A query parameter is unknown or cannot be read.
    INVALID_QUERY = "invalid-query", BAD_REQUEST, "Invalid query parameter";
    /// A header cannot be read.
    INVALID_HEADER = "invalid-header", BAD_REQUEST, "Invalid header";
    /// The body is not what the operation takes.
    MALFORMED_BODY = "malformed-body", BAD_REQUEST, "Malformed body";
    /// No credential, or none that opens anything.
    UNAUTHORIZED = "unauthorized", UNAUTHORIZED, "Unauthorized";
    /// The callback token was not made here, or was changed.
    CALLBACK_TOKEN_INVALID = "callback-token-invalid", UNAUTHORIZED, "Callback token invalid";
    /// The user name or the password is wrong; which, is not said.
    LOGIN_REFUSED = "login-refused", UNAUTHORIZED, "Login refused";
    /// The password is right, and a code of the second factor is wanted as well.
    SECOND_FACTOR_REQUIRED = "second-factor-required", UNAUTHORIZED, "Second factor required";
    /// The caller is known and may not do this.
    FORBIDDEN = "forbidden", FORBIDDEN, "Forbidden";
    /// The session may do this once its owner has said their password again: `POST /auth/reauthenticate`.
    REAUTHENTICATION_REQUIRED = "reauthentication-required", FORBIDDEN, "Say your password again";
    /// Something else has to be done first: `required_action` of `GET /auth/me` says what.
    ACTION_REQUIRED = "action-required", FORBIDDEN, "Something else is to be done first";
    /// The tenant may not use what the job points into.
    SCOPE_CLOSED = "scope-closed", FORBIDDEN, "Scope closed to the tenant";
    /// Nobody grants, or changes in others, more than they hold themselves.
    BEYOND_OWN_RIGHTS = "beyond-own-rights", FORBIDDEN, "Beyond own rights";
    /// The callback token is for another operation or attempt.
    CALLBACK_TOKEN_MISMATCH = "callback-token-mismatch", FORBIDDEN, "Callback token for something else";
    /// The thing does not exist for this caller.
    NOT_FOUND = "not-found", NOT_FOUND, "Not found";
    /// The path is none of the API.
    NO_SUCH_ROUTE = "no-such-route", NOT_FOUND, "No such route";
    /// The path has no such method.
    METHOD_NOT_ALLOWED = "method-not-allowed", METHOD_NOT_ALLOWED, "Method not allowed";
    /// The thing cannot be had like this just now.
    CONFLICT = "conflict", CONFLICT, "Conflict";
    /// Nobody could administer the platform any more.
    LAST_PLATFORM_ADMIN = "last-platform-admin", CONFLICT, "Last platform admin";
    /// The first request with this key is still at work.
    REQUEST_IN_PROGRESS = "request-in-progress", CONFLICT, "Request in progress";
    /// The run has ended already.
    RUN_ENDED = "run-ended", CONFLICT, "Run has ended";
    /// The run has not ended yet.
    RUN_NOT_ENDED = "run-not-ended", CONFLICT, "Run has not ended";
    /// Another operation is open in the environment.
    OPERATION_RUNNING = "operation-running", CONFLICT, "Operation running";
    /// The operation has ended already.
    OPERATION_ENDED = "operation-ended", CONFLICT, "Operation has ended";
    /// The operation does not wait for approval.
    NOT_AWAITING_APPROVAL = "not-awaiting-approval", CONFLICT, "Not awaiting approval";
    /// Another attempt has taken the place of the worker's.
    ATTEMPT_SUPERSEDED = "attempt-superseded", CONFLICT, "Attempt superseded";
    /// The report does not come in the order in which a worker reports.
    CALLBACK_OUT_OF_ORDER = "callback-out-of-order", CONFLICT, "Callback out of order";
    /// The CI system will not do this as things stand there.
    PROVIDER_REFUSED = "provider-refused", CONFLICT, "CI system refused";
    /// No such provider is registered.
    PROVIDER_NOT_CONFIGURED = "provider-not-configured", CONFLICT, "Provider not configured";
    /// The time of the callback token is over.
    CALLBACK_TOKEN_EXPIRED = "callback-token-expired", GONE, "Callback token expired";
    /// The thing was changed since the caller read it.
    PRECONDITION_FAILED = "precondition-failed", PRECONDITION_FAILED, "Precondition failed";
    /// The body is larger than the operation takes.
    BODY_TOO_LARGE = "body-too-large", PAYLOAD_TOO_LARGE, "Body too large";
    /// The body is of a type that the operation does not take.
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type";
    /// The body can be read, and fields in it are refused.
    VALIDATION_FAILED = "validation-failed", UNPROCESSABLE_ENTITY, "Validation failed";
    /// The key was used for another request.
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "Idempotency-Key reused";
    /// The CI system has no such ability.
    NOT_SUPPORTED = "not-supported", UNPROCESSABLE_ENTITY, "Not supported";
    /// Replacing or deleting needs `If-Match`.
    PRECONDITION_REQUIRED = "precondition-required", PRECONDITION_REQUIRED, "Precondition required";
    THROTTLED = "throttled", TOO_MANY_REQUESTS, "Too many requests";
    /// Something went wrong on our side.
    INTERNAL = "internal", INTERNAL_SERVER_ERROR, "Internal error";
    /// The CI system refused Gatehouse's own credentials.
    PROVIDER_CREDENTIALS = "provider-credentials", BAD_GATEWAY, "CI system refused our credentials";
    /// Gatehouse's account at the CI system may not do this.
    PROVIDER_FORBIDDEN = "provider-forbidden", BAD_GATEWAY, "CI system forbids this to our account";
    /// What the provider points at does not exist in the CI system.
    PROVIDER_NOT_FOUND = "provider-not-found", BAD_GATEWAY, "Not found in the CI system";
    /// The CI system answered something that makes no sense.
    PROVIDER_ERROR = "provider-error", BAD_GATEWAY, "CI system answered wrongly";
    /// The CI system cannot be reached just now.
    PROVIDER_UNAVAILABLE = "provider-unavailable", SERVICE_UNAVAILABLE, "CI system unavailable";
    /// Nothing is there that could do the operation.
    PROVISIONER_UNAVAILABLE = "provisioner-unavailable", SERVICE_UNAVAILABLE, "Provisioner unavailable";
    /// Our own state cannot be reached just now.
    UNAVAILABLE = "unavailable", SERVICE_UNAVAILABLE, "Temporarily unavailable";
    /// A run may or may not have been started.
    OUTCOME_UNKNOWN = "outcome-unknown", GATEWAY_TIMEOUT, "Outcome unknown";
}

/// A problem on its way to the caller.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    kind: ProblemType,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    location: Option<String>,
    extra: Option<(&'static str, String)>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// The body of a problem.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `/problems/<slug>`: stable, listed in the documentation.
    #[serde(rename = "type")]
    #[schema(example = "/problems/not-found")]
    kind: String,
    /// The same for every problem of this type.
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// What happened this time, and what would help.
    detail: String,
    /// The request's id, to be quoted when asking for help.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Fields that were refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ProblemField>,
    /// What belongs to this type of problem, such as `idempotency_key`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    extra: std::collections::BTreeMap<&'static str, String>,
}

/// A field that was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemField {
    /// JSON pointer into the request body, RFC 6901.
    pointer: String,
    /// Why.
    detail: String,
}

impl Problem {
    /// A problem of this kind. The detail is shown to the caller, as a sentence: an error of the rules is one but for
    /// its capital and its full stop.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        let detail = sentence(detail.into());
        Self(Box::new(Parts {
            kind,
            detail,
            errors: Vec::new(),
            retry_after: None,
            location: None,
            extra: None,
            cause: None,
        }))
    }

    /// Fields that were refused.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let field = |error: &FieldError| match error.pointer.as_str() {
            "" => "the body itself".to_owned(),
            pointer => format!("`{pointer}`"),
        };
        let fields: Vec<_> = errors.iter().map(field).collect();
        let mut problem = Self::new(VALIDATION_FAILED, format!("refused: {}", fields.join(", ")));
        problem.0.errors = errors;
        problem
    }

    /// A problem of ours. The cause is logged, and never shown.
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::new(INTERNAL, "Something went wrong on our side.").caused_by(cause)
    }

    /// The caller's role in a tenant is too small for what they want.
    pub fn forbidden_in(tenant: &TenantId) -> Self {
        Self::new(FORBIDDEN, format!("Your role in tenant `{tenant}` does not allow this."))
    }

    /// A list could not be read.
    pub fn list(error: ListError) -> Self {
        match error {
            ListError::Cursor(error) => Self::new(INVALID_QUERY, error.to_string()),
            ListError::Store(error) => Self::store(error),
        }
    }

    /// The thing is not as the caller expects. Who said nothing of what they expect is told the `etag` that they would
    /// have sent: it is in the answer to whoever may read the thing, which all may who edit it.
    pub fn precondition(error: PreconditionError) -> Self {
        let detail = error.to_string();
        match error {
            PreconditionError::Required { current } => {
                Self::new(PRECONDITION_REQUIRED, detail).with("etag", format!("\"{}\"", current.as_str()))
            }
            PreconditionError::Failed => Self::new(PRECONDITION_FAILED, detail),
        }
    }

    /// Our state could not be read or written.
    pub fn store(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::unavailable(error),
            StoreError::Corrupt(_) => Self::internal(error),
        }
    }

    /// Our secrets could not be read or written.
    pub fn secrets(error: SecretError) -> Self {
        Self::unavailable(error)
    }

    /// A secret input could not be sealed or opened.
    pub fn seal(error: SealError) -> Self {
        match error {
            SealError::Unavailable(_) => Self::unavailable(error),
            SealError::Defect(_) => Self::internal(error),
        }
    }

    /// A CI system failed. Its advice is for people, and is shown.
    pub fn ci(error: CiError) -> Self {
        let kind = match error.kind {
            CiErrorKind::NotFound => PROVIDER_NOT_FOUND,
            CiErrorKind::CredentialsRefused => PROVIDER_CREDENTIALS,
            CiErrorKind::Forbidden => PROVIDER_FORBIDDEN,
            CiErrorKind::Refused => PROVIDER_REFUSED,
            CiErrorKind::Unsupported => NOT_SUPPORTED,
            CiErrorKind::Throttled | CiErrorKind::Unavailable => PROVIDER_UNAVAILABLE,
            CiErrorKind::OutcomeUnknown => OUTCOME_UNKNOWN,
            CiErrorKind::Protocol => PROVIDER_ERROR,
        };
        let problem = Self::new(kind, error.advice.clone());
        let pause = error.retry_after.or(error.kind.is_retryable().then_some(PROVIDER_PAUSE));
        match pause {
            Some(pause) => problem.retry_after(pause),
            None => problem,
        }
        .caused_by(error)
    }

    /// The tenant may not use what the job points into.
    pub fn scope_closed(error: &ScopeClosed) -> Self {
        Self::new(SCOPE_CLOSED, error.to_string())
    }

    /// There is no provider to talk to.
    pub fn provider_lookup(error: ProviderLookupError) -> Self {
        match error {
            ProviderLookupError::NotConfigured(name) => Self::new(
                PROVIDER_NOT_CONFIGURED,
                format!(
                    "Provider `{name}` is not configured: a platform admin can PUT /v1/providers/{name}."
                ),
            ),
            ProviderLookupError::KindUnavailable(_) => Self::new(NOT_SUPPORTED, error.to_string()),
            ProviderLookupError::Store(error) => Self::store(error),
        }
    }

    /// A run cannot be shown: the same for one of somebody else and for one that never was.
    pub fn show_run(error: ShowRunError) -> Self {
        match error {
            ShowRunError::NotFound => Self::new(NOT_FOUND, "There is no such run."),
            ShowRunError::Provider(error) => Self::provider_lookup(error),
            ShowRunError::Ci(error) => Self::ci(error),
            ShowRunError::Store(error) => Self::store(error),
        }
    }

    /// A service cannot be shown: the same for one of somebody else and for one that never was.
    pub fn show_service(error: ShowServiceError) -> Self {
        match error {
            ShowServiceError::NotFound => Self::new(NOT_FOUND, "There is no such service."),
            ShowServiceError::Store(error) => Self::store(error),
        }
    }

    fn unavailable(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::new(UNAVAILABLE, "A part of Gatehouse does not answer just now; nothing was lost.")
            .retry_after(Duration::from_secs(2))
            .caused_by(cause)
    }

    /// The same problem with a cause for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.0.cause = Some(Arc::new(cause));
        self
    }

    /// The same problem, saying when to try again.
    #[must_use]
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.0.retry_after = Some(pause);
        self
    }

    /// The same problem, saying where to look instead: a URL relative to the request's own.
    #[must_use]
    pub fn located_at(mut self, location: impl Into<String>) -> Self {
        self.0.location = Some(location.into());
        self
    }

    /// The same problem with one more member in its body.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.extra = Some((name, value.into()));
        self
    }

    /// What lies below, for the log line.
    pub(crate) fn cause(&self) -> Option<String> {
        self.0.cause.as_ref().map(|cause| Chain(&**cause).to_string())
    }

    /// The kind, for the log line.
    pub(crate) fn slug(&self) -> &'static str {
        self.0.kind.slug
    }

    /// The answer, once the request's id is known.
    pub(crate) fn render(&self, request_id: Option<&str>) -> Response {
        let body = ProblemBody {
            kind: format!("/problems/{}", self.0.kind.slug),
            title: self.0.kind.title,
            status: self.0.kind.status.as_u16(),
            detail: self.0.detail.clone(),
            request_id: request_id.map(str::to_owned),
            errors: self
                .0
                .errors
                .iter()
                .map(|error| ProblemField { pointer: error.pointer.clone(), detail: error.detail.clone() })
                .collect(),
            extra: self.0.extra.iter().cloned().collect(),
        };
        // Every member is text or a number, so this cannot fail.
        let text = serde_json::to_string(&body).unwrap_or_default();
        let mut response = (self.0.kind.status, Body::from(text)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(pause) = self.0.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(pause.as_secs().max(1)));
        }
        if let Some(location) = self.0.location.as_deref().and_then(|url| HeaderValue::from_str(url).ok()) {
            headers.insert(header::LOCATION, location);
        }
        response
    }
}

/// The text with a capital, unless it begins with a name in backticks, and a full stop.
fn sentence(mut text: String) -> String {
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if !text.ends_with(['.', '?', '!']) {
        text.push('.');
    }
    text
}

impl IntoResponse for Problem {
    /// The answer without the request's id; the request log adds it.
    fn into_response(self) -> Response {
        let mut response = self.render(None);
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_listed_once_and_by_status() {
        let mut seen = std::collections::BTreeSet::new();
        assert!(ALL.iter().all(|kind| seen.insert(kind.slug)), "a slug is used twice");
        assert!(ALL.is_sorted_by_key(|kind| kind.status.as_u16()));
    }

    #[test]
    fn a_detail_is_a_sentence() {
        for (text, shown) in [
            ("there is no such job", "There is no such job."),
            ("`limit` must be 1 to 100", "`limit` must be 1 to 100."),
            ("Log in again.", "Log in again."),
            ("ärger", "ärger."),
            ("", "."),
        ] {
            assert_eq!(sentence(text.to_owned()), shown);
        }
    }

    #[test]
    fn an_internal_problem_shows_nothing_of_its_cause() {
        let problem = Problem::internal(std::io::Error::other("canary"));
        assert_eq!(problem.cause().as_deref(), Some("canary"));
        assert!(!problem.0.detail.contains("canary"));
    }
}
