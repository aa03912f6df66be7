//! Jobs and providers: what can be run, and where.

mod check;
mod discover;
mod import;
mod job;
mod provider;
mod state;
mod wire;

use axum::Router;
use gatehouse_domain::access::{
    CHECK_PROVIDER, DELETE_JOB, DELETE_PROVIDER, DISCOVER_JOBS, IMPORT_JOBS, LIST_JOBS, LIST_PROVIDERS,
    PUT_JOB, PUT_PROVIDER, SHOW_JOB, SHOW_PROVIDER,
};
use gatehouse_http::Routes;
use utoipa::OpenApi;

pub use self::state::AppState;

/// The routes of this function.
pub fn router(state: AppState) -> Router {
    routes().into_app(state)
}

/// What is mounted.
pub fn routes() -> Routes<AppState> {
    Routes::new()
        .on(&LIST_JOBS, job::list)
        .on(&SHOW_JOB, job::show)
        .on(&PUT_JOB, job::put)
        .on(&DELETE_JOB, job::delete)
        .on(&IMPORT_JOBS, import::import)
        .on(&DISCOVER_JOBS, discover::discover)
        .on(&LIST_PROVIDERS, provider::list)
        .on(&SHOW_PROVIDER, provider::show)
        .on(&PUT_PROVIDER, provider::put)
        .on(&DELETE_PROVIDER, provider::delete)
        .on(&CHECK_PROVIDER, check::check)
}

/// What this function contributes to the API description.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    job::list,
    job::show,
    job::put,
    job::delete,
    import::import,
    discover::discover,
    provider::list,
    provider::show,
    provider::put,
    provider::delete,
    check::check
))]
pub struct Description;
