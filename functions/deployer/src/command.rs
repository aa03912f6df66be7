//! What the state machine sends, and what it is answered.

use gatehouse_domain::{id::OperationId, operations::TaskToken};
use serde::{Deserialize, Serialize};

/// What the state machine wants.
#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    /// Trigger the run that deploys.
    TriggerRun {
        operation_id: OperationId,
    },
    FollowRun {
        operation_id: OperationId,
    },
    /// Call the webhook that deploys.
    CallWebhook {
        operation_id: OperationId,
        task_token: TaskToken,
    },
}

impl gatehouse_commands::Command for Command {
    const FUNCTION: &'static str = "the deployer";

    fn name(&self) -> &'static str {
        match self {
            Self::TriggerRun { .. } => "trigger_run",
            Self::FollowRun { .. } => "follow_run",
            Self::CallWebhook { .. } => "call_webhook",
        }
    }

    fn operation(&self) -> &OperationId {
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
