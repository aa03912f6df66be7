//! What environments can be provisioned with.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use gatehouse_domain::{
    modules::{self, FindModule},
    name::ModuleName,
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, Audited, JsonBody, NoQuery, PathParameter, etag},
    problem::ProblemBody,
};

use crate::{
    problems,
    state::AppState,
    wire::{ModuleAnswer, ModuleBody, ModulesAnswer},
};

/// Lists the modules that are published, with what they take: there are two hundred at most, so there are no pages.
#[utoipa::path(
    get, path = "/v1/modules", operation_id = "list_modules", tag = "catalog",
    responses((status = 200, description = "The modules.", body = ModulesAnswer))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(_caller): Admitted,
    _: NoQuery,
) -> Result<Json<ModulesAnswer>, Problem> {
    let modules = state.table.list_modules().await.map_err(Problem::store)?;
    Ok(Json(ModulesAnswer::from(modules)))
}

/// Shows one module.
#[utoipa::path(
    get, path = "/v1/modules/{module}", operation_id = "show_module", tag = "catalog",
    params(("module" = String, Path, description = "The module.")),
    responses(
        (status = 200, description = "The module.", body = ModuleAnswer),
        (status = 404, description = "There is no such module.", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Admitted(_caller): Admitted,
    PathParameter(name): PathParameter<ModuleName>,
    _: NoQuery,
) -> Result<impl IntoResponse, Problem> {
    let found = state.table.find_module(&name).await.map_err(Problem::store)?;
    let module = found.ok_or_else(problems::no_module)?;
    Ok(([etag(&module.revision)], Json(ModuleAnswer::from(module))))
}

/// Publishes what a module takes and gives, in place of what was published of it before. The same again changes nothing.
#[utoipa::path(
    put, path = "/v1/modules/{module}", operation_id = "put_module", tag = "catalog",
    params(("module" = String, Path, description = "The module.")),
    request_body = ModuleBody,
    responses(
        (status = 200, description = "The module as it is published.", body = ModuleAnswer),
        (status = 409, description = "There are two hundred modules already.", body = ProblemBody),
        (status = 422, description = "Fields are refused.", body = ProblemBody),
    )
)]
pub(crate) async fn put(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(name): PathParameter<ModuleName>,
    _: NoQuery,
    JsonBody(body): JsonBody<ModuleBody>,
) -> Result<impl IntoResponse, Problem> {
    let (audit, interface) = (audited.context(), body.into_interface());
    let published = modules::publish(&*state.table, &*state.system, &audit, name, interface).await;
    let module = published.map_err(problems::module)?.module;
    Ok(([etag(&module.revision)], Json(ModuleAnswer::from(module))))
}

/// Withdraws a module: no environment can be given it any more. Those that have it keep it.
#[utoipa::path(
    delete, path = "/v1/modules/{module}", operation_id = "delete_module", tag = "catalog",
    params(("module" = String, Path, description = "The module.")),
    responses(
        (status = 204, description = "The module was withdrawn."),
        (status = 404, description = "There is no such module.", body = ProblemBody),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(name): PathParameter<ModuleName>,
    _: NoQuery,
) -> Result<StatusCode, Problem> {
    let audit = audited.context();
    modules::withdraw(&*state.table, &*state.system, &audit, &name).await.map_err(problems::module)?;
    Ok(StatusCode::NO_CONTENT)
}
