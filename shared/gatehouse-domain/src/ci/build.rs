//! Builds: what a CI system says of a run.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ci::Target;

/// How a run stands, in one vocabulary for every CI system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It has not begun.
    Queued,
    Running,
    /// It was asked to stop, and has not ended.
    Cancelling,
    Succeeded,
    /// What it ran ended badly.
    Failed,
    /// It could not be run properly.
    Errored,
    Cancelled,
}

impl RunStatus {
    /// Whether it has ended for good.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Cancelling => false,
            Self::Succeeded | Self::Failed | Self::Errored | Self::Cancelled => true,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Errored => "errored",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The id of a run in its CI system, as text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BuildId(pub String);

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a CI system says of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    pub id: BuildId,
    /// What is run, with the instance variables that the system reports.
    pub target: Target,
    /// The common word for how it stands.
    pub status: RunStatus,
    /// The system's own word.
    pub provider_status: String,
    /// Why it stands so, where that is known.
    pub reason: Option<Reason>,
    /// When it began to run.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// Where people can see it.
    pub web_url: Option<String>,
    /// The number that people know it by: `17`, or `17.1` for a rerun.
    pub number: Option<String>,
}

/// Why a run stands as it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: ReasonCode,
    /// For people, with what would help.
    pub detail: String,
}

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why a run stands as it does, for machines.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ReasonCode {
            $($(#[$doc])* $name,)*
        }

        impl ReasonCode {
            /// Everything that is given as a reason.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

reason_codes! {
    /// The pipeline, or the job in it, is paused.
    Paused,
    /// Inputs are missing, or the CI system is still searching for them.
    WaitingForInputs,
    /// As many builds run as may.
    WaitingForSlot,
    /// What ran it is gone.
    Interrupted,
    /// The CI system no longer has it: how it ended is not known.
    GoneFromProvider,
    /// It could not be started.
    CouldNotStart,
}
