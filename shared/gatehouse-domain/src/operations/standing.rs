//! How an operation stands.

use super::{Operation, OperationOutcome, OperationStatus, Phase, State};

impl Operation {
    /// How it stands.
    pub fn standing(&self) -> OperationStatus {
        match &self.state {
            State::Ended { ending, .. } => match ending {
                OperationOutcome::Succeeded => OperationStatus::Succeeded,
                OperationOutcome::Failed => OperationStatus::Failed,
                OperationOutcome::Cancelled => OperationStatus::Cancelled,
                OperationOutcome::Rejected => OperationStatus::Rejected,
                OperationOutcome::TimedOut => OperationStatus::TimedOut,
            },
            _ if self.cancel.is_some() => OperationStatus::Cancelling,
            State::Requested => OperationStatus::Queued,
            State::AwaitingApproval { .. } => OperationStatus::AwaitingApproval,
            State::Running { phase } => match phase {
                Phase::Plan => OperationStatus::Planning,
                Phase::Apply => OperationStatus::Applying,
                Phase::Deploy => OperationStatus::Deploying,
            },
        }
    }

    /// How it stands, in one word for callers.
    pub fn status(&self) -> &'static str {
        self.standing().as_str()
    }
}
