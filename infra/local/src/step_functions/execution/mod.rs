//! One execution: where it is, and its transitions. Nothing here waits, asks for the time, or touches a file, so
//! that tests can crash between any two steps.

mod settle;
mod step;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tasks::TaskError;

pub(super) use self::{
    settle::TaskEvent,
    step::{Call, MAX_DATA, Next, Step},
};

/// As many of the last lines of the log are kept.
const KEPT_LOG_LINES: usize = 100;

/// An execution, as it is kept in its file. Its data may hold secrets, so it cannot be printed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Execution {
    pub machine: String,
    pub name: String,
    /// What it was started with, to the letter.
    pub input: String,
    pub started_at: Timestamp,
    /// When the machine's own `TimeoutSeconds` ends it.
    pub times_out_at: Option<Timestamp>,
    pub status: Status,
    /// What happened, for people. Holds no data.
    pub log: Vec<LogLine>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct LogLine {
    pub at: Timestamp,
    pub what: String,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Running(Position),
    Ended { at: Timestamp, outcome: Outcome },
}

/// How an execution ended.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Succeeded { output: Value },
    Failed(TaskError),
    TimedOut,
    Aborted(Option<TaskError>),
}

/// Where a running execution is.
#[derive(Clone, Serialize, Deserialize)]
pub struct Position {
    pub state: String,
    /// The data that the state was entered with.
    pub data: Value,
    /// How often each `Retry` of the state was used.
    pub retried: Vec<u32>,
    pub activity: Activity,
}

/// What a running execution is doing.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// The state is to be begun.
    Entering,
    /// A `Wait`.
    Waiting { until: Timestamp },
    /// A task failed and is to be begun again.
    BackingOff { until: Timestamp, error: String },
    /// A task that has been begun.
    Task(Begun),
}

/// A task that has been begun.
#[derive(Clone, Serialize, Deserialize)]
pub struct Begun {
    /// Tells this beginning from earlier and later ones; where the task waits for a token, this is it.
    pub token: String,
    /// Whether the token is known to have arrived, so that the task is not begun again after a crash.
    pub delivered: bool,
    pub times_out_at: Timestamp,
    pub silent_until: Option<Timestamp>,
}

impl Execution {
    /// `None` once it has ended.
    pub fn position(&self) -> Option<&Position> {
        match &self.status {
            Status::Running(position) => Some(position),
            Status::Ended { .. } => None,
        }
    }

    pub fn note(&mut self, at: Timestamp, what: String) {
        self.log.push(LogLine { at, what });
        let surplus = self.log.len().saturating_sub(KEPT_LOG_LINES);
        self.log.drain(..surplus);
    }
}

impl Position {
    pub fn task(&self) -> Option<&Begun> {
        match &self.activity {
            Activity::Task(begun) => Some(begun),
            Activity::Entering | Activity::Waiting { .. } | Activity::BackingOff { .. } => None,
        }
    }
}
