//! The `callbacks` Lambda: wiring and nothing else.

use std::sync::Arc;

use callbacks::{AppState, Callbacks};
use gatehouse_runtime::{
    aws::{self, Aws},
    clock::System,
    env::{SecretsConfig, TableConfig},
    tracing,
};
use gatehouse_secrets::Secrets;
use gatehouse_store::Table;
use gatehouse_workflows::Answers;
use lambda_runtime::{Error, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let table = TableConfig::from_env()?.table;
    let prefix = SecretsConfig::from_env()?.prefix;
    let aws = Aws::from_env().await?;
    aws::warm_up(&aws.dynamodb(), &table).await;
    let clock = Arc::new(System);
    let table = Arc::new(Table::new(aws.dynamodb(), table, clock.clone()));
    let secrets = Arc::new(Secrets::new(aws.secrets_manager(), prefix, clock.clone()));
    let answer = Arc::new(Answers::new(aws.step_functions()));
    let callbacks = Callbacks::new(AppState { table, answer, secrets, clock });
    lambda_runtime::run(service_fn(|event| callbacks.handle(event))).await
}
