//! Why Terraform did not do what it should.

use std::{path::PathBuf, time::Duration};

use crate::backend::OtherBackend;

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
    /// What it says of the backend that it took cannot be read.
    #[error("terraform init did not say where it keeps the state")]
    NoBackend(#[source] std::io::Error),
    /// It keeps its state elsewhere.
    #[error(transparent)]
    OtherBackend(#[from] OtherBackend),
    /// It ended as if there were something to do, and its plan says otherwise; or the other way round.
    #[error("terraform plan ended as if there {}, but its plan shows {}", was(*ended), shows(*shown))]
    Contradiction {
        /// Whether there is something to do by its exit status.
        ended: bool,
        /// And by its plan, where that says anything at all.
        shown: Option<bool>,
    },
    /// It printed something that cannot be understood.
    #[error("what terraform {command} printed cannot be understood")]
    Garbled {
        command: &'static str,
        #[source]
        source: serde_json::Error,
    },
}

fn was(something: bool) -> &'static str {
    if something { "were something to do" } else { "were nothing to do" }
}

fn shows(something: Option<bool>) -> &'static str {
    match something {
        Some(true) => "something",
        Some(false) => "nothing",
        None => "no plan",
    }
}
