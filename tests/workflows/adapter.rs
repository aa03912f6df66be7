//! The Step Functions adapter, against the local Step Functions over HTTP.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use gatehouse_domain::{
    id::OperationId,
    operations::{
        TaskToken,
        workflow::{AnswerTask, Execution, NotReady, OverseeWorkflow, StartWorkflow, TaskAnswer, Workflow},
    },
};
use gatehouse_local::step_functions::{RunningStepFunctions, StateMachine, TaskError, Tasks};
use gatehouse_runtime::aws::Aws;
use gatehouse_testkit::app::TestSystem;
use gatehouse_workflows::{Answers, Executions, Machine, Machines};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use crate::world;

/// A task that waits for a token, and fails as it is told.
const FLOW: &str = r#"{
    "StartAt": "Ask",
    "States": {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": { "FunctionName": "f", "Payload": {
                "operation_id.$": "$.operation_id", "token.$": "$$.Task.Token"
            } },
            "TimeoutSeconds": 100,
            "HeartbeatSeconds": 40,
            "Next": "Done"
        },
        "Done": { "Type": "Succeed" }
    }
}"#;

/// Hands tokens to the test.
struct Tokens(mpsc::UnboundedSender<TaskToken>);

#[async_trait]
impl Tasks for Tokens {
    async fn invoke_lambda(&self, _: &str, payload: Value) -> Result<Value, TaskError> {
        assert_eq!(payload["operation_id"], "op_1");
        let token = TaskToken::new(payload["token"].as_str().unwrap().to_owned()).unwrap();
        self.0.send(token).unwrap();
        Ok(json!({}))
    }

    async fn run_ecs_task(&self, _: Value) -> Result<(), TaskError> {
        Err(TaskError::new("ECS.ServerException", ""))
    }
}

struct Served {
    executions: Executions,
    answers: Answers,
    clock: Arc<TestSystem>,
    tokens: mpsc::UnboundedReceiver<TaskToken>,
    stop: oneshot::Sender<()>,
    server: RunningStepFunctions,
    _directory: TempDir,
}

impl Served {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestSystem::held());
        let machines = ["provision", "deploy"]
            .map(|name| StateMachine::parse(name, FLOW, &world::substitutions()).unwrap());
        let engine = world::engine(&directory, machines.into(), &clock);
        let (provision, deploy) = (engine.arn("provision"), engine.arn("deploy"));
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { stopped.await.unwrap_or_default() };
        let server = engine.clone().serve(([127, 0, 0, 1], 0).into(), shutdown).await.unwrap();
        let (give, tokens) = mpsc::unbounded_channel();
        engine.begin(Arc::new(Tokens(give)));
        let client = aws(server.endpoint_url()).step_functions();
        let machines = Machines {
            provision: Machine { arn: provision, ready: Ok(()) },
            deploy: Machine { arn: deploy, ready: Err(NotReady("there is no deployer".into())) },
        };
        let executions = Executions::new(client.clone(), machines);
        let answers = Answers::new(client);
        Self { executions, answers, clock, tokens, stop, server, _directory: directory }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        drop((self.executions, self.answers));
        self.server.finished().await;
    }

    async fn describe(&self) -> Option<Execution> {
        self.executions.describe(Workflow::Provision, &operation()).await.unwrap()
    }

    /// How it ended, once it has.
    async fn ended(&self) -> Execution {
        loop {
            match self.describe().await {
                Some(Execution::Running) => {}
                ended => return ended.unwrap(),
            }
        }
    }
}

fn aws(endpoint: String) -> Aws {
    let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "static"));
    Aws::new(Some(Region::from_static("eu-west-1")), credentials, Some(endpoint)).unwrap()
}

fn operation() -> OperationId {
    "op_1".parse().unwrap()
}

#[tokio::test]
async fn an_operation_has_one_execution_however_often_it_is_begun() {
    let mut served = Served::start().await;
    assert_eq!(served.describe().await, None);
    for _ in 0..2 {
        served.executions.start(Workflow::Provision, &operation()).await.unwrap();
    }
    assert_eq!(served.describe().await, Some(Execution::Running));
    let token = served.tokens.recv().await.unwrap();
    assert_eq!(
        served.answers.succeed(&token, &json!({"next": "finish"})).await.unwrap(),
        TaskAnswer::Accepted
    );
    assert_eq!(served.ended().await, Execution::Succeeded);
    served.executions.start(Workflow::Provision, &operation()).await.unwrap();
    assert_eq!(served.describe().await, Some(Execution::Succeeded));
    assert!(served.tokens.try_recv().is_err(), "there was one task");
    served.stop().await;
}

#[tokio::test]
async fn workflows_have_executions_of_their_own_and_are_ready_by_themselves() {
    let served = Served::start().await;
    assert_eq!(served.executions.ready(Workflow::Provision), Ok(()));
    assert_eq!(served.executions.ready(Workflow::Deploy), Err(NotReady("there is no deployer".into())));
    served.executions.start(Workflow::Deploy, &operation()).await.unwrap();
    assert_eq!(served.describe().await, None);
    let deploy = served.executions.describe(Workflow::Deploy, &operation()).await.unwrap();
    assert_eq!(deploy, Some(Execution::Running));
    served.stop().await;
}

#[tokio::test]
async fn an_answer_counts_once() {
    let mut served = Served::start().await;
    served.executions.start(Workflow::Provision, &operation()).await.unwrap();
    let token = served.tokens.recv().await.unwrap();
    assert_eq!(served.answers.heartbeat(&token).await.unwrap(), TaskAnswer::Accepted);
    assert_eq!(served.answers.fail(&token, "Rejected", "by ada").await.unwrap(), TaskAnswer::Accepted);
    let ended = Execution::Failed { error: "Rejected".into(), cause: "by ada".into() };
    assert_eq!(served.ended().await, ended);
    assert_eq!(served.answers.succeed(&token, &json!({})).await.unwrap(), TaskAnswer::Expired);
    assert_eq!(served.answers.fail(&token, "Rejected", "").await.unwrap(), TaskAnswer::Expired);
    assert_eq!(served.answers.heartbeat(&token).await.unwrap(), TaskAnswer::Expired);
    let forged = TaskToken::new("forged".into()).unwrap();
    assert_eq!(served.answers.heartbeat(&forged).await.unwrap(), TaskAnswer::Expired);
    assert_eq!(served.describe().await, Some(ended));
    served.stop().await;
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_gone() {
    let mut served = Served::start().await;
    served.executions.start(Workflow::Provision, &operation()).await.unwrap();
    let token = served.tokens.recv().await.unwrap();
    while served.describe().await == Some(Execution::Running) {
        served.clock.jump();
    }
    let silent = Execution::Failed { error: "States.HeartbeatTimeout".into(), cause: String::new() };
    assert_eq!(served.ended().await, silent);
    assert_eq!(served.answers.succeed(&token, &json!({})).await.unwrap(), TaskAnswer::Expired);
    served.stop().await;
}

#[tokio::test]
async fn what_is_stopped_stays_stopped_and_may_be_stopped_again() {
    let mut served = Served::start().await;
    let stop = |cause: &'static str| {
        let executions = served.executions.clone();
        async move { executions.stop(Workflow::Provision, &operation(), cause).await.unwrap() }
    };
    stop("before it began").await;
    assert_eq!(served.describe().await, None);
    served.executions.start(Workflow::Provision, &operation()).await.unwrap();
    stop("the operation has ended").await;
    stop("again").await;
    let stopped = Execution::Failed { error: "Stopped".into(), cause: "the operation has ended".into() };
    assert_eq!(served.describe().await, Some(stopped));
    served.executions.start(Workflow::Provision, &operation()).await.unwrap();
    if let Ok(token) = served.tokens.try_recv() {
        assert_eq!(served.answers.succeed(&token, &json!({})).await.unwrap(), TaskAnswer::Expired);
    }
    served.stop().await;
}
