//! How a service's environments stand: once, or as a stream for as long as an operation is open.

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use gatehouse_domain::{
    id::ServiceId,
    operations::{self, OperationKind, ServiceStatus},
};
use gatehouse_http::{
    Problem,
    extract::{NoQuery, PathParameter},
    gateway::Deadline,
    problem::ProblemBody,
    stream::Reader,
};

use crate::{
    state::AppState,
    watch::{View, Watch},
    wire::{DeployStatusAnswer, StatusAnswer},
};

/// Shows how a service's environments stand, with the open operations and the last ones.
///
/// With `Accept: text/event-stream`, streams it: `status` now and at every change, `end` when nothing goes
/// on any more, `reconnect` before the function's time is up. An `end` with a `reason` is the reader's: their
/// credential has ended, or their role does not allow this any more.
#[utoipa::path(
    get, path = "/services/{service_id}/actions/status", operation_id = "show_status", tag = "catalog",
    params(
        ("service_id" = String, Path, description = "The service's id."),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was read."),
    ),
    responses(
        (status = 200, description = "How it stands.", content(
            (StatusAnswer = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "The reader of the stream has seen everything."),
        (status = 404, description = "There is no such service.", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    reader: Reader,
    PathParameter(service): PathParameter<ServiceId>,
    _: NoQuery,
    headers: HeaderMap,
    deadline: Deadline,
) -> Result<Response, Problem> {
    answer(state, reader, service, View::EVERYTHING, &headers, deadline).await
}

/// Shows how the deploys of a service stand. With `Accept: text/event-stream`, streams it.
#[utoipa::path(
    get, path = "/services/{service_id}/actions/deploy/status", operation_id = "show_deploy_status",
    tag = "catalog",
    params(
        ("service_id" = String, Path, description = "The service's id."),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was read."),
    ),
    responses(
        (status = 200, description = "How they stand.", content(
            (DeployStatusAnswer = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "The reader of the stream has seen everything."),
        (status = 404, description = "There is no such service.", body = ProblemBody),
    )
)]
pub(crate) async fn deploys(
    State(state): State<AppState>,
    reader: Reader,
    PathParameter(service): PathParameter<ServiceId>,
    _: NoQuery,
    headers: HeaderMap,
    deadline: Deadline,
) -> Result<Response, Problem> {
    answer(state, reader, service, View::DEPLOYS, &headers, deadline).await
}

impl View {
    const EVERYTHING: Self = Self { render: everything, goes_on: anything_goes_on };
    const DEPLOYS: Self = Self { render: deploys_only, goes_on: a_deploy_goes_on };
}

fn everything(status: ServiceStatus) -> String {
    serde_json::to_string(&StatusAnswer::from(status)).unwrap_or_default()
}

fn deploys_only(status: ServiceStatus) -> String {
    serde_json::to_string(&DeployStatusAnswer::from(status)).unwrap_or_default()
}

fn anything_goes_on(status: &ServiceStatus) -> bool {
    status.environments.iter().any(|environment| environment.running.is_some())
}

fn a_deploy_goes_on(status: &ServiceStatus) -> bool {
    let running = status.environments.iter().filter_map(|environment| environment.running.as_ref());
    running.into_iter().any(|operation| operation.work.kind() == OperationKind::Deploy)
}

async fn answer(
    state: AppState,
    reader: Reader,
    service: ServiceId,
    view: View,
    headers: &HeaderMap,
    deadline: Deadline,
) -> Result<Response, Problem> {
    let status = operations::status(&*state.table, &reader.caller, &service).await;
    let status = status.map_err(Problem::show_service)?;
    if wants_stream(headers) {
        return Watch { state, reader, service, view, deadline }.answer(status, headers);
    }
    let headers = [(header::CONTENT_TYPE, "application/json")];
    Ok((headers, (view.render)(status)).into_response())
}

/// Whether the caller asks for a stream by name.
fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds = accepted.flat_map(|value| value.split(',')).filter_map(|kind| kind.split(';').next());
    kinds.into_iter().any(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}
