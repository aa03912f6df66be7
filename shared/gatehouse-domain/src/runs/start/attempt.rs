//! One invocation's work on a request: calling the CI system, waiting for whoever does, recovering.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use super::{
    error::{StartError, Started},
    request::{FinishOutcome, RunRequest, RunRequestState, RunRequests},
};
use crate::{
    ci::{Build, CiProvider},
    clock::{System, random_id},
    idempotency::{Fingerprint, IdempotencyKey},
    jobs::Job,
    runs::{
        RunId,
        pins::PinLeases,
        run::{FindRun, RecordRun, Run},
    },
    scopes::ScopeClosed,
    store::StoreError,
};

/// How long a request belongs to the invocation that works on it: longer than an invocation can last, since
/// API Gateway ends them after 29 s. So whoever finds the hold over knows that the holder is dead, and that
/// no call of its is still to come.
pub const HOLD: Duration = Duration::from_secs(35);

/// How long one invocation works on a request, or waits for the one that does, before it answers that the
/// outcome is not known yet: below the 29 s of API Gateway with room for the calls around it.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// How often a waiting invocation looks whether the other one is done.
pub(super) const WAIT_INTERVAL: Duration = Duration::from_millis(150);

/// How often a lost build is searched for.
const RECOVERY_INTERVAL: Duration = Duration::from_millis(500);

/// How long after a call without an answer a build that cannot be found was certainly never created: no CI
/// system works on a trigger request for longer.
pub(super) const LOST_FOR_GOOD: Duration = Duration::from_mins(1);

pub(super) struct Attempt<'a, S> {
    pub(super) store: &'a S,
    pub(super) system: &'a dyn System,
    pub(super) provider: &'a dyn CiProvider,
    pub(super) job: &'a Job,
    /// Why the CI system must not be called, if so.
    closed: Option<&'a ScopeClosed>,
    /// Distinguishes this invocation from others.
    holder: String,
    /// With which a repetition finds the request: the caller's, or one that the answer hands out.
    pub(super) key: IdempotencyKey,
    /// When this invocation answers at the latest.
    pub(super) deadline: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovering {
    No,
    Yes,
}

/// What came of looking through the builds that a lost call may have started.
enum Adoption {
    Done(Box<Started>),
    /// No build is there that is not the run of another request.
    NothingFree,
    /// A build is there that may belong to another open request.
    TooEarly,
}

/// The other requests for a job that have neither a run nor a refusal.
struct Competitors {
    open: usize,
    /// Whether one of them waits for the CI system's answer, which will name its build.
    await_answers: bool,
}

impl<'a, S: FindRun + RecordRun + RunRequests + PinLeases> Attempt<'a, S> {
    pub(super) fn new(
        store: &'a S,
        system: &'a dyn System,
        provider: &'a dyn CiProvider,
        job: &'a Job,
        closed: Option<&'a ScopeClosed>,
        key: Option<&IdempotencyKey>,
    ) -> Self {
        let holder = random_id(system, "req");
        let key = key.cloned().unwrap_or_else(|| IdempotencyKey::generate(system));
        Self { store, system, provider, job, closed, holder, key, deadline: system.now() + ANSWER_WITHIN }
    }

    fn unknown(&self) -> StartError {
        StartError::OutcomeUnknown { key: self.key.clone() }
    }

    pub(super) fn open(&self, called_at: Timestamp, recovering: Recovering) -> RunRequestState {
        RunRequestState::Open {
            holder: self.holder.clone(),
            held_until: self.system.now() + HOLD,
            called_at,
            recovering: recovering == Recovering::Yes,
        }
    }

    /// Answers a repetition: with what came of the first request, or by taking its place when it died.
    ///
    /// # Errors
    ///
    /// [`StartError::InProgress`] when the first is at work for longer than this invocation can wait.
    pub(super) async fn join(
        &self,
        mut existing: RunRequest,
        fingerprint: &Fingerprint,
    ) -> Result<Started, StartError> {
        loop {
            if existing.fingerprint != *fingerprint {
                return Err(StartError::KeyReused);
            }
            match &existing.state {
                RunRequestState::Finished { run } => {
                    return Ok(Started { run: (**run).clone(), replayed: true });
                }
                // The holder died between its call and the record, or before the call: nobody knows. So the
                // build is searched for first, and the CI system called again only when there is none.
                RunRequestState::Open { held_until, called_at, .. } if *held_until <= self.system.now() => {
                    if let Some(held) = self.hold(&existing, *called_at, Recovering::Yes).await? {
                        return self.recover(held).await;
                    }
                }
                RunRequestState::Open { .. } if self.system.now() >= self.deadline => {
                    return Err(StartError::InProgress);
                }
                RunRequestState::Open { .. } => self.system.sleep(WAIT_INTERVAL).await,
            }
            // Gone means that the first request started nothing and answered so; so does this one.
            let Some(next) = self.store.find_request(&existing.key, self.system.now()).await? else {
                return Err(StartError::InProgress);
            };
            existing = next;
        }
    }

    /// Makes `request` belong to this invocation; `None` when another one was faster.
    pub(super) async fn hold(
        &self,
        request: &RunRequest,
        called_at: Timestamp,
        recovering: Recovering,
    ) -> Result<Option<RunRequest>, StoreError> {
        let state = self.open(called_at, recovering);
        let held = self.store.hold_request(request, &state).await?;
        Ok(held.then(|| RunRequest { state, ..request.clone() }))
    }

    /// Gives `request` back so that a repetition need not wait for the hold to end. It stays recovering:
    /// others need not wait for this call's answer, which will not come any more.
    async fn release(&self, request: &RunRequest) -> Result<(), StoreError> {
        let state = RunRequestState::Open {
            holder: self.holder.clone(),
            held_until: self.system.now(),
            called_at: request.called_at(),
            recovering: true,
        };
        // Refused means that somebody else has it by now, who may keep it.
        self.store.hold_request(request, &state).await.map(drop)
    }

    /// Calls the CI system, for the first time. What few starts need is boxed, so that the others' state stays small.
    pub(super) async fn call(&self, mut request: RunRequest) -> Result<Started, StartError> {
        let outcome = Box::pin(self.start(&mut request)).await;
        match outcome {
            Ok(build) => match self.finish(&request, build).await? {
                Some(started) => Ok(started),
                // Somebody adopted the build that was ours, which only one who lost a build of their own does:
                // then that one is free for us.
                None => self.begin_recovery(request).await,
            },
            Err(error) if error.leaves_open() => self.begin_recovery(request).await,
            // Every other error promises that nothing was started: the key may be used again at once.
            Err(error) => {
                self.store.abandon_request(&request).await?;
                Err(error.into())
            }
        }
    }

    /// Records that the answer was lost before the search begins: others who search may adopt builds only
    /// when nobody's answer is still to come.
    async fn begin_recovery(&self, request: RunRequest) -> Result<Started, StartError> {
        match self.hold(&request, request.called_at(), Recovering::Yes).await? {
            Some(held) => self.recover(held).await,
            None => Err(self.unknown()),
        }
    }

    /// Records the run; `None` when the build is another request's. The record is what makes a build ours:
    /// its key is the build's, and only one can be written.
    async fn finish(&self, request: &RunRequest, build: Build) -> Result<Option<Started>, StartError> {
        let run = Run {
            parameters: request.parameters.clone(),
            undelivered: request.undelivered.clone(),
            awaited: request.versions.clone(),
            triggered_by: Some(request.actor.clone()),
            rerun_of: request.rerun_of.clone(),
            created_at: request.created_at,
            ..Run::of_build(self.job, build, request.created_at)
        };
        match self.store.finish_request(request, &run).await? {
            FinishOutcome::Finished => {
                self.lend(request, &run).await;
                Ok(Some(Started { run, replayed: false }))
            }
            FinishOutcome::BuildTaken => Ok(None),
            // This invocation was slower than its hold. Whoever took over finishes the request, perhaps with
            // this very build; a repetition is answered with it.
            FinishOutcome::HoldLost => Err(self.unknown()),
        }
    }

    /// Searches for the build that `request` may have started, and adopts it.
    ///
    /// # Errors
    ///
    /// [`StartError::OutcomeUnknown`] when this invocation's time ends before it is known.
    async fn recover(&self, request: RunRequest) -> Result<Started, StartError> {
        while self.system.now() < self.deadline {
            // First the builds, then the requests: whoever began a build that is seen here was open before, and
            // so is either still open when the requests are read, or has recorded its build.
            if let Ok(builds) = self.provider.started_since(&request.call()).await {
                match self.adopt(&request, builds).await? {
                    Adoption::Done(started) => return Ok(*started),
                    Adoption::NothingFree if request.called_at() + LOST_FOR_GOOD <= self.system.now() => {
                        return self.call_again(request).await;
                    }
                    // A call whose answer was lost may be carried out later still.
                    Adoption::NothingFree | Adoption::TooEarly => {}
                }
            }
            self.system.sleep(RECOVERY_INTERVAL).await;
        }
        self.release(&request).await?;
        Err(self.unknown())
    }

    async fn adopt(&self, request: &RunRequest, builds: Vec<Build>) -> Result<Adoption, StartError> {
        if builds.is_empty() {
            return Ok(Adoption::NothingFree);
        }
        let others = self.competitors(request).await?;
        let ours_is_visible = request.called_at() + LOST_FOR_GOOD <= self.system.now();
        // Whichever of several takes another one's build may leave its own behind: that one may become visible only
        // after the other has given up on it, or lie before the other's checkpoint. That cannot happen any more when
        // our own must be visible, or when there is a build for each.
        if others.await_answers
            || (others.open > 0 && !ours_is_visible && self.count_unrecorded(&builds).await? <= others.open)
        {
            return Ok(Adoption::TooEarly);
        }
        // The oldest first, since those who began later may not see it. Those that are recorded already are refused
        // by the table one by one.
        for build in builds {
            if let Some(started) = self.finish(request, build).await? {
                return Ok(Adoption::Done(Box::new(started)));
            }
        }
        Ok(Adoption::NothingFree)
    }

    async fn competitors(&self, request: &RunRequest) -> Result<Competitors, StoreError> {
        let now = self.system.now();
        let requests = self.store.open_requests(&request.job_id).await?;
        let mut others = Competitors { open: 0, await_answers: false };
        for other in requests.iter().filter(|other| other.key != request.key) {
            if let RunRequestState::Open { held_until, recovering, .. } = &other.state {
                others.open += 1;
                // One whose hold is over waits no more: its invocation is dead, and whoever takes it over recovers.
                others.await_answers |= !recovering && *held_until > now;
            }
        }
        Ok(others)
    }

    /// How many of these builds are not the run of a request.
    async fn count_unrecorded(&self, builds: &[Build]) -> Result<usize, StoreError> {
        let provider = &self.job.spec.provider;
        let ids: BTreeSet<_> = builds.iter().map(|build| RunId::of_build(provider, build)).collect();
        Ok(ids.len() - self.store.find_runs(&ids).await?.len())
    }

    /// Refuses where the job's tenant may not use what it points into, or not any more.
    pub(super) fn admit(&self) -> Result<(), ScopeClosed> {
        self.closed.map_or(Ok(()), |closed| Err(closed.clone()))
    }

    /// Calls once more, long after a call that certainly began nothing.
    async fn call_again(&self, request: RunRequest) -> Result<Started, StartError> {
        if let Err(closed) = self.admit() {
            self.release(&request).await?;
            return Err(closed.into());
        }
        // Not recovering any more, and called now: for others this call is under way like a first one.
        let Some(mut request) = self.hold(&request, self.system.now(), Recovering::No).await? else {
            return Err(self.unknown());
        };
        let outcome = Box::pin(self.start(&mut request)).await;
        match outcome {
            Ok(build) => self.finish(&request, build).await?.ok_or_else(|| self.unknown()),
            // Not abandoned, whatever the error: the first call's outcome was never known for certain, so the
            // key must keep leading here.
            Err(error) => {
                self.release(&request).await?;
                if error.leaves_open() { Err(self.unknown()) } else { Err(error.into()) }
            }
        }
    }
}
