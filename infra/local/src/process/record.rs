//! What is kept of a run beside its events: `record.json`.

use std::collections::BTreeMap;

use gatehouse_domain::ci::{Build, BuildId, ProcessTarget, Reason, ReasonCode, RunStatus, StartKind, Target};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::identity::ProcessIdentity;

/// One run. Written by one process at a time: the stack until it has told the supervisor to go, then the
/// supervisor, and the stack again when the supervisor has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) target: ProcessTarget,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) kind: StartKind,
    pub(super) created_at: Timestamp,
    /// Written before the supervisor does anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) supervisor: Option<ProcessIdentity>,
    /// Leads the command's process group; written before the command's first instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<ProcessIdentity>,
    pub(super) state: State,
}

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(super) enum State {
    Queued,
    Running { started_at: Timestamp },
    Cancelling { started_at: Timestamp },
    Ended(OperationOutcome),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OperationOutcome {
    pub(super) outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) started_at: Option<Timestamp>,
    pub(super) finished_at: Timestamp,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum Outcome {
    Succeeded,
    Failed {
        exit_status: i32,
    },
    Cancelled {
        /// `None` when a signal ended it.
        exit_status: Option<i32>,
    },
    Errored {
        reason: Reason,
    },
}

impl Record {
    /// The same run, ended.
    pub(super) fn ended(mut self, outcome: Outcome, finished_at: Timestamp) -> Self {
        self.state =
            State::Ended(OperationOutcome { outcome, started_at: self.state.started_at(), finished_at });
        self
    }

    /// How it ended, if it has.
    pub(super) fn ending(&self) -> Option<&OperationOutcome> {
        match &self.state {
            State::Ended(ending) => Some(ending),
            State::Queued | State::Running { .. } | State::Cancelling { .. } => None,
        }
    }

    /// The record as callers of the provider see it.
    pub(super) fn into_build(self) -> Build {
        let status = self.state.status();
        let finished = self.ending().map(|ending| ending.finished_at);
        let reason = self.ending().and_then(|ending| ending.outcome.reason().cloned());
        Build {
            id: BuildId(self.id),
            status,
            provider_status: status.as_str().to_owned(),
            reason,
            started_at: self.state.started_at(),
            finished_at: finished,
            target: Target::Process(self.target),
            web_url: None,
            number: None,
        }
    }
}

impl State {
    fn status(&self) -> RunStatus {
        match self {
            Self::Queued => RunStatus::Queued,
            Self::Running { .. } => RunStatus::Running,
            Self::Cancelling { .. } => RunStatus::Cancelling,
            Self::Ended(ending) => ending.outcome.status(),
        }
    }

    fn started_at(&self) -> Option<Timestamp> {
        match self {
            Self::Queued => None,
            Self::Running { started_at } | Self::Cancelling { started_at } => Some(*started_at),
            Self::Ended(ending) => ending.started_at,
        }
    }
}

impl Outcome {
    /// The run could not be brought to its end.
    pub(super) fn interrupted(detail: impl Into<String>) -> Self {
        Self::Errored { reason: Reason { code: ReasonCode::Interrupted, detail: detail.into() } }
    }

    /// The stack died or was stopped.
    pub(super) fn stack_stopped() -> Self {
        Self::interrupted("the local stack stopped while the run was going")
    }

    /// The command never ran.
    pub(super) fn could_not_start(detail: impl Into<String>) -> Self {
        Self::Errored { reason: Reason { code: ReasonCode::CouldNotStart, detail: detail.into() } }
    }

    pub(super) fn status(&self) -> RunStatus {
        match self {
            Self::Succeeded => RunStatus::Succeeded,
            Self::Failed { .. } => RunStatus::Failed,
            Self::Cancelled { .. } => RunStatus::Cancelled,
            Self::Errored { .. } => RunStatus::Errored,
        }
    }

    pub(super) fn exit_status(&self) -> Option<i64> {
        match self {
            Self::Succeeded => Some(0),
            Self::Failed { exit_status } => Some(i64::from(*exit_status)),
            Self::Cancelled { exit_status } => exit_status.map(i64::from),
            Self::Errored { .. } => None,
        }
    }

    pub(super) fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Errored { reason } => Some(reason),
            Self::Succeeded | Self::Failed { .. } | Self::Cancelled { .. } => None,
        }
    }
}
