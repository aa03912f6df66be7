//! The `catalog` Lambda: wiring and nothing else.

use std::sync::Arc;

use catalog::AppState;
use gatehouse_runtime::{
    aws::{self, Aws},
    clock::System,
    env::{self, ModulesConfig, ResponseMode, TableConfig, WorkflowsConfig},
    tracing,
};
use gatehouse_store::Table;
use gatehouse_workflows::{Answers, Executions, Machines};
use lambda_http::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let mode = ResponseMode::from_env()?;
    let table = TableConfig::from_env()?.table;
    let modules = ModulesConfig::from_env()?.modules;
    let machines = WorkflowsConfig::from_env();
    let aws = Aws::from_env().await?;
    aws::warm_up(&aws.dynamodb(), &table).await;
    let system = Arc::new(System);
    let table = Arc::new(Table::new(aws.dynamodb(), table, system.clone()));
    let machines = Machines::of_arns(machines.provision, machines.deploy);
    let executions = Arc::new(Executions::new(aws.step_functions(), machines));
    let answer = Arc::new(Answers::new(aws.step_functions()));
    let (start, oversee) = (executions.clone(), executions);
    let state = AppState { table, start, answer, oversee, modules, plain_http: env::plain_http(), system };
    match mode {
        ResponseMode::Stream => lambda_http::run_with_streaming_response(catalog::router(state)).await,
        ResponseMode::Buffered => lambda_http::run(catalog::router(state)).await,
    }
}
