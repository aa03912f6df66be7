//! What operations ask of the workflow engine.

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{
    id::OperationId,
    operations::{Operation, OperationKind, signal::TaskToken},
};

/// Which workflow drives an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workflow {
    Provision,
    Deploy,
}

impl Workflow {
    /// The one for operations of this kind.
    pub fn of(kind: OperationKind) -> Self {
        match kind {
            OperationKind::Provision | OperationKind::Deprovision | OperationKind::Drift => Self::Provision,
            OperationKind::Deploy => Self::Deploy,
        }
    }
}

/// The workflow engine failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    /// It cannot be reached, throttles, or answered too late. Trying again may help.
    #[error("the workflow engine is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused. Trying again helps when somebody has mended the cause.
    #[error("the workflow engine refused")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why operations of a kind cannot be begun here, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotReady(pub String);

/// What became of an answer to a waiting task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskAnswer {
    Accepted,
    /// It does not wait for that any more.
    Expired,
}

/// How the execution of a workflow stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Execution {
    Running,
    /// It came to a good end.
    Succeeded,
    /// It failed, or was stopped.
    Failed {
        error: String,
        cause: String,
    },
    /// It took longer than it may.
    TimedOut,
}

/// Begins workflows. Needs `states:StartExecution`.
#[async_trait]
pub trait StartWorkflow: Send + Sync {
    /// Whether operations that need this workflow can be begun here.
    fn ready(&self, workflow: Workflow) -> Result<(), NotReady>;

    /// Begins the operation's execution, which has the operation's id as its name. One that has been begun
    /// is fine: there is never a second one.
    async fn start(&self, workflow: Workflow, operation: &OperationId) -> Result<(), WorkflowError>;
}

/// Tells waiting workflows. Needs `states:SendTaskSuccess`, `SendTaskFailure` and `SendTaskHeartbeat`.
#[async_trait]
pub trait AnswerTask: Send + Sync {
    /// That what it waits for is done.
    async fn succeed(&self, token: &TaskToken, output: &Value) -> Result<TaskAnswer, WorkflowError>;

    /// That what it waits for will not be done.
    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<TaskAnswer, WorkflowError>;

    /// That what it waits for is being worked on.
    async fn heartbeat(&self, token: &TaskToken) -> Result<TaskAnswer, WorkflowError>;
}

/// Looks after workflows. Needs `states:DescribeExecution` and `states:StopExecution`.
#[async_trait]
pub trait OverseeWorkflow: Send + Sync {
    /// How the operation's execution stands; `None` when there is none.
    async fn describe(
        &self,
        workflow: Workflow,
        operation: &OperationId,
    ) -> Result<Option<Execution>, WorkflowError>;

    /// Stops the operation's execution; one that has ended, or was never begun, is fine.
    async fn stop(
        &self,
        workflow: Workflow,
        operation: &OperationId,
        cause: &str,
    ) -> Result<(), WorkflowError>;
}

/// What an execution begins with: the same bytes for the same operation, or a repetition would be refused.
pub fn input(operation: &OperationId) -> String {
    json!({ "operation_id": operation }).to_string()
}

impl Operation {
    /// The workflow that drives it.
    pub fn workflow(&self) -> Workflow {
        Workflow::of(self.work.kind())
    }
}
