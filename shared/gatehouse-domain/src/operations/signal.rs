//! What a workflow waits for.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// With which a waiting workflow is told something. Whoever has it can tell it, so it is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskToken(String);

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

impl fmt::Debug for TaskToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskToken(..)")
    }
}

/// What a workflow is still to be told. Each can be told again without harm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "tell")]
pub enum Signal {
    /// To begin.
    Start,
    /// That what it waits for is done.
    Succeed {
        /// What it waits with.
        token: TaskToken,
        /// What came out.
        output: Value,
    },
    /// That what it waits for will not be done.
    Fail {
        /// What it waits with.
        token: TaskToken,
        /// A word that the state machine can catch.
        error: String,
        /// Why, for people.
        cause: String,
    },
    /// To stop where it is.
    Stop,
}
