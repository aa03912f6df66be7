//! Jobs and providers: what can be run, and where.

mod check;
mod discover;
mod import;
mod job;
pub mod jobs_file;
mod provider;
mod state;
mod wire;

use axum::Router;

pub use self::state::AppState;

/// The routes of this function.
pub fn router(state: AppState) -> Router {
    routes().into_app(state)
}

gatehouse_http::routes! {
    AppState,
    LIST_JOBS => job::list,
    SHOW_JOB => job::show,
    PUT_JOB => job::put,
    DELETE_JOB => job::delete,
    // 5,000 entries fit in it.
    IMPORT_JOBS => import::import { body_limit: 4 * 1024 * 1024 },
    DISCOVER_JOBS => discover::discover,
    LIST_PROVIDERS => provider::list,
    SHOW_PROVIDER => provider::show,
    PUT_PROVIDER => provider::put,
    DELETE_PROVIDER => provider::delete,
    CHECK_PROVIDER => check::check,
}
