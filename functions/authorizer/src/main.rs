//! The `authorizer` Lambda: wiring and nothing else.

use std::sync::Arc;

use authorizer::{Authorizer, Request};
use gatehouse_runtime::{
    aws::{self, Aws},
    clock::SystemClock,
    env::TableConfig,
    tracing,
};
use gatehouse_store::Table;
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let table = TableConfig::from_env()?.table;
    let dynamodb = Aws::from_env().await?.dynamodb();
    aws::warm_up(&dynamodb, &table).await;
    let clock = Arc::new(SystemClock);
    let table = Arc::new(Table::new(dynamodb, table, clock.clone()));
    let authorizer = Authorizer { api_keys: table, clock };
    let authorize = |event: LambdaEvent<Request>| authorizer.authorize(event.payload);
    lambda_runtime::run(service_fn(authorize)).await
}
