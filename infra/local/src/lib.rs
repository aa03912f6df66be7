//! The local stack: API Gateway, DynamoDB, Secrets Manager and the functions in one process.

pub mod dynamodb;
pub mod gateway;
pub mod secrets_manager;
