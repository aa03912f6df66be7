//! The commands of the state machines.

use gatehouse_commands::CommandFailed;
use gatehouse_domain::{
    error::Chain,
    id::OperationId,
    operations::{Phase, TaskToken, attempt::CallbackKey, steer},
};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::state::AppState;

/// What a state machine asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    /// Open an attempt of a worker.
    BeginAttempt {
        operation_id: OperationId,
        phase: Phase,
    },
    Admit {
        operation_id: OperationId,
    },
    /// Answer the task once somebody has decided.
    AwaitApproval {
        operation_id: OperationId,
        task_token: TaskToken,
    },
    /// Record that everything was done.
    Finish {
        operation_id: OperationId,
    },
    /// Record that it will not be done.
    Fail {
        operation_id: OperationId,
        error: Caught,
    },
}

/// What a state machine caught. A timeout has no cause.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Caught {
    error: String,
    #[serde(default)]
    cause: String,
}

impl gatehouse_commands::Command for Command {
    const FUNCTION: &'static str = "callbacks";

    fn name(&self) -> &'static str {
        match self {
            Self::BeginAttempt { .. } => "begin_attempt",
            Self::Admit { .. } => "admit",
            Self::AwaitApproval { .. } => "await_approval",
            Self::Finish { .. } => "finish",
            Self::Fail { .. } => "fail",
        }
    }

    fn operation(&self) -> &OperationId {
        match self {
            Self::BeginAttempt { operation_id, .. }
            | Self::Admit { operation_id }
            | Self::AwaitApproval { operation_id, .. }
            | Self::Finish { operation_id }
            | Self::Fail { operation_id, .. } => operation_id,
        }
    }
}

/// Does what a state machine asks for.
///
/// # Errors
///
/// When that is refused, or cannot be done just now.
pub(crate) async fn obey(state: &AppState, command: &Command) -> Result<Value, CommandFailed> {
    let (table, clock) = (&*state.table, &*state.clock);
    match command {
        Command::BeginAttempt { operation_id, phase } => begin_attempt(state, operation_id, *phase).await,
        Command::Admit { operation_id } => {
            let admitted = steer::admit(table, clock, operation_id).await?;
            let by = if admitted.by_job { "job" } else { "webhook" };
            Ok(json!({ "approval_required": admitted.approval_required, "by": by }))
        }
        Command::AwaitApproval { operation_id, task_token } => {
            await_approval(state, operation_id, task_token).await
        }
        Command::Finish { operation_id } => {
            let operation = steer::finish(table, clock, operation_id).await?;
            Ok(json!({ "outcome": operation.status() }))
        }
        Command::Fail { operation_id, error: Caught { error, cause } } => {
            let outcome = steer::fail(table, clock, operation_id, error, cause).await?;
            tracing::info!(%operation_id, error, outcome = outcome.as_str(), "operation {operation_id} ended");
            Ok(json!({ "outcome": outcome.as_str() }))
        }
    }
}

async fn begin_attempt(state: &AppState, id: &OperationId, phase: Phase) -> Result<Value, CommandFailed> {
    let key = CallbackKey::read(&*state.secrets).await?;
    let begun = steer::begin_attempt(&*state.table, &*state.clock, &key, id, phase).await?;
    tracing::info!(operation_id = %id, attempt = begun.attempt, phase = phase.as_str(), "attempt begun");
    Ok(json!({
        "operation_id": id,
        "attempt": begun.attempt,
        "phase": phase,
        // For the worker alone: the state machine hands it on.
        "callback_token": begun.callback_token.expose_secret(),
    }))
}

async fn await_approval(
    state: &AppState,
    id: &OperationId,
    token: &TaskToken,
) -> Result<Value, CommandFailed> {
    let waiting = steer::await_approval(&*state.table, &*state.clock, state.workflow(), id, token).await;
    let (_, unsettled) = waiting?;
    if let Some(error) = unsettled {
        tracing::warn!(operation_id = %id, error = %Chain(&error), "the workflow was not signalled; the janitor does it");
    }
    // The answer that the task waits for comes by its token; this one is not looked at.
    Ok(json!({}))
}
