//! What happens in a run.

use std::pin::Pin;

use futures_core::Stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
        /// What it is called, where known: no two steps of a kind that do different things are called alike.
        name: Option<String>,
        /// What happened to it.
        phase: StepPhase,
        #[serde(default, skip_serializing_if = "StepFacts::is_empty")]
        facts: Box<StepFacts>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepPhase {
    /// It is being prepared.
    Preparing,
    Started,
    Finished {
        /// With this exit status, where there was a process.
        exit_status: Option<i64>,
        /// Well or not, where known.
        succeeded: Option<bool>,
    },
}

/// What else is known of a step, as the CI system says it: all of it may be missing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepFacts {
    /// What sort of step it is, in the CI system's word: `get`, `task`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Which attempt it is, from 1, of a step that is tried several times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The values that it runs with, of a step that runs across several; the outermost variable comes first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub across: Vec<AcrossValue>,
    /// What is going on, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The worker that it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// What it executes: the program and its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Where its root file system is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The version that it fetched or made: such as `{"ref": "abc123"}`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub version: Map<String, Value>,
    /// What the version is said to be: commit, author.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<MetadataField>,
    /// Whether what it sets is another than before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
}

impl StepFacts {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A variable of a step that runs across several values, and the one that this step has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AcrossValue {
    pub name: String,
    pub value: Value,
}

/// Something that is said of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataField {
    pub name: String,
    pub value: String,
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
