//! What a workflow has others do.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Does the work that the definitions hand out.
///
/// What is asked for may be asked for again: after a crash a task that had not answered is begun once more,
/// and one that waits for a token then gets the same token. Whoever sees that token a second time may know it.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// Invokes the function `arn` and returns what it answers. A function that fails is an error whose name
    /// is the function's `errorType`. It is not cut short when the task has timed out.
    async fn invoke_lambda(&self, arn: &str, payload: Value) -> Result<Value, TaskError>;

    /// Starts a container, and returns when it has been started. `parameters` are those of ECS `RunTask`.
    async fn run_ecs_task(&self, parameters: Value) -> Result<(), TaskError>;
}

/// A task that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{error}")]
pub struct TaskError {
    /// The name that `Retry` and `Catch` match: `Unavailable`, `Sandbox.Timedout`, `AmazonECS.Unknown` …
    pub error: String,
    /// For people; may be empty.
    pub cause: String,
}

impl TaskError {
    /// An error with a name and a cause.
    pub fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { error: error.into(), cause: cause.into() }
    }
}
