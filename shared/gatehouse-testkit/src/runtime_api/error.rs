//! What goes wrong with a function.

use std::io;

/// What went wrong with a function.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// The process could not be started or looked at.
    #[error("could not run or measure the function")]
    Io(#[from] io::Error),
    /// The function said that it cannot start.
    #[error("the function failed to start: {0}")]
    Init(String),
    #[error("the function ended with {status}; its last lines: {last_lines}")]
    Exited {
        status: String,
        /// What it printed last.
        last_lines: String,
    },
    /// The function answered with an error, be it instead of an answer or at the end of a streamed one.
    #[error("the function answered with {error_type}: {body}")]
    Reported {
        /// `Lambda-Runtime-Function-Error-Type`.
        error_type: String,
        /// What it said of it, usually JSON.
        body: String,
    },
    /// No answer by the deadline; the process is killed, as Lambda does.
    #[error("the function did not answer in time")]
    TimedOut,
    /// The connection broke in the middle of the answer.
    #[error("the function's answer broke off")]
    Truncated,
    /// The answer does not begin as a streamed HTTP answer must.
    #[error("the function's answer has no HTTP prelude: {0}")]
    Prelude(String),
}
