//! The catalog: services, and provisioning, deploying and watching their environments.

mod action;
mod decision;
mod operation;
mod problems;
mod service;
mod status;
mod watch;
mod wire;

use std::sync::Arc;

use axum::Router;
use gatehouse_domain::{
    access::{
        APPROVE_OPERATION, CANCEL_OPERATION, CHECK_DRIFT, CREATE_SERVICE, DELETE_SERVICE, DEPLOY_SERVICE,
        DEPROVISION_SERVICE, LIST_OPERATIONS, LIST_SERVICES, PROVISION_SERVICE, PUT_SERVICE,
        REJECT_OPERATION, SHOW_DEPLOY_STATUS, SHOW_OPERATION, SHOW_SERVICE, SHOW_STATUS,
    },
    catalog::{EditPorts, FindService, ListServices, Modules, SaveService},
    clock::{Clock, IdSource},
    jobs::FindForEdit,
    operations::{
        FindOperation, ListOperations, SaveOperation, ShowPorts,
        change::{ChangePorts, WorkflowPorts},
        decide::DecidePorts,
        request::RequestPorts,
        workflow::{AnswerTask, OverseeWorkflow, StartWorkflow},
    },
};
use gatehouse_http::Routes;
use gatehouse_store::Table;
use utoipa::OpenApi;

/// What the handlers need.
#[derive(Clone)]
pub struct AppState {
    /// Reads a service.
    pub find_service: Arc<dyn FindService>,
    /// Lists services.
    pub list_services: Arc<dyn ListServices>,
    /// Writes services.
    pub save_service: Arc<dyn SaveService>,
    /// Reads the project and the jobs that a service names.
    pub named: Arc<dyn FindForEdit>,
    /// Reads operations.
    pub find_operation: Arc<dyn FindOperation>,
    /// Lists operations.
    pub list_operations: Arc<dyn ListOperations>,
    /// Records operations.
    pub save_operation: Arc<dyn SaveOperation>,
    /// Begins workflows.
    pub start: Arc<dyn StartWorkflow>,
    /// Tells workflows that wait.
    pub answer: Arc<dyn AnswerTask>,
    /// Stops workflows.
    pub oversee: Arc<dyn OverseeWorkflow>,
    /// The modules that there are.
    pub modules: Modules,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn IdSource>,
}

/// The workflow engine, as the catalog uses it.
pub struct Engine {
    /// Begins workflows.
    pub start: Arc<dyn StartWorkflow>,
    /// Tells workflows that wait.
    pub answer: Arc<dyn AnswerTask>,
    /// Stops workflows.
    pub oversee: Arc<dyn OverseeWorkflow>,
}

impl AppState {
    /// The state that lives on `table` and begins its operations with `engine`.
    pub fn of(
        table: &Arc<Table>,
        engine: Engine,
        modules: Modules,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        let Engine { start, answer, oversee } = engine;
        Self {
            find_service: table.clone(),
            list_services: table.clone(),
            save_service: table.clone(),
            named: table.clone(),
            find_operation: table.clone(),
            list_operations: table.clone(),
            save_operation: table.clone(),
            start,
            answer,
            oversee,
            modules,
            clock,
            ids,
        }
    }

    fn edit_ports(&self) -> EditPorts<'_> {
        EditPorts {
            find: &*self.find_service,
            save: &*self.save_service,
            named: &*self.named,
            modules: &self.modules,
            clock: &*self.clock,
            ids: &*self.ids,
        }
    }

    fn request_ports(&self) -> RequestPorts<'_> {
        RequestPorts {
            services: &*self.find_service,
            find: &*self.find_operation,
            save: &*self.save_operation,
            start: &*self.start,
            clock: &*self.clock,
            ids: &*self.ids,
        }
    }

    fn show_ports(&self) -> ShowPorts<'_> {
        ShowPorts { services: &*self.find_service, operations: &*self.find_operation }
    }

    fn decide_ports(&self) -> DecidePorts<'_> {
        DecidePorts {
            show: self.show_ports(),
            change: ChangePorts {
                find: &*self.find_operation,
                save: &*self.save_operation,
                clock: &*self.clock,
            },
            workflow: WorkflowPorts {
                start: None,
                answer: Some(&*self.answer),
                oversee: Some(&*self.oversee),
            },
            ids: &*self.ids,
        }
    }
}

/// The routes of this function.
pub fn router(state: AppState) -> Router {
    routes().into_app(state)
}

/// What is mounted.
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
