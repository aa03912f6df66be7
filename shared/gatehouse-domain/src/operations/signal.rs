//! What is sent to a workflow.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The name under which a waiting task gets its answer. Whoever has it can answer, so it is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct TaskToken(String);

/// A text that cannot be a task token. The message repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("task_token must be 1 to 2,048 visible ASCII characters")]
pub struct NotATaskToken;

impl TaskToken {
    /// The longest token, in characters: Step Functions' own limit.
    const MAX_LENGTH: usize = 2048;

    /// Takes text from a workflow or a worker for a token; `None` when it cannot be one.
    pub fn new(text: String) -> Option<Self> {
        let valid =
            (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        valid.then_some(Self(text))
    }

    /// The token as text, for the workflow engine alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TaskToken {
    type Error = NotATaskToken;

    fn try_from(text: String) -> Result<Self, NotATaskToken> {
        Self::new(text).ok_or(NotATaskToken)
    }
}

impl fmt::Debug for TaskToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskToken(..)")
    }
}

/// What a workflow has to be sent. Each can be sent again without harm: an execution is started once under its
/// name, a task takes one answer, and what has stopped cannot be stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "tell")]
pub enum Signal {
    Start,
    /// Answers a task: what it waits for is done.
    Succeed {
        token: TaskToken,
        output: Value,
    },
    /// Answers a task: what it waits for will not be done.
    Fail {
        token: TaskToken,
        /// A word that the state machine can catch.
        error: String,
        cause: String,
    },
    /// Stops its execution where it is.
    Stop,
}
