//! How CI systems fail.

use std::{error::Error, time::Duration};

/// What went wrong with a CI system, as far as a caller can decide on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CiErrorKind {
    /// The pipeline, job or build does not exist there.
    NotFound,
    /// Our credentials are wrong, or what they give us is not enough to be somebody.
    CredentialsRefused,
    /// We are somebody, but may not do this.
    Forbidden,
    /// The system will not do this with this job or run as it stands.
    Refused,
    /// The system cannot do this.
    Unsupported,
    /// We asked too often.
    Throttled,
    /// It cannot be reached, answers too late, or is out of order. Nothing was changed.
    Unavailable,
    /// The answer to a change was lost: it may have happened.
    OutcomeUnknown,
    /// It answered something that we do not understand.
    Protocol,
}

impl CiErrorKind {
    /// Whether the same call may succeed a little later.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Throttled | Self::Unavailable => true,
            Self::NotFound
            | Self::CredentialsRefused
            | Self::Forbidden
            | Self::Refused
            | Self::Unsupported
            | Self::OutcomeUnknown
            | Self::Protocol => false,
        }
    }
}

/// A failure of a CI system.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {advice}")]
pub struct CiError {
    /// What a caller can decide on.
    pub kind: CiErrorKind,
    /// What was tried, such as `trigger`.
    pub operation: &'static str,
    /// What happened and what would help: shown to callers, so without secrets.
    pub advice: String,
    /// When to try again, where the system says so.
    pub retry_after: Option<Duration>,
    /// What lies below: logged, never shown.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl CiError {
    /// A failure without a cause below it.
    pub fn new(kind: CiErrorKind, operation: &'static str, advice: impl Into<String>) -> Self {
        Self { kind, operation, advice: advice.into(), retry_after: None, source: None }
    }

    /// The same failure with its cause.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }
}
