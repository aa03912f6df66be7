//! A clock that is moved by hand, tasks that the test answers, and the real client.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use async_trait::async_trait;
use aws_sdk_sfn::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::ProvideErrorMetadata,
    operation::describe_execution::DescribeExecutionOutput,
    types::ExecutionStatus,
};
use aws_smithy_http_client::Builder;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

pub use crate::testing::HandClock;
use crate::{
    step_functions::{RunningStepFunctions, StateMachine, StepFunctions, TaskError, Tasks},
    testing::{CountedIds, account},
};

pub const PROVISION: &str = include_str!("../../../../state-machines/provision.asl.json");

/// A task that waits for the test to answer it.
pub struct Handed {
    /// The function, or `worker`.
    pub to: String,
    /// The payload, or the parameters.
    pub what: Value,
    pub reply: oneshot::Sender<Result<Value, TaskError>>,
}

/// The error with which a task panics instead of failing.
pub const PANIC: &str = "Panic";

struct HandedOut(mpsc::UnboundedSender<Handed>);

impl HandedOut {
    async fn hand(&self, to: &str, what: Value) -> Result<Value, TaskError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Handed { to: to.to_owned(), what, reply }).ok();
        // A test that does not answer is a function that hangs.
        match answer.await {
            Ok(Err(error)) if error.error == PANIC => panic!("as the test wants it"),
            Ok(answer) => answer,
            Err(_) => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Tasks for HandedOut {
    async fn invoke_lambda(&self, arn: &str, payload: Value) -> Result<Value, TaskError> {
        self.hand(arn, payload).await
    }

    async fn run_ecs_task(&self, parameters: Value) -> Result<(), TaskError> {
        self.hand("worker", parameters).await.map(|_| ())
    }
}

/// A Step Functions that is served, its client, and the tasks that it hands out.
pub struct Served {
    pub client: Client,
    pub clock: Arc<HandClock>,
    pub arn: String,
    handed: mpsc::UnboundedReceiver<Handed>,
    stop: oneshot::Sender<()>,
    server: RunningStepFunctions,
}

impl Served {
    /// Serves the machine `flow` with this definition over what is kept in `directory`.
    pub async fn start(directory: &Path, definition: &str, clock: &Arc<HandClock>) -> Self {
        let machine = StateMachine::parse("flow", definition, &substitutions()).unwrap();
        let step_functions = open(directory, machine, clock.clone());
        let arn = step_functions.arn("flow");
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { stopped.await.unwrap_or_default() };
        let server = step_functions.clone().serve(([127, 0, 0, 1], 0).into(), shutdown).await.unwrap();
        let (hand, handed) = mpsc::unbounded_channel();
        step_functions.begin(Arc::new(HandedOut(hand)));
        Self { client: client(&server.endpoint_url()), clock: clock.clone(), arn, handed, stop, server }
    }

    /// Ends it; what runs is kept.
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        drop(self.client);
        self.server.finished().await;
    }

    /// Starts an execution and returns its ARN.
    pub async fn execute(&self, name: &str, input: &str) -> String {
        let started = self.client.start_execution().state_machine_arn(&self.arn).name(name).input(input);
        started.send().await.unwrap().execution_arn().to_owned()
    }

    /// The next task that is handed out.
    pub async fn handed(&mut self) -> Handed {
        self.handed.recv().await.unwrap()
    }

    /// Whether no task was handed out that the test has not taken.
    pub fn nothing_handed(&mut self) -> bool {
        self.handed.try_recv().is_err()
    }

    pub async fn describe(&self, arn: &str) -> DescribeExecutionOutput {
        self.client.describe_execution().execution_arn(arn).send().await.unwrap()
    }

    /// The execution, once it has ended.
    pub async fn ended(&self, arn: &str) -> DescribeExecutionOutput {
        loop {
            let described = self.describe(arn).await;
            if described.status() != &ExecutionStatus::Running {
                return described;
            }
        }
    }
}

/// Opens what is kept in `directory`.
pub fn open(directory: &Path, machine: StateMachine, clock: Arc<HandClock>) -> StepFunctions {
    let ids = Arc::new(CountedIds::default());
    StepFunctions::open(directory, &account(), vec![machine], clock, ids).unwrap()
}

/// A value for everything that the definitions leave open.
pub fn substitutions() -> BTreeMap<String, String> {
    let given = [
        ("CallbackBaseUrl", "https://gatehouse.example"),
        ("CallbacksFunctionArn", "callbacks"),
        ("DeployerFunctionArn", "deployer"),
        ("ProvisionerClusterArn", "cluster"),
        ("ProvisionerTaskDefinitionArn", "provisioner"),
        ("ProvisionerSubnets", "subnet-a,subnet-b"),
        ("ProvisionerSecurityGroups", "sg-a"),
        ("ProvisionerAssignPublicIp", "DISABLED"),
    ];
    given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The token in a worker's environment.
pub fn token(parameters: &Value) -> String {
    let environment = parameters["Overrides"]["ContainerOverrides"][0]["Environment"].as_array().unwrap();
    let entry = environment.iter().find(|entry| entry["Name"] == "GATEHOUSE_TASK_TOKEN").unwrap();
    entry["Value"].as_str().unwrap().to_owned()
}

pub fn code<T: std::fmt::Debug, E: ProvideErrorMetadata>(result: Result<T, E>) -> String {
    result.expect_err("an error").code().unwrap_or_default().to_owned()
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_sfn::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "static"))
        .retry_config(RetryConfig::disabled())
        .http_client(Builder::new().build_http())
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}
