//! Why Terraform did not do what it should.

use std::{path::PathBuf, time::Duration};

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum TerraformError {
    /// There is no such program.
    #[error("there is no program `{}`: Terraform is not installed here, or GATEHOUSE_TERRAFORM is wrong", .0.display())]
    Missing(PathBuf),
    /// The program cannot be run.
    #[error("Terraform could not be run")]
    Run(#[source] std::io::Error),
    /// It ended with an error.
    #[error("terraform {command} failed: {reason}")]
    Failed { command: &'static str, reason: String },
    /// It was interrupted, because the worker was asked to stop.
    #[error("terraform {command} was interrupted")]
    Interrupted { command: &'static str },
    /// It did not end after it was interrupted.
    #[error("terraform {command} was killed, because it had not ended {} s after it was interrupted: what it was \
             doing may be half done, and the state may be locked", limit.as_secs())]
    Killed {
        command: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// It printed something that cannot be understood.
    #[error("what terraform {command} printed cannot be understood")]
    Garbled {
        command: &'static str,
        #[source]
        source: serde_json::Error,
    },
}
