//! Deciding about operations: approving, rejecting, cancelling.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use gatehouse_domain::operations::{
    Operation,
    decide::{self, Answer, DecideError, Decided, Decision},
};
use gatehouse_http::{
    Problem,
    extract::{Audited, JsonBody, NoQuery, PathParameters},
    problem::ProblemBody,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{operation::OperationPath, problems, state::AppState, wire::OperationAnswer};

/// What else is said to an operation.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerdictBody {
    /// For those who read the operation later.
    #[serde(default)]
    comment: Option<String>,
}

/// Approves an operation that waits for it. Whoever asked for it cannot.
#[utoipa::path(
    post, path = "/services/{service_id}/operations/{operation_id}/approve",
    operation_id = "approve_operation", tag = "catalog",
    params(OperationPath),
    request_body = Option<VerdictBody>,
    responses(
        (status = 200, description = "The operation as it stands.", body = OperationAnswer),
        (status = 403, description = "You asked for it yourself.", body = ProblemBody),
        (status = 404, description = "There is no such operation.", body = ProblemBody),
        (status = 409, description = "It does not wait for approval.", body = ProblemBody),
    )
)]
pub(crate) async fn approve(
    State(state): State<AppState>,
    audited: Audited,
    PathParameters(path): PathParameters<OperationPath>,
    _: NoQuery,
    body: Option<JsonBody<VerdictBody>>,
) -> Result<impl IntoResponse, Problem> {
    let operation = answer(&state, &audited, path, Answer::Approve, body).await?;
    Ok(Json(OperationAnswer::from(operation)))
}

/// Rejects an operation that waits for approval, which ends it. Whoever asked for it cancels it instead.
#[utoipa::path(
    post, path = "/services/{service_id}/operations/{operation_id}/reject",
    operation_id = "reject_operation", tag = "catalog",
    params(OperationPath),
    request_body = Option<VerdictBody>,
    responses(
        (status = 200, description = "The operation, which has ended.", body = OperationAnswer),
        (status = 403, description = "You asked for it yourself.", body = ProblemBody),
        (status = 404, description = "There is no such operation.", body = ProblemBody),
        (status = 409, description = "It does not wait for approval.", body = ProblemBody),
    )
)]
pub(crate) async fn reject(
    State(state): State<AppState>,
    audited: Audited,
    PathParameters(path): PathParameters<OperationPath>,
    _: NoQuery,
    body: Option<JsonBody<VerdictBody>>,
) -> Result<impl IntoResponse, Problem> {
    let operation = answer(&state, &audited, path, Answer::Reject, body).await?;
    Ok(Json(OperationAnswer::from(operation)))
}

/// Asks an operation to stop. What nothing works on ends at once; otherwise its worker is asked to
/// stop, and lets Terraform come to a safe end first.
#[utoipa::path(
    post, path = "/services/{service_id}/operations/{operation_id}/cancel",
    operation_id = "cancel_operation", tag = "catalog",
    params(OperationPath),
    responses(
        (status = 202, description = "The operation, which ends soon or has ended.", body = OperationAnswer),
        (status = 404, description = "There is no such operation.", body = ProblemBody),
        (status = 409, description = "It has ended already.", body = ProblemBody),
    )
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    audited: Audited,
    PathParameters(path): PathParameters<OperationPath>,
    _: NoQuery,
) -> Result<impl IntoResponse, Problem> {
    let OperationPath { service_id, operation_id } = path;
    let (table, workflow, system) = (&*state.table, state.workflow(), &*state.system);
    let audit = audited.context();
    let decided = decide::cancel(table, workflow, system, &audit, &service_id, &operation_id).await;
    Ok((StatusCode::ACCEPTED, Json(OperationAnswer::from(recorded(decided)?))))
}

async fn answer(
    state: &AppState,
    audited: &Audited,
    path: OperationPath,
    answer: Answer,
    body: Option<JsonBody<VerdictBody>>,
) -> Result<Operation, Problem> {
    let OperationPath { service_id, operation_id } = path;
    let comment = body.and_then(|JsonBody(body)| body.comment);
    let (table, workflow, system) = (&*state.table, state.workflow(), &*state.system);
    let (audit, decision) = (audited.context(), Decision { answer, comment });
    recorded(decide::decide(table, workflow, system, &audit, &service_id, &operation_id, &decision).await)
}

fn recorded(decided: Result<Decided, DecideError>) -> Result<Operation, Problem> {
    let decided = decided.map_err(problems::decide)?;
    problems::log_unsettled(&decided.operation.id, decided.unsettled.as_ref());
    Ok(decided.operation)
}
