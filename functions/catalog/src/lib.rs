//! The catalog: services, and provisioning and deploying their environments. `functions/streams` shows how these stand.

mod action;
mod all_operations;
pub mod catalog_file;
mod decision;
mod entity;
mod extend;
mod import;
mod module;
mod operation;
mod problems;
mod service;
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
    LIST_SERVICES => service::list,
    CREATE_SERVICE => service::create,
    SHOW_SERVICE => service::show,
    PUT_SERVICE => service::put,
    DELETE_SERVICE => service::delete,
    IMPORT_ENTITIES => import::import,
    LIST_MODULES => module::list,
    SHOW_MODULE => module::show,
    PUT_MODULE => module::put,
    DELETE_MODULE => module::delete,
    LIST_ENTITIES => entity::list,
    SHOW_ENTITY => entity::show,
    DELETE_ENTITY => entity::delete,
    PROVISION_SERVICE => action::provision,
    DEPROVISION_SERVICE => action::deprovision,
    CHECK_DRIFT => action::drift,
    EXTEND_ENVIRONMENT => extend::extend,
    DEPLOY_SERVICE => action::deploy,
    LIST_ALL_OPERATIONS => all_operations::list,
    FIND_OPERATION => all_operations::show,
    LIST_OPERATIONS => operation::list,
    SHOW_OPERATION => operation::show,
    APPROVE_OPERATION => decision::approve,
    REJECT_OPERATION => decision::reject,
    CANCEL_OPERATION => decision::cancel,
}
