//! Cancelling runs.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use gatehouse_domain::{
    ci::CancelMode,
    runs::{self, RunId},
};
use gatehouse_http::{
    Problem,
    extract::{Audited, JsonBody, NoQuery, PathParameter},
    problem::ProblemBody,
};

use crate::{
    AppState, problems,
    wire::{CancelBody, RunAnswer},
};

/// Asks a run to stop. It is `cancelling` until the CI system has ended it. Asking again is fine.
#[utoipa::path(
    post, path = "/v1/runs/{run_id}/cancel", operation_id = "cancel_run", tag = "runs",
    params(("run_id" = String, Path, description = "The run's id.")),
    request_body = Option<CancelBody>,
    responses(
        (status = 202, description = "The run was asked to stop.", body = RunAnswer),
        (status = 404, description = "There is no such run.", body = ProblemBody),
        (status = 409, description = "The run has ended already.", body = ProblemBody),
        (status = 422, description = "The CI system cannot force a run to end.", body = ProblemBody),
    )
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(run): PathParameter<RunId>,
    _: NoQuery,
    body: Option<JsonBody<CancelBody>>,
) -> Result<impl IntoResponse, Problem> {
    let CancelBody { force } = body.map(|JsonBody(body)| body).unwrap_or_default();
    let mode = if force { CancelMode::Force } else { CancelMode::Graceful };
    let audit = audited.context();
    let found = runs::cancel(&*state.table, &*state.providers, &*state.system, &audit, &run, mode);
    let found = found.await.map_err(problems::cancel)?;
    Ok((StatusCode::ACCEPTED, Json(RunAnswer { run: found.into() })))
}
