//! Starting runs that are to take versions of resources: finding the versions, pinning them around the call, and
//! waiting until the build has taken them.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    attempt::{Attempt, HOLD, LOST_FOR_GOOD, Recovering, WAIT_INTERVAL},
    error::{StartError, Started},
    request::{RunRequest, RunRequests},
};
use crate::{
    ci::{
        AskedVersion, Build, CiError, CiErrorKind, CiProvider, PinVersions, Pinned, ResourceVersion, Target,
        VersionFields, WantedVersion,
    },
    clock::Clock,
    runs::{
        pins::{PinLease, PinLeases, observe, settle, unpin},
        run::{FindRun, RecordRun, Run},
    },
    store::StoreError,
};

/// How long a version may take to be found that the CI system does not know yet.
const FIND_WITHIN: Duration = Duration::from_secs(8);

/// How long a build may take to have its inputs before the caller is answered without.
const TAKE_WITHIN: Duration = Duration::from_secs(6);

/// How often either is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How much of an invocation's time is left for pinning and calling when the pipeline is free.
const RESERVE: Duration = Duration::from_secs(8);

/// What is tried, in errors.
const OPERATION: &str = "deliver parameters";

/// Why there is no build to record.
#[derive(Debug)]
pub(super) enum NotStarted {
    Ci(CiError),
    /// Somebody else's run of the pipeline is about to take versions.
    PipelineBusy,
    Store(StoreError),
}

impl NotStarted {
    /// Whether there may be a build all the same.
    pub(super) fn leaves_open(&self) -> bool {
        matches!(self, Self::Ci(error) if error.kind == CiErrorKind::OutcomeUnknown)
    }
}

impl From<CiError> for NotStarted {
    fn from(error: CiError) -> Self {
        Self::Ci(error)
    }
}

impl From<StoreError> for NotStarted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<NotStarted> for StartError {
    fn from(error: NotStarted) -> Self {
        match error {
            NotStarted::Ci(error) => error.into(),
            NotStarted::PipelineBusy => Self::PipelineBusy,
            NotStarted::Store(error) => error.into(),
        }
    }
}

/// Where a request has its lease from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leased {
    /// Nobody had the pipeline, so nothing there is pinned for this request.
    Anew,
    /// An earlier invocation of this very request left it, and may have pinned.
    Resumed,
}

fn refused(advice: String) -> CiError {
    CiError::new(CiErrorKind::Refused, OPERATION, advice)
}

fn written(fields: &VersionFields) -> String {
    fields.iter().map(|(name, value)| format!("`{name}: {value}`")).collect::<Vec<_>>().join(", ")
}

/// Finds the versions that a run is asked to take. Nothing is pinned yet.
pub(super) async fn find(
    provider: &dyn CiProvider,
    clock: &dyn Clock,
    target: &Target,
    asked: &BTreeMap<String, AskedVersion>,
) -> Result<Vec<WantedVersion>, CiError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let pins = provider.pins().ok_or_else(unsupported)?;
    let deadline = clock.now() + FIND_WITHIN;
    let mut found = Vec::new();
    for (resource, asked) in asked {
        let inputs = pins.inputs_of(target, resource).await?;
        if inputs.is_empty() {
            return Err(refused(format!(
                "the job takes nothing from a resource `{resource}`: correct the job"
            )));
        }
        let version = find_version(pins, clock, deadline, (target, resource), &asked.fields).await?;
        let (resource, parameters) = (resource.clone(), asked.parameters.clone());
        found.push(WantedVersion { resource, version, inputs, parameters });
    }
    Ok(found)
}

fn unsupported() -> CiError {
    CiError::new(CiErrorKind::Unsupported, OPERATION, "this CI system pins no versions")
}

async fn find_version(
    pins: &dyn PinVersions,
    clock: &dyn Clock,
    deadline: Timestamp,
    (target, resource): (&Target, &str),
    fields: &VersionFields,
) -> Result<ResourceVersion, CiError> {
    let mut asked = false;
    loop {
        if let Some(version) = pins.find_version(target, resource, fields).await? {
            return Ok(version);
        }
        if !asked {
            pins.look_for(target, resource, fields).await?;
            asked = true;
        } else if clock.now() >= deadline {
            return Err(refused(format!(
                "resource `{resource}` has no version with {}, and looking for it has found none within {} s: say the \
                 value in full as the resource has it, or try again when the check has ended",
                written(fields),
                FIND_WITHIN.as_secs()
            )));
        }
        clock.sleep(LOOK_INTERVAL).await;
    }
}

impl<S: FindRun + RecordRun + RunRequests + PinLeases> Attempt<'_, S> {
    /// Calls the CI system, with what the run is to take pinned. `request` is then as it is held when the call begins.
    pub(super) async fn start(&self, request: &mut RunRequest) -> Result<Build, NotStarted> {
        if request.versions.is_empty() {
            return Ok(self.provider.start(&request.call()).await?);
        }
        let pins = self.provider.pins().ok_or_else(unsupported)?;
        let (lease, origin) = self.take_lease(request).await?;
        if let Err(error) = self.look(pins, &lease, origin).await {
            match origin {
                // Whatever is pinned is somebody's, also when it looks like ours.
                Leased::Anew => self.store.end_pins(&lease).await?,
                // The invocation that died may have pinned, or its call may be carried out later still.
                Leased::Resumed => self.take_back(pins, lease, LOST_FOR_GOOD).await?,
            }
            return Err(error.into());
        }
        if let Err(error) = self.pin(pins, &lease).await {
            self.take_back(pins, lease, LOST_FOR_GOOD).await?;
            return Err(error.into());
        }
        self.renew(pins, &lease, request).await?;
        let outcome = self.provider.start(&request.call()).await;
        match &outcome {
            // The lease waits for the run's record, and for its own end if that does not come.
            Ok(_) => {}
            // A build that comes late is to find its versions pinned.
            Err(error) if error.kind == CiErrorKind::OutcomeUnknown => {
                let changed = PinLease { held_until: self.system.now() + LOST_FOR_GOOD, ..lease.clone() };
                // What goes wrong here must not seem to be the call's outcome, and changes no more than a time.
                drop(self.store.change_pins(&lease, &changed).await);
            }
            Err(_) => self.take_back(pins, lease, Duration::ZERO).await?,
        }
        Ok(outcome?)
    }

    /// Holds the request from this moment on: pinning took its time, and others reckon from the call when a lost build
    /// is certainly none, and from the hold's end that this invocation is dead. Where that fails nothing is called.
    async fn renew(
        &self,
        pins: &dyn PinVersions,
        lease: &PinLease,
        request: &mut RunRequest,
    ) -> Result<(), NotStarted> {
        let failure = match self.hold(request, self.system.now(), Recovering::No).await {
            Ok(Some(held)) => {
                *request = held;
                return Ok(());
            }
            // Whoever has the request now may call, or have called.
            Ok(None) => NotStarted::Ci(CiError::new(
                CiErrorKind::OutcomeUnknown,
                OPERATION,
                "pinning took so long that the request is another invocation's by now",
            )),
            Err(error) => NotStarted::Store(error),
        };
        // Whoever has the request may have the lease too, and its pins look like these: they are taken away only while
        // nobody else can begin to use them.
        let held_until = self.system.now() + HOLD + LOST_FOR_GOOD;
        let ending = PinLease { held_until, settling: true, ..lease.clone() };
        // What goes wrong here must not seem to be the failure: the lease stays then, and is settled when it ends.
        if matches!(self.store.change_pins(lease, &ending).await, Ok(true)) {
            drop(self.take_back(pins, ending, Duration::ZERO).await);
        }
        Err(failure)
    }

    /// Refuses to go on pinning when the caller has to be answered.
    fn in_time(&self) -> Result<(), CiError> {
        if self.system.now() < self.deadline {
            return Ok(());
        }
        let advice = "the CI system took too long over pinning what the run is to take; try again";
        Err(CiError::new(CiErrorKind::Unavailable, OPERATION, advice))
    }

    /// Waits until nobody else pins in the pipeline.
    async fn take_lease(&self, request: &RunRequest) -> Result<(PinLease, Leased), NotStarted> {
        let provider = &self.job.spec.provider;
        let scope = PinLease::scope_of(provider, &request.target).ok_or_else(unsupported)?;
        let versions = request.versions.iter().map(|it| (it.resource.clone(), it.version.clone()));
        let versions: BTreeMap<_, _> = versions.collect();
        loop {
            let now = self.system.now();
            let lease = PinLease {
                scope: scope.clone(),
                provider: provider.clone(),
                target: request.target.clone(),
                versions: versions.clone(),
                request: request.id.clone(),
                build: None,
                run: None,
                settling: false,
                created_at: now,
                // Whoever finds it over knows that this invocation is dead, and that no call of its is still to come.
                held_until: now + HOLD + LOST_FOR_GOOD,
            };
            if self.store.begin_pins(&lease).await? {
                return Ok((lease, Leased::Anew));
            }
            match self.store.find_pins(&scope).await? {
                // An earlier invocation of this very request left it, and is dead: this one has its place. Whoever
                // settles it is not dead, and would unpin what this one pins.
                Some(own) if own.request == request.id && (!own.settling || own.held_until <= now) => {
                    if self.store.change_pins(&own, &lease).await? {
                        return Ok((lease, Leased::Resumed));
                    }
                }
                // What cannot be settled stays in the way, and is tried again until time is over.
                Some(other) => drop(settle(self.store, self.provider, self.system, other).await),
                None => continue,
            }
            if now + RESERVE >= self.deadline {
                return Err(NotStarted::PipelineBusy);
            }
            self.system.sleep(WAIT_INTERVAL).await;
        }
    }

    /// Refuses where somebody has pinned one of the resources: that is theirs.
    async fn look(&self, pins: &dyn PinVersions, lease: &PinLease, origin: Leased) -> Result<(), CiError> {
        for resource in lease.versions.keys() {
            self.in_time()?;
            let pinned = pins.pinned(&lease.target, resource).await?;
            let why = match &pinned {
                Pinned::Nothing => continue,
                pinned if origin == Leased::Resumed && lease.owns(resource, pinned) => continue,
                Pinned::InConfiguration => "in the pipeline's configuration".to_owned(),
                Pinned::To { fields, comment } if comment.is_empty() => format!("to {}", written(fields)),
                Pinned::To { fields, comment } => format!("to {} (\"{comment}\")", written(fields)),
            };
            return Err(refused(format!(
                "resource `{resource}` is pinned {why}, and what somebody has pinned stays so: unpin it, or trigger \
                 without the parameter"
            )));
        }
        Ok(())
    }

    async fn pin(&self, pins: &dyn PinVersions, lease: &PinLease) -> Result<(), CiError> {
        let comment = lease.comment();
        for (resource, version) in &lease.versions {
            self.in_time()?;
            pins.pin(&lease.target, resource, version).await?;
            // Somebody may have pinned it at the same moment, and our comment would make that look like ours.
            if !lease.owns(resource, &pins.pinned(&lease.target, resource).await?) {
                let advice = format!("somebody has just pinned resource `{resource}` otherwise; try again");
                return Err(refused(advice));
            }
            self.in_time()?;
            pins.comment(&lease.target, resource, &comment).await?;
        }
        Ok(())
    }

    /// Takes the pins away of a run that was not started. `once_more_after`: when calls that were lost are over.
    async fn take_back(
        &self,
        pins: &dyn PinVersions,
        lease: PinLease,
        once_more_after: Duration,
    ) -> Result<(), StoreError> {
        let unpinned = unpin(pins, &lease).await.is_ok();
        if unpinned && once_more_after.is_zero() {
            return self.store.end_pins(&lease).await;
        }
        let changed = PinLease { held_until: self.system.now() + once_more_after, ..lease.clone() };
        self.store.change_pins(&lease, &changed).await.map(drop)
    }

    /// Notes in the request's lease which build is to take its versions: whoever sees that it has unpins them. A
    /// failure only means that they are unpinned when the lease ends.
    pub(super) async fn lend(&self, request: &RunRequest, run: &Run) {
        let Some(scope) = PinLease::scope_of(&run.provider, &request.target) else { return };
        if request.versions.is_empty() {
            return;
        }
        if let Ok(Some(lease)) = self.store.find_pins(&scope).await
            && lease.request == request.id
        {
            let (build, id) = (Some(run.build.clone()), Some(run.id.clone()));
            let held_until = self.system.now();
            let lent = PinLease { build, run: id, settling: false, held_until, ..lease.clone() };
            drop(self.store.change_pins(&lease, &lent).await);
        }
    }

    /// Waits a little until the run has what it was given. What is not known by then shows later: the run is there, and
    /// nothing that goes wrong here is to hide it.
    pub(super) async fn with_inputs(&self, started: Started) -> Started {
        let Started { mut run, replayed } = started;
        if run.awaited.is_empty() {
            return Started { run, replayed };
        }
        if replayed && let Ok(Some(recorded)) = self.store.find_run(&run.id).await {
            let Run { parameters, undelivered, awaited, .. } = recorded;
            run = Run { parameters, undelivered, awaited, ..run };
        }
        let deadline = self.system.now() + TAKE_WITHIN;
        loop {
            if let Ok(seen) = observe(self.store, self.provider, self.system, run.clone()).await {
                run = seen;
            }
            if run.awaited.is_empty() || self.system.now() >= deadline.min(self.deadline) {
                return Started { run, replayed };
            }
            self.system.sleep(LOOK_INTERVAL).await;
        }
    }
}
