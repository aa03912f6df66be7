//! Asking for operations.

use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use gatehouse_domain::{
    id::ServiceId,
    idempotency::IdempotencyKey,
    json::Object,
    name::EnvironmentName,
    operations::request::{self, Ask, OperationRequest},
};
use gatehouse_http::{
    Problem,
    extract::{Audited, Idempotency, JsonBody, NoQuery, PathParameter, WithOldWords, mark_replayed},
    problem::ProblemBody,
    written::{OldWords, Words},
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{problems, state::AppState, wire::OperationAnswer};

/// What is to be provisioned.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProvisionBody {
    /// Which environment of the service; its only one without it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "dev")]
    environment: Option<EnvironmentName>,
    /// Inputs of the module, over those of the environment. Those that the module calls sensitive are kept sealed.
    #[serde(default)]
    #[schema(value_type = Object)]
    inputs: Object,
}

impl OldWords for ProvisionBody {
    const WORDS: &'static [Words] =
        &[Words { renamed: &[("parameters", "inputs")], ..Words::of("ProvisionBody") }];
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
    /// Which environment of the service; its only one without it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "dev")]
    environment: Option<EnvironmentName>,
    /// Which version.
    #[schema(example = "1.4.2")]
    version: String,
}

impl OldWords for DeployBody {
    const WORDS: &'static [Words] =
        &[Words { renamed: &[("image_tag", "version")], ..Words::of("DeployBody") }];
}

/// Provisions an environment: plan, approval where the environment asks for it, apply.
#[utoipa::path(
    post, path = "/services/{service_id}/actions/provision", operation_id = "provision_service",
    tag = "catalog",
    params(
        ("service_id" = String, Path, description = "The service's id."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repetitions safe."),
    ),
    request_body = Option<ProvisionBody>,
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
    action: ActionRequest,
    body: Option<WithOldWords<ProvisionBody>>,
) -> Result<Response, Problem> {
    let body = body.map(|WithOldWords(body)| body).unwrap_or_default();
    action.ask(body.environment.as_ref(), &Ask::Provision(body.inputs)).await
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
    action: ActionRequest,
    JsonBody(body): JsonBody<EnvironmentOnlyBody>,
) -> Result<Response, Problem> {
    action.ask(Some(&body.environment), &Ask::Deprovision).await
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
    action: ActionRequest,
    JsonBody(body): JsonBody<EnvironmentOnlyBody>,
) -> Result<Response, Problem> {
    action.ask(Some(&body.environment), &Ask::Drift).await
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
    action: ActionRequest,
    WithOldWords(body): WithOldWords<DeployBody>,
) -> Result<Response, Problem> {
    action.ask(body.environment.as_ref(), &Ask::Deploy(body.version)).await
}

/// What a request for an operation has besides its body: who asks, for which service, and under which key.
pub(crate) struct ActionRequest {
    state: AppState,
    audited: Audited,
    service: ServiceId,
    key: Option<IdempotencyKey>,
}

impl FromRequestParts<AppState> for ActionRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let audited = Audited::from_request_parts(parts, state).await?;
        let PathParameter(service) = PathParameter::from_request_parts(parts, state).await?;
        NoQuery::from_request_parts(parts, state).await?;
        let Idempotency(key) = Idempotency::from_request_parts(parts, state).await?;
        Ok(Self { state: state.clone(), audited, service, key })
    }
}

impl ActionRequest {
    /// Begins the operation, and answers 202 with it.
    async fn ask(&self, environment: Option<&EnvironmentName>, ask: &Ask) -> Result<Response, Problem> {
        let Self { state, audited, service, key } = self;
        let wanted = OperationRequest { service, environment, ask, key: key.as_ref() };
        let (seal, start, system) = (&*state.seal, &*state.start, &*state.system);
        let asked = request::request(&*state.table, seal, start, system, &audited.context(), &wanted).await;
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
}
