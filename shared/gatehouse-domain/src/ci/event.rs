//! What happens in a run.

use std::pin::Pin;

use futures_core::Stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ci::{
    build::{Reason, RunStatus},
    error::CiError,
};

/// Where in a run's events a reader stands: opaque, made and read by one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(pub String);

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEvent {
    /// Where it stands; events of the moment, such as why a run waits, have none.
    pub position: Option<Position>,
    pub body: RunEventBody,
    /// When, where the CI system says so.
    pub time: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEventBody {
    /// The run's status is this now.
    Status {
        status: RunStatus,
        /// The system's own word.
        provider_status: String,
        reason: Option<Reason>,
    },
    /// A step began or ended, or something became known of it.
    Step {
        /// The step's id, unique in the run.
        step: String,
        /// What it is called, where known.
        name: Option<String>,
        /// What happened to it.
        phase: StepPhase,
    },
    Log {
        /// The step that wrote it.
        step: Option<String>,
        /// Where it was written.
        stream: LogStream,
        /// A piece of text as it arrived: part of a line, a line, or several.
        text: String,
    },
    /// Something went wrong. The run may continue.
    Error {
        /// In which step, where known.
        step: Option<String>,
        message: String,
    },
    /// Nothing more will come.
    End,
}

/// What happened to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepPhase {
    /// It is being prepared: `detail` says what with, where known.
    Preparing {
        /// Such as the worker that was chosen.
        detail: Option<String>,
    },
    Started,
    Finished {
        /// With this exit status, where there was a process.
        exit_status: Option<i64>,
        /// Well or not, where known.
        succeeded: Option<bool>,
    },
}

/// Where output was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    Stdout,
    Stderr,
}

/// Events of a run as they happen. It ends after [`RunEventBody::End`], or with an error.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<RunEvent, CiError>> + Send>>;
