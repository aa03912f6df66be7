//! Letting an environment live longer.

use axum::{Json, extract::State, response::IntoResponse};
use gatehouse_domain::{catalog, id::ServiceId, name::EnvironmentName};
use gatehouse_http::{
    Problem,
    extract::{Audited, JsonBody, NoQuery, PathParameter},
    problem::ProblemBody,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{problems, state::AppState};

/// How long which environment is to live.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtendBody {
    /// Which environment of the service.
    #[schema(value_type = String, example = "dev")]
    environment: EnvironmentName,
    /// How many hours from now on: at most the environment's time to live.
    #[schema(example = 24)]
    hours: u32,
}

/// When an environment ends.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExtendAnswer {
    environment: String,
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
}

/// Lets an environment with a time to live end so many hours from now, where it would end earlier.
#[utoipa::path(
    post, path = "/services/{service_id}/actions/extend", operation_id = "extend_environment", tag = "catalog",
    params(("service_id" = String, Path, description = "The service's id.")),
    request_body = ExtendBody,
    responses(
        (status = 200, description = "When it ends.", body = ExtendAnswer),
        (status = 404, description = "There is no such service.", body = ProblemBody),
        (status = 409, description = "It has no end, lives longer already, or an operation is open in it.",
            body = ProblemBody),
        (status = 422, description = "Fields are refused.", body = ProblemBody),
    )
)]
pub(crate) async fn extend(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(service): PathParameter<ServiceId>,
    _: NoQuery,
    JsonBody(body): JsonBody<ExtendBody>,
) -> Result<impl IntoResponse, Problem> {
    let ExtendBody { environment, hours } = body;
    let (table, system, audit) = (&*state.table, &*state.system, audited.context());
    let extended = catalog::extend(table, system, &audit, &service, &environment, hours).await;
    let ends_at = extended.map_err(problems::extend)?;
    Ok(Json(ExtendAnswer { environment: environment.to_string(), ends_at }))
}
