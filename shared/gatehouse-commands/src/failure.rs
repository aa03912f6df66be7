//! What a state machine gets to catch.

use std::error::Error;

use gatehouse_domain::{
    error::Chain,
    operations::{
        DeployError,
        attempt::CallbackKeyError,
        steer::{SteerError, UNAVAILABLE},
    },
};
use lambda_runtime::Diagnostic;

/// A command was refused, or could not be done.
#[derive(Debug, thiserror::Error)]
pub enum CommandFailed {
    /// The event is no command of this function.
    #[error("the event is no command of {function}: {reason}")]
    Invalid {
        /// Whose: `the deployer`.
        function: &'static str,
        reason: String,
    },
    /// The operation's record does not allow it, or could not be changed.
    #[error(transparent)]
    Steer(#[from] SteerError),
    /// The deploy was refused, or could not be done.
    #[error(transparent)]
    Deploy(DeployError),
    /// The key of callback tokens cannot be had.
    #[error(transparent)]
    Key(#[from] CallbackKeyError),
}

impl From<DeployError> for CommandFailed {
    fn from(error: DeployError) -> Self {
        match error {
            DeployError::Step(error) => Self::Steer(error),
            error @ (DeployError::Unavailable(..) | DeployError::Refused(_)) => Self::Deploy(error),
        }
    }
}

impl CommandFailed {
    pub(crate) fn invalid(function: &'static str, reason: &str) -> Self {
        Self::Invalid { function, reason: reason.to_owned() }
    }

    /// The word that a state machine catches, and retries by: `InvalidCommand`, `OperationNotFound`,
    /// `OperationEnded`, `CancelRequested`, `OutOfPlace`, `DeployRefused` or `Unavailable`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "InvalidCommand",
            Self::Steer(error) => error.word(),
            Self::Deploy(DeployError::Refused(_)) => "DeployRefused",
            // A missing key too: the state machine's retries give somebody minutes to make it.
            Self::Deploy(DeployError::Unavailable(..) | DeployError::Step(_)) | Self::Key(_) => UNAVAILABLE,
        }
    }

    /// What is tried again, or is the way of things, is a warning; what an operator has to mend is an error.
    fn needs_an_operator(&self) -> bool {
        match self {
            Self::Invalid { .. } | Self::Key(CallbackKeyError::Missing | CallbackKeyError::Weak(_)) => true,
            Self::Steer(_) | Self::Deploy(_) | Self::Key(CallbackKeyError::Secrets(_)) => false,
        }
    }

    pub(crate) fn log(&self, name: &str, operation_id: &str) {
        let error_type = self.word();
        let error = Chain(self as &(dyn Error + 'static));
        if self.needs_an_operator() {
            tracing::error!(command = name, operation_id, error_type, %error, "could not obey {name} for operation {operation_id}");
        } else {
            tracing::warn!(command = name, operation_id, error_type, %error, "did not obey {name} for operation {operation_id}");
        }
    }
}

impl From<CommandFailed> for Diagnostic {
    fn from(failed: CommandFailed) -> Self {
        // Without the chain of causes: this is kept in the execution's history.
        Self { error_type: failed.word().to_owned(), error_message: failed.to_string() }
    }
}
