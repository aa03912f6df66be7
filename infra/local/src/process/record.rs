//! What is kept of a run beside its events: `record.json`.

use std::collections::BTreeMap;

use gatehouse_domain::ci::{Build, BuildId, ProcessTarget, Reason, ReasonCode, RunStatus, Target};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::identity::ProcessIdentity;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    pub target: ProcessTarget,
    pub environment: BTreeMap<String, String>,
    pub created_at: Timestamp,
    /// Leads the command's process group. Noted as soon as it runs, for the time after a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessIdentity>,
    pub state: State,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum State {
    Queued,
    Running { started_at: Timestamp },
    Cancelling { started_at: Timestamp },
    Ended(Ending),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    pub finished_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
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
    pub fn end(&mut self, outcome: Outcome, finished_at: Timestamp) {
        self.state = State::Ended(Ending { outcome, started_at: self.state.started_at(), finished_at });
    }

    /// `None` while the run has not ended.
    pub fn ending(&self) -> Option<&Ending> {
        match &self.state {
            State::Ended(ending) => Some(ending),
            State::Queued | State::Running { .. } | State::Cancelling { .. } => None,
        }
    }

    pub fn into_build(self) -> Build {
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
    /// The command began to run, and was not brought to its end.
    pub fn interrupted(detail: impl Into<String>) -> Self {
        Self::Errored { reason: Reason { code: ReasonCode::Interrupted, detail: detail.into() } }
    }

    pub fn stack_stopped() -> Self {
        Self::interrupted("the local stack stopped while the run was going")
    }

    pub fn could_not_start(detail: impl Into<String>) -> Self {
        Self::Errored { reason: Reason { code: ReasonCode::CouldNotStart, detail: detail.into() } }
    }

    pub fn status(&self) -> RunStatus {
        match self {
            Self::Succeeded => RunStatus::Succeeded,
            Self::Failed { .. } => RunStatus::Failed,
            Self::Cancelled { .. } => RunStatus::Cancelled,
            Self::Errored { .. } => RunStatus::Errored,
        }
    }

    pub fn exit_status(&self) -> Option<i64> {
        match self {
            Self::Succeeded => Some(0),
            Self::Failed { exit_status } => Some(i64::from(*exit_status)),
            Self::Cancelled { exit_status } => exit_status.map(i64::from),
            Self::Errored { .. } => None,
        }
    }

    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Errored { reason } => Some(reason),
            Self::Succeeded | Self::Failed { .. } | Self::Cancelled { .. } => None,
        }
    }
}
