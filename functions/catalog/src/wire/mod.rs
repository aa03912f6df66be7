//! Services, entities, modules, and what is answered about operations, as JSON.

mod entity;
mod module;
mod operation;
mod service;

pub(crate) use self::{
    entity::{EntitiesAnswer, EntityAnswer, ForgottenAnswer},
    module::{ModuleAnswer, ModuleBody, ModulesAnswer},
    operation::{AllOperationsAnswer, OperationAnswer, OperationsAnswer},
    service::{DeletedAnswer, RegisteredAnswer, ServiceAnswer, ServiceBody, ServicesAnswer},
};
