//! Services, environments and operations as JSON.

mod environment;
mod infrastructure;
mod link;
mod operation;
mod service;

pub(crate) use self::{
    environment::{DeployStatusAnswer, StatusAnswer},
    operation::{AllOperationsAnswer, OperationAnswer, OperationsAnswer},
    service::{DeletedAnswer, ServiceAnswer, ServiceBody, ServicesAnswer},
};
