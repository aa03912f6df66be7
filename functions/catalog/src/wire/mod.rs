//! Services, environments and operations as JSON.

mod entity;
mod environment;
mod infrastructure;
mod link;
mod operation;
mod service;

pub(crate) use self::{
    entity::{EntitiesAnswer, EntityAnswer, ForgottenAnswer},
    environment::{DeployStatusAnswer, StatusAnswer},
    operation::{AllOperationsAnswer, OperationAnswer, OperationsAnswer},
    service::{DeletedAnswer, ServiceAnswer, ServiceBody, ServicesAnswer},
};
