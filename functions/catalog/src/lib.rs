//! The catalog: services, and provisioning, deploying and watching their environments.

mod action;
mod decision;
mod operation;
mod problems;
mod service;
mod state;
mod status;
mod watch;
mod wire;

use axum::Router;
use gatehouse_domain::access::{
    APPROVE_OPERATION, CANCEL_OPERATION, CHECK_DRIFT, CREATE_SERVICE, DELETE_SERVICE, DEPLOY_SERVICE,
    DEPROVISION_SERVICE, LIST_OPERATIONS, LIST_SERVICES, PROVISION_SERVICE, PUT_SERVICE, REJECT_OPERATION,
    SHOW_DEPLOY_STATUS, SHOW_OPERATION, SHOW_SERVICE, SHOW_STATUS,
};
use gatehouse_http::Routes;
use utoipa::OpenApi;

pub use self::state::AppState;

/// The routes of this function.
pub fn router(state: AppState) -> Router {
    routes().into_app(state)
}

pub fn routes() -> Routes<AppState> {
    Routes::new()
        .on(&LIST_SERVICES, service::list)
        .on(&CREATE_SERVICE, service::create)
        .on(&SHOW_SERVICE, service::show)
        .on(&PUT_SERVICE, service::put)
        .on(&DELETE_SERVICE, service::delete)
        .on(&PROVISION_SERVICE, action::provision)
        .on(&DEPROVISION_SERVICE, action::deprovision)
        .on(&CHECK_DRIFT, action::drift)
        .on(&DEPLOY_SERVICE, action::deploy)
        .on(&SHOW_STATUS, status::show)
        .on(&SHOW_DEPLOY_STATUS, status::deploys)
        .on(&LIST_OPERATIONS, operation::list)
        .on(&SHOW_OPERATION, operation::show)
        .on(&APPROVE_OPERATION, decision::approve)
        .on(&REJECT_OPERATION, decision::reject)
        .on(&CANCEL_OPERATION, decision::cancel)
}

/// What this function contributes to the API description.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    service::list,
    service::create,
    service::show,
    service::put,
    service::delete,
    action::provision,
    action::deprovision,
    action::drift,
    action::deploy,
    status::show,
    status::deploys,
    operation::list,
    operation::show,
    decision::approve,
    decision::reject,
    decision::cancel
))]
pub struct Description;
