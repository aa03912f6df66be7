//! Asking for operations.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use gatehouse_domain::{
    id::ServiceId,
    idempotency::IdempotencyKey,
    name::EnvironmentName,
    operations::request::{self, Ask, OperationRequest},
};
use gatehouse_http::{
    Problem,
    extract::{Audited, Idempotency, JsonBody, NoQuery, PathParameter, mark_replayed},
    problem::ProblemBody,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{problems, state::AppState, wire::OperationAnswer};

/// What is to be provisioned.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProvisionBody {
    /// Which environment of the service.
    #[schema(value_type = String, example = "dev")]
    environment: EnvironmentName,
    /// Inputs of the module, over those of the environment.
    #[serde(default)]
    #[schema(value_type = Object)]
    inputs: Map<String, Value>,
}

/// In which environment something is to be done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvironmentOnlyBody {
    /// Which environment of the service.
    #[schema(value_type = String, example = "dev")]
    environment: EnvironmentName,
}

/// What is to be deployed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeployBody {
    /// Which environment of the service.
    #[schema(value_type = String, example = "dev")]
    environment: EnvironmentName,
    /// Which version.
    #[schema(example = "1.4.2")]
    version: String,
}

/// Provisions an environment: plan, approval where the environment asks for it, apply.
#[utoipa::path(
    post, path = "/services/{service_id}/actions/provision", operation_id = "provision_service",
    tag = "catalog",
    params(
        ("service_id" = String, Path, description = "The service's id."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repetitions safe."),
    ),
    request_body = ProvisionBody,
    responses(
        (status = 202, description = "The operation was accepted. `Location` shows it.", body = OperationAnswer),
        (status = 404, description = "There is no such service.", body = ProblemBody),
        (status = 409, description = "Another operation is open in the environment, or it has no module.",
            body = ProblemBody),
        (status = 422, description = "Fields are refused, or the key was used for another request.",
            body = ProblemBody),
        (status = 503, description = "Nothing is there that could provision.", body = ProblemBody),
    )
)]
pub(crate) async fn provision(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(service): PathParameter<ServiceId>,
    _: NoQuery,
    Idempotency(key): Idempotency,
    JsonBody(body): JsonBody<ProvisionBody>,
) -> Result<Response, Problem> {
    let ask = Ask::Provision(body.inputs);
    ask_for(&state, &audited, &service, &body.environment, &ask, key.as_ref()).await
}

/// Deprovisions an environment: takes away what was provisioned.
#[utoipa::path(
    post, path = "/services/{service_id}/actions/deprovision", operation_id = "deprovision_service",
    tag = "catalog",
    params(
        ("service_id" = String, Path, description = "The service's id."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repetitions safe."),
    ),
    request_body = EnvironmentOnlyBody,
    responses(
        (status = 202, description = "The operation was accepted. `Location` shows it.", body = OperationAnswer),
        (status = 404, description = "There is no such service.", body = ProblemBody),
        (status = 409, description = "Another operation is open in the environment, or nothing is provisioned.",
            body = ProblemBody),
        (status = 503, description = "Nothing is there that could deprovision.", body = ProblemBody),
    )
)]
pub(crate) async fn deprovision(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(service): PathParameter<ServiceId>,
    _: NoQuery,
    Idempotency(key): Idempotency,
    JsonBody(body): JsonBody<EnvironmentOnlyBody>,
) -> Result<Response, Problem> {
    ask_for(&state, &audited, &service, &body.environment, &Ask::Deprovision, key.as_ref()).await
}

/// Looks whether what exists in an environment is what was provisioned. Changes nothing.
#[utoipa::path(
    post, path = "/services/{service_id}/actions/drift", operation_id = "check_drift", tag = "catalog",
    params(
        ("service_id" = String, Path, description = "The service's id."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repetitions safe."),
    ),
    request_body = EnvironmentOnlyBody,
    responses(
        (status = 202, description = "The operation was accepted. `Location` shows it.", body = OperationAnswer),
        (status = 404, description = "There is no such service.", body = ProblemBody),
        (status = 409, description = "Another operation is open in the environment, or nothing is provisioned.",
            body = ProblemBody),
        (status = 503, description = "Nothing is there that could look.", body = ProblemBody),
    )
)]
pub(crate) async fn drift(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(service): PathParameter<ServiceId>,
    _: NoQuery,
    Idempotency(key): Idempotency,
    JsonBody(body): JsonBody<EnvironmentOnlyBody>,
) -> Result<Response, Problem> {
    ask_for(&state, &audited, &service, &body.environment, &Ask::Drift, key.as_ref()).await
}

/// Deploys a version to an environment, by the service's deploy job or webhook.
#[utoipa::path(
    post, path = "/services/{service_id}/actions/deploy", operation_id = "deploy_service", tag = "catalog",
    params(
        ("service_id" = String, Path, description = "The service's id."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repetitions safe."),
    ),
    request_body = DeployBody,
    responses(
        (status = 202, description = "The operation was accepted. `Location` shows it.", body = OperationAnswer),
        (status = 404, description = "There is no such service.", body = ProblemBody),
        (status = 409, description = "Another operation is open in the environment, it is not provisioned, \
            or nothing deploys the service.", body = ProblemBody),
        (status = 422, description = "Fields are refused, or the key was used for another request.",
            body = ProblemBody),
        (status = 503, description = "Nothing is there that could deploy.", body = ProblemBody),
    )
)]
pub(crate) async fn deploy(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(service): PathParameter<ServiceId>,
    _: NoQuery,
    Idempotency(key): Idempotency,
    JsonBody(body): JsonBody<DeployBody>,
) -> Result<Response, Problem> {
    let ask = Ask::Deploy(body.version);
    ask_for(&state, &audited, &service, &body.environment, &ask, key.as_ref()).await
}

async fn ask_for(
    state: &AppState,
    audited: &Audited,
    service: &ServiceId,
    environment: &EnvironmentName,
    ask: &Ask,
    key: Option<&IdempotencyKey>,
) -> Result<Response, Problem> {
    let wanted = OperationRequest { service, environment, ask, key };
    let (start, system) = (&*state.start, &*state.system);
    let asked = request::request(&*state.table, start, system, &audited.context(), &wanted).await;
    let requested = asked.map_err(problems::request)?;
    problems::log_unsettled(&requested.operation.id, requested.unsettled.as_ref());
    let mut headers = HeaderMap::new();
    if requested.replayed {
        mark_replayed(&mut headers);
    }
    // Relative to `…/services/{service_id}/actions/…`.
    if let Ok(location) = HeaderValue::from_str(&format!("../operations/{}", requested.operation.id)) {
        headers.insert(header::LOCATION, location);
    }
    Ok((StatusCode::ACCEPTED, headers, Json(OperationAnswer::from(requested.operation))).into_response())
}
