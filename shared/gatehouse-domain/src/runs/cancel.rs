//! Cancelling runs.

use super::{FindPorts, FoundRun, RunId, RunStatus, ShowRunError, show};
use crate::{
    caller::Caller,
    ci::{CancelMode, CiError, CiErrorKind, ProviderLookupError},
    store::StoreError,
};

/// Why a run cannot be cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// It cannot be shown either.
    #[error(transparent)]
    Show(#[from] ShowRunError),
    /// It has ended already.
    #[error("the run has ended already: it {}", .0.as_str())]
    Ended(RunStatus),
    /// Its CI system cannot end a run that does not react.
    #[error("this CI system cannot force a run to end; cancel it without force")]
    ForceUnsupported,
    /// There is no such provider any more.
    #[error(transparent)]
    Provider(#[from] ProviderLookupError),
    /// The CI system failed.
    #[error("could not ask the CI system")]
    Ci(#[from] CiError),
    /// The store failed.
    #[error("could not record the request")]
    Store(#[from] StoreError),
}

/// Asks a run to stop. Asking is idempotent at every CI system, so the CI system is asked first and the
/// request recorded after it was taken: a lost answer is mended by asking again, and a refused request
/// never shows as `cancelling`. Cancelling a cancelled run is fine.
pub async fn cancel(
    ports: &FindPorts<'_>,
    caller: &Caller,
    id: &RunId,
    mode: CancelMode,
) -> Result<FoundRun, CancelError> {
    let found = show(ports, caller, id).await?;
    if found.run.status == RunStatus::Cancelled {
        return Ok(found);
    }
    if found.run.status.is_terminal() {
        return Err(CancelError::Ended(found.run.status));
    }
    let provider = ports.providers.provider(&found.run.provider).await?;
    if mode == CancelMode::Force && !provider.capabilities().force_cancel {
        return Err(CancelError::ForceUnsupported);
    }
    let mut run = found.run;
    match provider.cancel(&run.target, &run.build, mode).await {
        Ok(()) => {}
        Err(error) if error.kind == CiErrorKind::OutcomeUnknown => {
            return Err(CiError { kind: CiErrorKind::Unavailable, ..error }.into());
        }
        Err(error) => return Err(error.into()),
    }
    run.cancel_requested_at = run.cancel_requested_at.or_else(|| Some(ports.clock.now()));
    run.status = RunStatus::Cancelling;
    ports.record.record_cancel_request(&run).await?;
    Ok(FoundRun { run, recorded: true, stale: None })
}
