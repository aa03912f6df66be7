//! The `janitor` Lambda: wiring and nothing else.

use std::sync::Arc;

use gatehouse_domain::revocation::FlushStage;
use gatehouse_runtime::{
    api_gateway::ApiGateway,
    aws::Aws,
    clock::System,
    env::{AuthorizerCacheConfig, JanitorConfig, TableConfig, WorkflowsConfig},
    event_bridge::EventBus,
    tracing,
};
use gatehouse_store::Table;
use gatehouse_workflows::{Answers, Executions, Machines};
use janitor::Janitor;
use lambda_runtime::{Error, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let table = TableConfig::from_env()?.table;
    let config = JanitorConfig::from_env()?;
    let remembered_for = AuthorizerCacheConfig::from_env()?.remembered_for;
    let aws = Aws::from_env().await?;
    let system = Arc::new(System);
    let table = Arc::new(Table::new(aws.dynamodb(), table, system.clone()));
    let machines = WorkflowsConfig::from_env();
    let machines = Machines::of_arns(machines.provision, machines.deploy);
    let executions = Arc::new(Executions::new(aws.step_functions(), machines));
    let janitor = Janitor {
        table,
        start: executions.clone(),
        answer: Arc::new(Answers::new(aws.step_functions())),
        oversee: executions,
        publish: Arc::new(EventBus::new(&aws, config.event_bus)?),
        flush: ApiGateway::new(&aws, remembered_for)?.of(config.stage),
        system,
        unused_days: config.unused_days,
    };
    lambda_runtime::run(service_fn(|event| janitor.handle(event))).await
}
