//! The local stack: API Gateway, DynamoDB, Secrets Manager, Step Functions and the functions in one process.

pub mod aws;
pub mod command;
pub mod files;
pub mod gateway;
pub mod process;
pub mod secrets_manager;
pub mod stack;
pub mod step_functions;
#[cfg(test)]
mod testing;
