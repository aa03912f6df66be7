//! What calls are answered with.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use crate::concourse::events::go_json;

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    BadRequest,
    NotAuthorized,
    Forbidden,
    NotFound,
    /// Nothing to start, once the pipeline was found; empty body.
    NothingToStart,
    /// The job says no; empty body.
    Conflict,
    Archived,
    /// Concourse failed; empty body.
    Internal,
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST.into_response(),
            Self::NotAuthorized => (StatusCode::UNAUTHORIZED, "not authorized").into_response(),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden").into_response(),
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
            Self::NothingToStart => empty_json(StatusCode::NOT_FOUND),
            Self::Conflict => empty_json(StatusCode::CONFLICT),
            Self::Archived => {
                (StatusCode::CONFLICT, "action not allowed for an archived pipeline\n").into_response()
            }
            Self::Internal => empty_json(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// What is said of a start that comes to nothing: the type of the answer that there would have been.
fn empty_json(status: StatusCode) -> Response {
    (status, [(CONTENT_TYPE, "application/json")]).into_response()
}

/// JSON as Go's encoder writes it, newline included.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let body = format!("{}\n", go_json(&self.0));
        ([(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

pub(super) type Answer = Result<Response, Rejection>;
