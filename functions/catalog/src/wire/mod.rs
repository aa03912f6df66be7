//! Services, environments and operations as JSON.

mod environment;
mod operation;
mod service;

pub(crate) use self::{
    environment::{DeployStatusAnswer, InfrastructureView, OutputView, StatusAnswer},
    operation::{OperationAnswer, OperationView, OperationsAnswer},
    service::{DeletedAnswer, ServiceAnswer, ServiceBody, ServicesAnswer},
};
