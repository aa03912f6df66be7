//! Taking pins away that have done their work, or whose starter is dead.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use super::lease::{PinLease, PinLeases};
use crate::{
    ci::{CiError, CiErrorKind, CiProvider, PinVersions, ProviderDirectory, ProviderLookupError, Taken},
    clock::Clock,
    runs::run::{FindRun, RecordRun, Run},
    store::StoreError,
};

/// How long a build may wait for its inputs before its pins are taken away all the same: others' runs take the
/// version too as long as it is pinned. A build that takes its inputs later may take another version, and its run
/// says so.
const PIN_FOR: Duration = Duration::from_mins(10);

/// How long a lease belongs to whoever settles it: longer than an invocation that a caller waits for can last.
const SETTLE_WITHIN: Duration = Duration::from_secs(35);

/// Why a lease could not be settled. It stays, and whoever comes next tries again.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    #[error("could not take pins away")]
    Ci(#[from] CiError),
    #[error("could not find the provider of a lease")]
    Provider(#[from] ProviderLookupError),
    #[error("could not read or write a lease")]
    Store(#[from] StoreError),
}

/// Looks whether the build of a run has taken the versions that it was to take, writes that down, and takes the pins
/// away. The run as it was where that is not known yet.
///
/// # Errors
///
/// When it could not be asked, or written down.
pub async fn observe<S: PinLeases + FindRun + RecordRun>(
    store: &S,
    provider: &dyn CiProvider,
    clock: &dyn Clock,
    run: Run,
) -> Result<Run, SettleError> {
    let Some(pins) = provider.pins().filter(|_| !run.awaited.is_empty()) else { return Ok(run) };
    let seen = run.clone().having_taken(&taken(pins, &run).await?);
    if seen.awaited.is_empty() {
        store.record_delivery(&seen).await?;
        let scope = PinLease::scope_of(&run.provider, &run.target);
        let lease = match scope {
            Some(scope) => store.find_pins(&scope).await?,
            None => None,
        };
        if let Some(lease) = lease.filter(|lease| lease.build.as_ref() == Some(&run.build)) {
            settle(store, provider, clock, lease).await?;
        }
    }
    Ok(seen)
}

async fn taken(pins: &dyn PinVersions, run: &Run) -> Result<Taken, CiError> {
    known(pins.taken(&run.target, &run.build).await)
}

/// A build that is gone has taken nothing.
fn known(taken: Result<Taken, CiError>) -> Result<Taken, CiError> {
    match taken {
        Err(error) if error.kind == CiErrorKind::NotFound => Ok(Taken::Nothing),
        taken => taken,
    }
}

/// Takes away what a lease pinned, if its time has come: nobody works on it any more, and its build has its inputs,
/// is gone, or has waited for too long. Returns whether it did.
///
/// # Errors
///
/// When that could not be done, or not be known to be done. The lease stays then.
pub async fn settle<S: PinLeases + FindRun + RecordRun>(
    store: &S,
    provider: &dyn CiProvider,
    clock: &dyn Clock,
    lease: PinLease,
) -> Result<bool, SettleError> {
    let now = clock.now();
    if lease.held_until > now {
        return Ok(false);
    }
    let held = PinLease { held_until: now + SETTLE_WITHIN, settling: true, ..lease.clone() };
    if !store.change_pins(&lease, &held).await? {
        // Somebody else was faster.
        return Ok(false);
    }
    let settled = settle_held(store, provider, clock, &held).await;
    if matches!(settled, Ok(true)) {
        store.end_pins(&held).await?;
    } else {
        // So that nobody has to wait for the hold to end. Refused means that it has ended, and is somebody else's.
        let left = PinLease { held_until: clock.now(), settling: false, ..held.clone() };
        store.change_pins(&held, &left).await?;
    }
    settled
}

async fn settle_held<S: FindRun + RecordRun>(
    store: &S,
    provider: &dyn CiProvider,
    clock: &dyn Clock,
    lease: &PinLease,
) -> Result<bool, SettleError> {
    let Some(pins) = provider.pins() else { return Ok(true) };
    if let Some(build) = &lease.build {
        let taken = known(pins.taken(&lease.target, build).await)?;
        record(store, lease, &taken).await?;
        if taken == Taken::NotYet && clock.now() < lease.created_at + PIN_FOR {
            return Ok(false);
        }
    }
    unpin(pins, lease).await?;
    Ok(true)
}

async fn record<S: FindRun + RecordRun>(
    store: &S,
    lease: &PinLease,
    taken: &Taken,
) -> Result<(), StoreError> {
    let Some(id) = lease.run.as_ref().filter(|_| *taken != Taken::NotYet) else { return Ok(()) };
    match store.find_run(id).await? {
        Some(run) if !run.awaited.is_empty() => store.record_delivery(&run.having_taken(taken)).await,
        _ => Ok(()),
    }
}

/// Unpins what the lease has pinned, and leaves what is pinned otherwise by now: that is somebody else's.
///
/// # Errors
///
/// When something may still be pinned.
pub async fn unpin(pins: &dyn PinVersions, lease: &PinLease) -> Result<(), CiError> {
    for resource in lease.versions.keys() {
        // The look comes right before the call: nothing can be asked for that would make the two one.
        let unpinned = match pins.pinned(&lease.target, resource).await {
            Ok(pinned) if lease.owns(resource, &pinned) => pins.unpin(&lease.target, resource).await,
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        match unpinned {
            // The pipeline is gone, or has no such resource any more.
            Err(error) if error.kind == CiErrorKind::NotFound => {}
            unpinned => unpinned?,
        }
    }
    Ok(())
}

/// Settles every lease whose time has come, and begins with none after `deadline`. Returns how many were, and what went
/// wrong with others. A CI system that does not answer is not asked about its other leases.
///
/// # Errors
///
/// When the leases cannot be read.
pub async fn settle_all<S: PinLeases + FindRun + RecordRun>(
    store: &S,
    providers: &dyn ProviderDirectory,
    clock: &dyn Clock,
    deadline: Timestamp,
) -> Result<(usize, Vec<SettleError>), StoreError> {
    let (mut settled, mut failures) = (0, Vec::new());
    let mut silent = BTreeSet::new();
    for lease in store.open_pins().await? {
        if clock.now() >= deadline {
            break;
        }
        if silent.contains(&lease.provider) {
            continue;
        }
        let provider = lease.provider.clone();
        match settle_one(store, providers, clock, lease).await {
            Ok(done) => settled += usize::from(done),
            Err(error) => {
                // Each call would only use up the time that other CI systems' leases need.
                if matches!(&error, SettleError::Ci(error) if error.kind == CiErrorKind::Unavailable) {
                    silent.insert(provider);
                }
                failures.push(error);
            }
        }
    }
    Ok((settled, failures))
}

async fn settle_one<S: PinLeases + FindRun + RecordRun>(
    store: &S,
    providers: &dyn ProviderDirectory,
    clock: &dyn Clock,
    lease: PinLease,
) -> Result<bool, SettleError> {
    match providers.provider(&lease.provider).await {
        Ok(provider) => settle(store, &*provider, clock, lease).await,
        // Nobody can be asked any more: whoever took the provider away has to look after what is pinned there.
        Err(ProviderLookupError::NotConfigured(_)) => {
            store.end_pins(&lease).await?;
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}
