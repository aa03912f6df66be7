//! Operations over all services.

use std::collections::BTreeSet;

use axum::{Json, extract::State, response::IntoResponse};
use gatehouse_domain::{
    id::{OperationId, ServiceId},
    name::{EnvironmentName, TenantId},
    operations::{self, OperationKind, OperationQuery, OperationStatus},
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, NoQuery, PathParameter, QueryParameters},
    page,
    problem::{INVALID_QUERY, ProblemBody},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    problems,
    state::AppState,
    wire::{AllOperationsAnswer, OperationAnswer},
};

/// The longest name of somebody that is looked for, in bytes.
const MAX_FILTER: usize = 200;

/// Which operations are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Those of this tenant.
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Those of the service with this id.
    #[param(value_type = Option<String>)]
    service: Option<ServiceId>,
    /// Those in environments of this name.
    #[param(value_type = Option<String>)]
    environment: Option<EnvironmentName>,
    /// Those that stand so: a status of an operation, or `open` for all that have not ended.
    status: Option<String>,
    /// `provision`, `deprovision`, `drift` or `deploy`.
    #[param(value_type = Option<String>)]
    kind: Option<OperationKind>,
    /// Those that they asked for, themselves or with a key of theirs: `user:ada`.
    requested_by: Option<String>,
    /// `me`: those that wait for an approval that you may give. What you asked for yourself is none of them.
    waiting_for: Option<String>,
    /// How many at most, 1 to 100; 50 without it.
    limit: Option<u8>,
    /// Where to start: the `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the operations of the caller's tenants, over all services, the newest first. A page that is filtered by
/// anything but tenant, service or status may be short, or empty, and still have a next one.
#[utoipa::path(
    get, path = "/v1/operations", operation_id = "list_all_operations", tag = "catalog", params(ListQuery),
    responses(
        (status = 200, description = "A page of operations.", body = AllOperationsAnswer),
        (status = 400, description = "The query cannot be read.", body = ProblemBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    QueryParameters(query): QueryParameters<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let tenant = query.tenant.as_ref().map(ToString::to_string);
    let service = query.service.as_ref().map(ToString::to_string);
    let environment = query.environment.as_ref().map(ToString::to_string);
    let filters = [
        ("tenant", tenant.as_deref()),
        ("service", service.as_deref()),
        ("environment", environment.as_deref()),
        ("status", query.status.as_deref()),
        ("kind", query.kind.map(OperationKind::as_str)),
        ("requested_by", query.requested_by.as_deref()),
        ("waiting_for", query.waiting_for.as_deref()),
    ];
    let request = page::request(query.limit, query.cursor, &caller, &filters)?;
    let wanted = OperationQuery {
        tenant: query.tenant,
        service: query.service,
        environment: query.environment,
        statuses: query.status.as_deref().map(statuses).transpose()?.unwrap_or_default(),
        kind: query.kind,
        requested_by: query.requested_by.clone().map(somebody).transpose()?,
        waiting_for_caller: query.waiting_for.as_deref().map(waiting_for).transpose()?.is_some(),
    };
    let page =
        operations::list_all(&*state.table, &caller, &wanted, &request).await.map_err(Problem::list)?;
    let (link, next_cursor) = page::next(page.next, request.limit, &filters);
    let operations = page.items.into_iter().map(Into::into).collect();
    Ok((link, Json(AllOperationsAnswer { operations, next_cursor })))
}

fn statuses(word: &str) -> Result<BTreeSet<OperationStatus>, Problem> {
    if word == "open" {
        return Ok(OperationStatus::OPEN.into());
    }
    let known = OperationStatus::ALL.iter().find(|status| status.as_str() == word);
    known.map(|status| [*status].into()).ok_or_else(|| {
        let known: Vec<_> = OperationStatus::ALL.iter().map(|status| status.as_str()).collect();
        Problem::new(INVALID_QUERY, format!("`status` must be `open` or one of: {}.", known.join(", ")))
    })
}

fn somebody(name: String) -> Result<String, Problem> {
    if (1..=MAX_FILTER).contains(&name.len()) {
        return Ok(name);
    }
    Err(Problem::new(INVALID_QUERY, format!("`requested_by` must be 1 to {MAX_FILTER} bytes.")))
}

/// Whose approval somebody else is waiting for is not for others to see by asking.
fn waiting_for(word: &str) -> Result<(), Problem> {
    if word == "me" { Ok(()) } else { Err(Problem::new(INVALID_QUERY, "`waiting_for` must be `me`.")) }
}

/// Finds an operation by its id alone. It outlives its service.
#[utoipa::path(
    get, path = "/v1/operations/{operation_id}", operation_id = "find_operation", tag = "catalog",
    params(("operation_id" = String, Path, description = "The operation's id.")),
    responses(
        (status = 200, description = "The operation.", body = OperationAnswer),
        (status = 404, description = "There is no such operation.", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    PathParameter(operation): PathParameter<OperationId>,
    _: NoQuery,
) -> Result<impl IntoResponse, Problem> {
    let found = operations::find(&*state.table, &caller, &operation).await;
    Ok(Json(OperationAnswer::from(found.map_err(problems::show_operation)?)))
}
