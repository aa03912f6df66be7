//! The wire: requests and answers.

use serde::{Deserialize, Serialize};

use crate::aws::json::Fault;

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "an execution could not be written");
        Self::internal("InternalFailure", "The request could not be processed.")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartExecution {
    pub state_machine_arn: String,
    pub name: Option<String>,
    pub input: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StopExecution {
    pub execution_arn: String,
    pub error: Option<String>,
    pub cause: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeExecution {
    pub execution_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendTaskSuccess {
    pub task_token: String,
    pub output: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendTaskFailure {
    pub task_token: String,
    pub error: Option<String>,
    pub cause: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendTaskHeartbeat {
    pub task_token: String,
}

/// The answer to `StartExecution`. Times are seconds since 1970, as in the API.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// What the execution is called from now on.
    pub execution_arn: String,
    /// When it was started.
    pub start_date: f64,
}

/// The answer to `StopExecution`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    pub stop_date: f64,
}

/// The answer to `DescribeExecution`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    pub execution_arn: String,
    pub state_machine_arn: String,
    pub name: String,
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `ABORTED`.
    pub status: &'static str,
    /// When it was started.
    pub start_date: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_date: Option<f64>,
    /// What it was started with.
    pub input: String,
    /// What it came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The name of the error that it ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// More about that error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// The answer of operations that answer nothing.
#[derive(Serialize)]
pub struct Nothing {}
