//! Cancelling runs.

use super::{
    find::{FoundRun, ShowRunError, show},
    id::RunId,
    pins::PinLeases,
    run::{FindRun, RecordRun},
};
use crate::{
    access::CANCEL_RUN,
    audit::{Action, AppendAudit, AuditContext, AuditTarget, Outcome},
    ci::{CancelMode, CiError, CiErrorKind, ProviderDirectory, ProviderLookupError, RunStatus},
    clock::System,
    jobs::FindJobsByTarget,
    name::TenantId,
    providers::FindProvider,
    store::StoreError,
    tenant::CountTenants,
};

/// Why a run cannot be cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// It cannot be shown either.
    #[error(transparent)]
    Show(#[from] ShowRunError),
    /// The caller's role in the run's tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
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
    #[error("could not record the request")]
    Store(#[from] StoreError),
}

/// Asks a run to stop. Asking is idempotent at every CI system, so the CI system is asked first and the
/// request recorded after it was taken: a lost answer is mended by asking again, and a refused request
/// never shows as `cancelling`. Cancelling a cancelled run is fine.
pub async fn cancel<S>(
    store: &S,
    providers: &dyn ProviderDirectory,
    system: &dyn System,
    audit: &AuditContext<'_>,
    id: &RunId,
    mode: CancelMode,
) -> Result<FoundRun, CancelError>
where
    S: FindRun + RecordRun + PinLeases + FindJobsByTarget + AppendAudit + FindProvider + CountTenants,
{
    let found = show(store, providers, system, audit.caller, id).await?;
    if !audit.caller.may_in(&CANCEL_RUN, &found.run.tenant) {
        return Err(CancelError::Forbidden(found.run.tenant));
    }
    if found.run.status == RunStatus::Cancelled {
        return Ok(found);
    }
    if found.run.status.is_terminal() {
        return Err(CancelError::Ended(found.run.status));
    }
    let provider = providers.provider(&found.run.provider).await?;
    if mode == CancelMode::Force && !provider.capabilities().force_cancel {
        return Err(CancelError::ForceUnsupported);
    }
    let mut run = found.run;
    let audit_target =
        AuditTarget { target: format!("run:{id}"), tenant: Some(run.tenant.clone()), detail: None };
    let entry = audit.entry(system, Action::CancelRun, Outcome::Requested, audit_target);
    // Before the CI system is asked: what cannot be put on the trail does not happen.
    store.append_audit(&entry).await?;
    match provider.cancel(&run.target, &run.build, mode).await {
        Ok(()) => {}
        // To the caller it is the same as no answer at all: asking again is safe either way.
        Err(error) if error.kind == CiErrorKind::OutcomeUnknown => {
            return Err(CiError { kind: CiErrorKind::Unavailable, ..error }.into());
        }
        Err(error) => return Err(error.into()),
    }
    run.cancel_requested_at = run.cancel_requested_at.or_else(|| Some(system.now()));
    run.status = RunStatus::Cancelling;
    store.record_cancel_request(&run).await?;
    Ok(FoundRun { run, recorded: true, stale: None })
}
