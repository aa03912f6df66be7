//! What the state machine gets to catch.

use std::error::Error;

use gatehouse_domain::{
    error::Chain,
    operations::{DeployError, attempt::WeakCallbackKey, steer::UNAVAILABLE},
    secret::SecretError,
};
use lambda_runtime::Diagnostic;

use crate::command::Command;

/// A command was refused, or could not be done.
#[derive(Debug, thiserror::Error)]
pub enum CommandFailed {
    /// The event is no command.
    #[error("the event is no command of the deployer: {0}")]
    Invalid(String),
    /// The rule refused, or what it needs is not there.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The key of callback tokens cannot be read just now.
    #[error("the key of callback tokens could not be read")]
    Secret(#[from] SecretError),
    /// Nobody has made the key of callback tokens yet.
    #[error("there is no key of callback tokens yet: the secret `callback-key` is missing")]
    NoCallbackKey,
    /// The key of callback tokens is too short to be one.
    #[error(transparent)]
    WeakCallbackKey(#[from] WeakCallbackKey),
}

impl CommandFailed {
    /// The word that the state machine catches.
    fn error_type(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "InvalidCommand",
            Self::Deploy(DeployError::Step(error)) => error.word(),
            Self::Deploy(DeployError::Refused(_)) => "DeployRefused",
            Self::Deploy(DeployError::Unavailable(..))
            | Self::Secret(_)
            | Self::NoCallbackKey
            | Self::WeakCallbackKey(_) => UNAVAILABLE,
        }
    }

    /// Writes what happened. What is tried again is a warning; what an operator has to mend is an error.
    pub(crate) fn log(&self, command: Option<&Command>) {
        let (name, operation_id) = match command {
            Some(command) => (command.name(), command.operation().as_str()),
            None => ("none", "none"),
        };
        let error_type = self.error_type();
        let error = Chain(self as &(dyn Error + 'static));
        match self {
            Self::NoCallbackKey | Self::WeakCallbackKey(_) | Self::Invalid(_) => {
                tracing::error!(command = name, operation_id, error_type, %error, "could not obey {name} for operation {operation_id}");
            }
            Self::Secret(_) | Self::Deploy(_) => {
                tracing::warn!(command = name, operation_id, error_type, %error, "did not obey {name} for operation {operation_id}");
            }
        }
    }
}

impl From<CommandFailed> for Diagnostic {
    fn from(failed: CommandFailed) -> Self {
        Self { error_type: failed.error_type().to_owned(), error_message: failed.to_string() }
    }
}
