//! What the state machine sends, and what it is answered.

use gatehouse_domain::{id::OperationId, operations::TaskToken};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::CommandFailed;

/// What the state machine wants.
#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    /// Trigger the run that deploys.
    TriggerRun { operation_id: OperationId },
    /// Look at it.
    FollowRun { operation_id: OperationId },
    /// Call the webhook that deploys.
    CallWebhook { operation_id: OperationId, task_token: WrittenToken },
}

/// A task token as it is sent.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct WrittenToken(pub(crate) TaskToken);

impl TryFrom<String> for WrittenToken {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        TaskToken::new(text).map(Self).ok_or("task_token must be 1 to 2,048 visible ASCII characters")
    }
}

impl Command {
    /// Reads an event.
    ///
    /// # Errors
    ///
    /// When it is no command; the message repeats no text of a field.
    pub(crate) fn read(event: Value) -> Result<Self, CommandFailed> {
        if !event.is_object() {
            return Err(CommandFailed::Invalid("it must be a JSON object".to_owned()));
        }
        serde_json::from_value(event).map_err(|error| CommandFailed::Invalid(error.to_string()))
    }

    /// As it is written.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::TriggerRun { .. } => "trigger_run",
            Self::FollowRun { .. } => "follow_run",
            Self::CallWebhook { .. } => "call_webhook",
        }
    }

    /// The operation that it is about.
    pub(crate) fn operation(&self) -> &OperationId {
        match self {
            Self::TriggerRun { operation_id }
            | Self::FollowRun { operation_id }
            | Self::CallWebhook { operation_id, .. } => operation_id,
        }
    }
}

/// What the state machine is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The run was triggered.
    Triggered {
        /// Whether it has ended; never so yet.
        ended: bool,
        /// How long to wait before it is looked at, in seconds.
        wait_seconds: u32,
    },
    /// The run was looked at.
    Followed {
        /// Whether it has ended.
        ended: bool,
        /// Whether it ended well.
        succeeded: bool,
        /// How long to wait before it is looked at again, in seconds.
        wait_seconds: u32,
    },
    /// The webhook took the call. What comes of it is reported by callback.
    Called {},
}
