//! Who is calling (sessions, users, API keys), whose things there are (tenants, projects) and who did what (the
//! audit trail).

mod api_keys;
mod audit;
mod projects;
mod sessions;
mod state;
mod tenants;
mod users;

use axum::Router;
use gatehouse_domain::access::{
    CHANGE_PASSWORD, CREATE_USER, DELETE_PROJECT, DELETE_TENANT, EDIT_USER, LIST_API_KEYS, LIST_AUDIT,
    LIST_PROJECTS, LIST_TENANTS, LIST_USERS, LOG_OUT, MINT_API_KEY, PUT_PROJECT, PUT_TENANT, RESET_PASSWORD,
    REVOKE_API_KEY, SHOW_API_KEY, SHOW_CALLER, SHOW_PROJECT, SHOW_USER,
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
        .open("POST", "/auth/login", sessions::log_in)
        .on(&SHOW_CALLER, sessions::show_caller)
        .on(&LOG_OUT, sessions::log_out)
        .on(&CHANGE_PASSWORD, sessions::change_password)
        .on(&LIST_USERS, users::list)
        .on(&CREATE_USER, users::create)
        .on(&SHOW_USER, users::show)
        .on(&EDIT_USER, users::edit)
        .on(&RESET_PASSWORD, users::reset_password)
        .on(&LIST_API_KEYS, api_keys::list)
        .on(&MINT_API_KEY, api_keys::mint)
        .on(&SHOW_API_KEY, api_keys::show)
        .on(&REVOKE_API_KEY, api_keys::revoke)
        .on(&LIST_AUDIT, audit::list)
        .on(&LIST_TENANTS, tenants::list)
        .on(&PUT_TENANT, tenants::put)
        .on(&DELETE_TENANT, tenants::delete)
        .on(&LIST_PROJECTS, projects::list)
        .on(&SHOW_PROJECT, projects::show)
        .on(&PUT_PROJECT, projects::put)
        .on(&DELETE_PROJECT, projects::delete)
}

/// What this function contributes to the API description.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    sessions::log_in,
    sessions::show_caller,
    sessions::log_out,
    sessions::change_password,
    users::list,
    users::create,
    users::show,
    users::edit,
    users::reset_password,
    api_keys::list,
    api_keys::mint,
    api_keys::show,
    api_keys::revoke,
    audit::list,
    tenants::list,
    tenants::put,
    tenants::delete,
    projects::list,
    projects::show,
    projects::put,
    projects::delete
))]
pub struct Description;
