//! The `authorizer` Lambda: wiring and nothing else.

use std::sync::Arc;

use authorizer::{Authorizer, Request};
use gatehouse_jwt::Issuer;
use gatehouse_runtime::{
    aws::Aws,
    clock::System,
    env::{IssuerConfig, TableConfig},
    tracing,
};
use gatehouse_store::Table;
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let table = TableConfig::from_env()?.table;
    let issuer = Issuer::new(IssuerConfig::from_env()?.issuer);
    let clock = Arc::new(System);
    let table = Arc::new(Table::new(Aws::from_env().await?.dynamodb(), table, clock.clone()));
    let authorizer = Authorizer::new(table, clock, issuer);
    authorizer.warm_up().await;
    let authorize = |event: LambdaEvent<Request>| authorizer.authorize(event.payload);
    lambda_runtime::run(service_fn(authorize)).await
}
