//! The services that the functions reach over loopback, as they reach AWS.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::Context;
use gatehouse_dynamodb::DynamoDb;
use gatehouse_runtime::clock::{SystemClock, SystemIds};
use gatehouse_template::Template;
use tokio::sync::watch;

use super::{account::account, stop::stopped, table};
use crate::{
    aws::json::RunningService,
    secrets_manager::SecretsManager,
    step_functions::{RunningStepFunctions, StateMachine, StepFunctions},
};

pub(super) struct Services {
    pub dynamodb: DynamoDb,
    pub dynamodb_client: aws_sdk_dynamodb::Client,
    pub secrets: RunningService,
    /// What runs the executions, once it is given somebody to do their tasks.
    pub engine: StepFunctions,
    pub step_functions: RunningStepFunctions,
}

impl Services {
    /// Starts them over what is kept in `data`.
    pub async fn start(
        data: &Path,
        template: &Template,
        machines: Vec<StateMachine>,
        stop: &watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let shape = template.tables.first().context("template.yaml has no table")?;
        let (dynamodb, dynamodb_client) = table::open(data, shape).await?;
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(SystemIds));
        let file = data.join("secrets.json");
        let secrets = SecretsManager::open(file, &account(), clock.clone(), ids.clone())?;
        let secrets = secrets.serve(loopback(), stopped(stop.clone())).await?;
        let engine = StepFunctions::open(data, &account(), machines, clock, ids)?;
        let step_functions = engine.clone().serve(loopback(), stopped(stop.clone())).await?;
        Ok(Self { dynamodb, dynamodb_client, secrets, engine, step_functions })
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}
