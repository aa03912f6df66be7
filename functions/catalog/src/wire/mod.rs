//! Services, entities, modules, and what is answered about operations, as JSON.

mod entity;
mod environment;
mod module;
mod operation;
mod service;

pub(crate) use self::{
    entity::{EntitiesAnswer, EntityAnswer, ForgottenAnswer},
    environment::{DeployStatusAnswer, StatusAnswer},
    module::{ModuleAnswer, ModuleBody, ModulesAnswer},
    operation::{AllOperationsAnswer, OperationAnswer, OperationsAnswer},
    service::{DeletedAnswer, RegisteredAnswer, ServiceAnswer, ServiceBody, ServicesAnswer},
};
