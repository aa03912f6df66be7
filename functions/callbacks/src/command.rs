//! The commands that state machines send.

use gatehouse_domain::{
    error::Chain,
    id::OperationId,
    operations::{
        Phase, TaskToken,
        change::ChangeError,
        steer::{self, SteerError, UNAVAILABLE},
    },
};
use lambda_runtime::Diagnostic;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{AppState, KeyError};

/// What a state machine asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    /// To open an attempt of a worker.
    BeginAttempt { operation_id: OperationId, phase: Phase },
    /// To let a deploy in.
    Admit { operation_id: OperationId },
    /// To wait until somebody agrees.
    AwaitApproval { operation_id: OperationId, task_token: String },
    /// To record that everything was done.
    Finish { operation_id: OperationId },
    /// To record that it will not be done.
    Fail { operation_id: OperationId, error: Caught },
}

/// What a state machine caught. A timeout has no cause.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Caught {
    error: String,
    #[serde(default)]
    cause: String,
}

/// A command that was not done. Its name is what a state machine catches, and retries by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CommandFailed {
    /// `OperationNotFound`, `OperationEnded`, `CancelRequested`, `OutOfPlace`, `InvalidCommand` or
    /// `Unavailable`.
    pub name: &'static str,
    /// For people.
    pub message: String,
}

impl CommandFailed {
    fn new(name: &'static str, message: &(impl ToString + ?Sized)) -> Self {
        Self { name, message: message.to_string() }
    }
}

impl From<CommandFailed> for Diagnostic {
    fn from(error: CommandFailed) -> Self {
        Self { error_type: error.name.to_owned(), error_message: error.message }
    }
}

impl From<SteerError> for CommandFailed {
    fn from(error: SteerError) -> Self {
        let ChangeError::Store(cause) = &error else { return Self::new(error.word(), &error) };
        tracing::error!(error = %Chain(cause), "a command of a workflow could not be recorded");
        Self::new(error.word(), "the operation's record cannot be reached just now")
    }
}

impl From<KeyError> for CommandFailed {
    fn from(error: KeyError) -> Self {
        tracing::error!(error = %Chain(&error), "the key of callback tokens cannot be had");
        Self::new(UNAVAILABLE, "the key of callback tokens cannot be had just now")
    }
}

/// Does what a state machine asks for.
///
/// # Errors
///
/// When that is refused, or cannot be done just now.
pub(crate) async fn handle(state: &AppState, command: Value) -> Result<Value, CommandFailed> {
    let command: Command =
        serde_json::from_value(command).map_err(|error| CommandFailed::new("InvalidCommand", &error))?;
    let ports = state.change_ports();
    match command {
        Command::BeginAttempt { operation_id, phase } => begin_attempt(state, &operation_id, phase).await,
        Command::Admit { operation_id } => {
            let admitted = steer::admit(&ports, &operation_id).await?;
            let by = if admitted.by_job { "job" } else { "webhook" };
            Ok(json!({ "approval_required": admitted.approval_required, "by": by }))
        }
        Command::AwaitApproval { operation_id, task_token } => {
            await_approval(state, &operation_id, task_token).await
        }
        Command::Finish { operation_id } => {
            let operation = steer::finish(&ports, &operation_id).await?;
            Ok(json!({ "outcome": operation.status() }))
        }
        Command::Fail { operation_id, error: Caught { error, cause } } => {
            let ending = steer::fail(&ports, &operation_id, &error, &cause).await?;
            tracing::info!(%operation_id, error, outcome = ending.as_str(), "operation {operation_id} ended");
            Ok(json!({ "outcome": ending.as_str() }))
        }
    }
}

async fn begin_attempt(state: &AppState, id: &OperationId, phase: Phase) -> Result<Value, CommandFailed> {
    let key = state.key().await?;
    let begun = steer::begin_attempt(&state.change_ports(), &key, id, phase).await?;
    tracing::info!(operation_id = %id, attempt = begun.attempt, phase = phase.as_str(), "attempt begun");
    Ok(json!({
        "operation_id": id,
        "attempt": begun.attempt,
        "phase": phase,
        // For the worker alone: the state machine hands it on.
        "callback_token": begun.callback_token.expose_secret(),
    }))
}

async fn await_approval(state: &AppState, id: &OperationId, token: String) -> Result<Value, CommandFailed> {
    let token = TaskToken::new(token)
        .ok_or_else(|| CommandFailed::new("InvalidCommand", "task_token cannot be a task token"))?;
    let waiting = steer::await_approval(&state.change_ports(), state.workflow_ports(), id, &token).await;
    let (_, unsettled) = waiting?;
    if let Some(error) = unsettled {
        tracing::warn!(operation_id = %id, error = %Chain(&error), "the workflow was not told; the janitor tells it");
    }
    Ok(json!({}))
}
