//! Showing operations.

use axum::{Json, extract::State, response::IntoResponse};
use gatehouse_domain::{
    id::{OperationId, ServiceId},
    operations,
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, NoQuery, PathParameter, PathParameters, QueryParameters},
    page::{self, PageQuery},
    problem::ProblemBody,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    problems,
    state::AppState,
    wire::{OperationAnswer, OperationsAnswer},
};

/// An operation of a service, as the path names it.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OperationPath {
    /// The service's id.
    #[param(value_type = String)]
    pub(crate) service_id: ServiceId,
    /// The operation's id.
    #[param(value_type = String)]
    pub(crate) operation_id: OperationId,
}

/// Lists the operations of a service, the newest first.
#[utoipa::path(
    get, path = "/services/{service_id}/operations", operation_id = "list_operations", tag = "catalog",
    params(("service_id" = String, Path, description = "The service's id."), PageQuery),
    responses(
        (status = 200, description = "A page of operations.", body = OperationsAnswer),
        (status = 404, description = "There is no such service.", body = ProblemBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    PathParameter(service): PathParameter<ServiceId>,
    QueryParameters(query): QueryParameters<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    let request = page::request(query.limit, query.cursor)?;
    let page = operations::history(&*state.table, &caller, &service, &request).await;
    let page = page.map_err(problems::history)?;
    let (link, next_cursor) = page::next(page.next, request.limit, &[]);
    let operations = page.items.into_iter().map(Into::into).collect();
    Ok((link, Json(OperationsAnswer { operations, next_cursor })))
}

/// Shows one operation.
#[utoipa::path(
    get, path = "/services/{service_id}/operations/{operation_id}", operation_id = "show_operation",
    tag = "catalog",
    params(OperationPath),
    responses(
        (status = 200, description = "The operation.", body = OperationAnswer),
        (status = 404, description = "There is no such operation.", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    PathParameters(path): PathParameters<OperationPath>,
    _: NoQuery,
) -> Result<impl IntoResponse, Problem> {
    let OperationPath { service_id, operation_id } = path;
    let found = operations::show(&*state.table, &caller, &service_id, &operation_id).await;
    Ok(Json(OperationAnswer::from(found.map_err(problems::show_operation)?)))
}
