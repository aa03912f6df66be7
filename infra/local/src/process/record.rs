//! What is kept of a run beside its log: `record.json`.

use std::collections::BTreeMap;

use gatehouse_domain::ci::{Build, BuildId, ProcessTarget, Reason, ReasonCode, RunStatus, Target};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::leftovers::ProcessIdentity;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    pub target: ProcessTarget,
    pub environment: BTreeMap<String, String>,
    /// Leads the command's process group. Noted as soon as it runs, for the time after a crash.
    pub process: Option<ProcessIdentity>,
    pub status: RunStatus,
    pub reason: Option<Reason>,
    /// What the command ended with; `None` when a signal ended it.
    pub exit_status: Option<i32>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    status: RunStatus,
    exit_status: Option<i32>,
    reason: Option<Reason>,
}

impl Record {
    pub fn end(&mut self, outcome: Outcome, finished_at: Timestamp) {
        self.status = outcome.status;
        self.exit_status = outcome.exit_status;
        self.reason = outcome.reason;
        self.finished_at = Some(finished_at);
    }

    pub fn into_build(self) -> Build {
        Build {
            id: BuildId(self.id),
            status: self.status,
            provider_status: self.status.as_str().to_owned(),
            reason: self.reason,
            started_at: self.started_at,
            finished_at: self.finished_at,
            target: Target::Process(self.target),
            web_url: None,
            number: None,
        }
    }
}

impl Outcome {
    pub fn exited(status: RunStatus, exit_status: Option<i32>) -> Self {
        Self { status, exit_status, reason: None }
    }

    /// The command began to run, and was not brought to its end.
    pub fn interrupted(detail: impl Into<String>) -> Self {
        Self::errored(ReasonCode::Interrupted, detail.into())
    }

    pub fn stack_stopped() -> Self {
        Self::interrupted("the local stack stopped while the run was going")
    }

    pub fn could_not_start(detail: impl Into<String>) -> Self {
        Self::errored(ReasonCode::CouldNotStart, detail.into())
    }

    fn errored(code: ReasonCode, detail: String) -> Self {
        Self { status: RunStatus::Errored, exit_status: None, reason: Some(Reason { code, detail }) }
    }
}
