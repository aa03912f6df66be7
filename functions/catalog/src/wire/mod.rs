//! Services, environments and operations as JSON.

mod environment;
mod infrastructure;
mod link;
mod operation;
mod service;

pub(crate) use self::{
    environment::{DeployStatusAnswer, StatusAnswer},
    operation::{OperationAnswer, OperationsAnswer},
    service::{DeletedAnswer, ServiceAnswer, ServiceBody, ServicesAnswer},
};
