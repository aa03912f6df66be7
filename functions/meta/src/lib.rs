//! What anybody may see without a credential: that Gatehouse is up, and what its API is.

use axum::{Json, Router, http::header, response::IntoResponse};
use serde::Serialize;
use utoipa::ToSchema;

/// The API description: generated from the routes by `gatehouse openapi`, checked in, and compared by a
/// test.
const DESCRIPTION: &str = include_str!("../../../infra/openapi.json");

/// The routes of this function.
pub fn router() -> Router {
    routes().into_app(())
}

gatehouse_http::routes! {
    (),
    "GET" "/health" => health,
    "GET" "/openapi.json" => openapi,
}

/// That Gatehouse is up.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

#[utoipa::path(
    get, path = "/health", operation_id = "show_health", tag = "operations", security(()),
    responses((status = 200, description = "Gatehouse answers.", body = Health))
)]
async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

#[utoipa::path(
    get, path = "/openapi.json", operation_id = "show_api_description", tag = "operations", security(()),
    responses((status = 200, description = "This document.", content_type = "application/json"))
)]
async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION)
}
