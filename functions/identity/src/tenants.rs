//! Tenants.

use axum::{Json, extract::State, http::StatusCode};
use gatehouse_domain::{
    name::{ProjectName, TenantId},
    tenant::{self, DefaultProject, EditTenantError, Tenant, TenantDraft},
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, Audited, NoQuery, PathParameter, WithOldWords},
    problem::{CONFLICT, NOT_FOUND, ProblemBody},
    revocation::{Flush, log_flush_error},
    written::{OldWords, Words},
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::AppState;

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantView {
    tenant: String,
    /// A name for people.
    display_name: String,
    /// Whether its members have to enrol a second factor before anything else is open to them.
    require_second_factor: bool,
    /// The project of services that say nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    default_project: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    created_by: String,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        Self {
            tenant: tenant.id.to_string(),
            display_name: tenant.display_name,
            require_second_factor: tenant.require_second_factor,
            default_project: tenant.default_project.map(|project| project.to_string()),
            created_at: tenant.created_at,
            created_by: tenant.created_by,
        }
    }
}

/// One tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantAnswer {
    tenant: TenantView,
}

/// The caller's tenants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantsAnswer {
    tenants: Vec<TenantView>,
}

/// What people decide about a tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantBody {
    /// A name for people.
    #[schema(example = "Acme")]
    display_name: String,
    /// Whether its members have to enrol a second factor before anything else is open to them; as it is without it.
    #[serde(default)]
    require_second_factor: Option<bool>,
    /// The project, of this tenant, of services that say nothing of it; as it is without it, and none with null.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, example = "payments")]
    default_project: DefaultProject,
}

fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DefaultProject, D::Error> {
    let project = Option::<ProjectName>::deserialize(deserializer)?;
    Ok(project.map_or(DefaultProject::None, DefaultProject::Project))
}

impl OldWords for TenantBody {
    const WORDS: &'static [Words] = &[Words { nullable: &["default_project"], ..Words::of("TenantBody") }];
}

/// Lists the tenants that the caller is in: an installation has some dozens, so there are no pages.
#[utoipa::path(
    get, path = "/v1/tenants", operation_id = "list_tenants", tag = "projects",
    responses((status = 200, description = "The tenants.", body = TenantsAnswer))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    _: NoQuery,
) -> Result<Json<TenantsAnswer>, Problem> {
    let tenants = tenant::list(&*state.table, &caller).await.map_err(Problem::store)?;
    Ok(Json(TenantsAnswer { tenants: tenants.into_iter().map(Into::into).collect() }))
}

/// Creates a tenant, or changes what is decided about it.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}", operation_id = "put_tenant", tag = "projects",
    params(("tenant" = String, Path, description = "The tenant.")),
    request_body = TenantBody,
    responses(
        (status = 200, description = "The tenant.", body = TenantAnswer),
        (status = 409, description = "A tenant of this name was deleted.", body = ProblemBody),
        (status = 422, description = "Fields are refused.", body = ProblemBody),
    )
)]
pub(crate) async fn put(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    PathParameter(id): PathParameter<TenantId>,
    _: NoQuery,
    WithOldWords(body): WithOldWords<TenantBody>,
) -> Result<Json<TenantAnswer>, Problem> {
    let audit = audited.context();
    let TenantBody { display_name, require_second_factor, default_project } = body;
    let draft = TenantDraft { id, display_name, require_second_factor, default_project };
    let put = tenant::put(&*state.table, &*flush, &*state.system, &audit, draft).await;
    let (tenant, flush_error) = put.map_err(problem)?;
    log_flush_error(flush_error.as_ref());
    Ok(Json(TenantAnswer { tenant: tenant.into() }))
}

/// Deletes a tenant that has no projects.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}", operation_id = "delete_tenant", tag = "projects",
    params(("tenant" = String, Path, description = "The tenant.")),
    responses(
        (status = 204, description = "The tenant was deleted."),
        (status = 404, description = "There is no such tenant.", body = ProblemBody),
        (status = 409, description = "The tenant still has projects.", body = ProblemBody),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(id): PathParameter<TenantId>,
    _: NoQuery,
) -> Result<StatusCode, Problem> {
    let audit = audited.context();
    tenant::delete(&*state.table, &*state.system, &audit, &id).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

fn problem(error: EditTenantError) -> Problem {
    match error {
        EditTenantError::Invalid(errors) => Problem::invalid(errors),
        EditTenantError::NotFound => Problem::new(NOT_FOUND, "There is no such tenant."),
        EditTenantError::InUse | EditTenantError::NameSpent => Problem::new(CONFLICT, error.to_string()),
        EditTenantError::Store(error) => Problem::store(error),
    }
}
