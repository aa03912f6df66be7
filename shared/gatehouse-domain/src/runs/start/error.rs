//! What comes of starting a run.

use crate::{
    ci::{CiError, ProviderLookupError},
    idempotency::IdempotencyKey,
    jobs::ShowJobError,
    name::TenantId,
    runs::{find::ShowRunError, run::Run},
    scopes::ScopeClosed,
    store::StoreError,
    validation::FieldError,
};

/// A run was started.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// The run as it was right after.
    pub run: Run,
    /// Whether an earlier request with the same key started it.
    pub replayed: bool,
}

/// Why no run was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The job cannot be shown.
    #[error(transparent)]
    Job(#[from] ShowJobError),
    /// The run that is to be run again cannot be shown.
    #[error(transparent)]
    Run(#[from] ShowRunError),
    /// The caller's role in the job's tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    /// The job's tenant may not use what it points into.
    #[error(transparent)]
    Scope(#[from] ScopeClosed),
    #[error("the parameters are not what the job takes")]
    Parameters(Vec<FieldError>),
    /// The run that is to be run again has not ended.
    #[error("the run has not ended yet")]
    StillRunning,
    /// The CI system cannot run a run again.
    #[error("this CI system cannot run a run again")]
    RerunUnsupported,
    /// There is no such provider.
    #[error(transparent)]
    Provider(#[from] ProviderLookupError),
    /// The CI system refused, or failed before it started anything.
    #[error("the CI system did not start the run")]
    Ci(#[from] CiError),
    /// Another run of the pipeline is about to take versions of its resources.
    #[error("another run of this pipeline is just being started with versions of its resources; try again")]
    PipelineBusy,
    /// The key was used for another request.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// Another request with this key is still at work.
    #[error("a request with this Idempotency-Key is still at work")]
    InProgress,
    /// The CI system may or may not have started a run; a repetition with the same key will find out.
    #[error("the CI system's answer was lost: repeat the request with this Idempotency-Key to find out")]
    OutcomeUnknown {
        /// The key, the caller's own or the one that the request got for want of it.
        key: IdempotencyKey,
    },
    #[error("could not record the start")]
    Store(#[from] StoreError),
}
