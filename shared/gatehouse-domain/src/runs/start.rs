//! Starting runs: exactly one build for each request, whatever gets lost on the way.
//!
//! CI systems have no idempotency keys, so Gatehouse keeps its own. A [`RunRequest`] is written before the CI
//! system is called and finished in one transaction with the run's record. When the answer of the call is
//! lost, the build is looked for among those begun since the start's [`Checkpoint`], and adopted by
//! recording it: a build can be recorded once only.
//!
//! Two starts of one job may both be looking. A build that one of them sees may still belong to another
//! start whose call is under way, and whose answer will name it. So a build is adopted only after every
//! start that was open when the build was seen has either finished or come to look for its build too;
//! among starts that are all looking, which of them gets which build makes no difference.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use super::{FindPorts, Run, RunId, ShowRunError, show};
use crate::{
    access::{Endpoint, RERUN_RUN, TRIGGER_RUN},
    audit::{Action, AuditContext, AuditTarget, Entry, Outcome},
    ci::{
        Build, BuildId, Checkpoint, CiError, CiErrorKind, CiProvider, ProviderDirectory, ProviderLookupError,
        StartKind, StartRequest, Target,
    },
    clock::{Clock, IdSource, ordered_id, random_id},
    idempotency::{Fingerprint, IdempotencyKey, RequestKey},
    jobs::{FindJob, Job, ShowJobError},
    name::{JobId, ParameterName, TenantId},
    parameter::{ResolvedParameters, resolve},
    store::StoreError,
    validation::FieldError,
};

/// How long a start belongs to the request that works on it: longer than a request can last, since API
/// Gateway ends them after 29 s.
pub const HOLD: Duration = Duration::from_secs(35);

/// How long one request works on a start, or waits for the one that does, before it answers that the
/// outcome is not known yet: below the 29 s of API Gateway with room for the calls around it.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// How often a waiting request looks whether the other one is done.
const WAIT_INTERVAL: Duration = Duration::from_millis(150);

/// How often a lost build is looked for.
const RECOVERY_INTERVAL: Duration = Duration::from_millis(500);

/// How long after a call without an answer a build that cannot be found was certainly never created: no CI
/// system works on a trigger request for longer.
const LOST_FOR_GOOD: Duration = Duration::from_mins(1);

/// How long a finished start answers repetitions of its request.
pub const REPLAY_FOR: Duration = Duration::from_hours(24);

/// The start of a run, from the request to its record.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRequest {
    /// Under which it is remembered.
    pub key: RequestKey,
    /// Unique; later starts sort behind earlier ones.
    pub id: String,
    /// What was asked for.
    pub fingerprint: Fingerprint,
    /// Whose run it is to be.
    pub job_id: JobId,
    /// How the run is started.
    pub kind: StartKind,
    /// The run whose inputs it takes.
    pub rerun_of: Option<RunId>,
    /// What is run.
    pub target: Target,
    /// The values that were given, for the record.
    pub parameters: BTreeMap<ParameterName, Value>,
    /// Those for the command.
    pub environment: BTreeMap<String, String>,
    /// What the CI system had before.
    pub checkpoint: Checkpoint,
    /// Who asked.
    pub actor: String,
    /// When.
    pub created_at: Timestamp,
    /// How far it is.
    pub state: RunRequestState,
}

/// How far a start is.
#[derive(Debug, Clone, PartialEq)]
pub enum RunRequestState {
    /// A request works on it, or did and died.
    Open {
        /// Which request.
        holder: String,
        /// Until when it belongs to that request.
        held_until: Timestamp,
        /// When the CI system was last called, or is about to be.
        called_at: Timestamp,
        /// Whether its answer was lost, and the build is being looked for.
        recovering: bool,
    },
    /// The run is recorded.
    Finished(Box<Run>),
}

/// Whether a start was written.
#[derive(Debug)]
pub enum BeginOutcome {
    /// It was.
    Begun,
    /// There is one under this key.
    Exists(Box<RunRequest>),
}

/// Whether a start was finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishOutcome {
    /// The run is recorded.
    Finished,
    /// The build is the run of another start.
    BuildTaken,
    /// The start belongs to another request by now.
    HoldLost,
}

/// Keeps starts. Needs `dynamodb:GetItem`, `PutItem`, `UpdateItem`, `DeleteItem` and `Query`.
///
/// Every change is made only while the start belongs to the request that makes it.
#[async_trait]
pub trait RunRequests: Send + Sync {
    /// The start under `key`, strongly consistent. One whose time ended counts as none.
    async fn find_request(&self, key: &RequestKey, now: Timestamp) -> Result<Option<RunRequest>, StoreError>;

    /// Writes a new start, open, with the entry of the trail.
    async fn begin_request(&self, start: &RunRequest, entry: &Entry) -> Result<BeginOutcome, StoreError>;

    /// Changes who works on `start`, and whether its build is looked for, from how `start` says it is;
    /// `false` when it is not so any more.
    async fn hold_request(&self, start: &RunRequest, state: &RunRequestState) -> Result<bool, StoreError>;

    /// Records `run` and finishes `start` with it, in one transaction.
    async fn finish_request(&self, start: &RunRequest, run: &Run) -> Result<FinishOutcome, StoreError>;

    /// Forgets a start that certainly started nothing.
    async fn abandon_request(&self, start: &RunRequest) -> Result<(), StoreError>;

    /// The open starts of a job, strongly consistent.
    async fn open_requests(&self, job: &JobId) -> Result<Vec<RunRequest>, StoreError>;
}

/// What starting a run needs.
pub struct StartPorts<'a> {
    /// Reads the job.
    pub job: &'a dyn FindJob,
    /// Reads the run that is to be run again.
    pub find: FindPorts<'a>,
    /// Keeps the starts.
    pub starts: &'a dyn RunRequests,
    /// Finds the CI systems.
    pub providers: &'a dyn ProviderDirectory,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Makes ids.
    pub ids: &'a dyn IdSource,
}

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
    /// Parameters were refused.
    #[error("the parameters are not what the job takes")]
    Parameters(Vec<FieldError>),
    /// The run that is to be run again still goes on.
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
    /// The key was used for another request.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// Another request with this key is still at work.
    #[error("a request with this Idempotency-Key is still at work")]
    InProgress,
    /// The CI system may or may not have started a run; a repetition with the same key will find out.
    #[error("the CI system's answer was lost: repeat the request with this Idempotency-Key to find out")]
    OutcomeUnknown {
        /// The key, the caller's own or the one that the start got for want of it.
        key: IdempotencyKey,
    },
    /// The store failed.
    #[error("could not record the start")]
    Store(#[from] StoreError),
}

/// Triggers a run of a job with the given parameters.
pub async fn trigger(
    ports: &StartPorts<'_>,
    audit: &AuditContext<'_>,
    job: &JobId,
    parameters: &BTreeMap<String, Value>,
    key: Option<&IdempotencyKey>,
) -> Result<Started, StartError> {
    let job = crate::jobs::show(ports.job, audit.caller, job).await?;
    admit(audit, &TRIGGER_RUN, &job.tenant)?;
    let resolved =
        resolve(&job.spec.parameters, &job.spec.target, parameters).map_err(StartError::Parameters)?;
    let given = serde_json::to_string(parameters).unwrap_or_default();
    let wanted = Wanted {
        fingerprint: Fingerprint::of(&["trigger", job.id.as_str(), &given]),
        kind: StartKind::Trigger,
        rerun_of: None,
        resolved,
        job,
    };
    start(ports, audit, wanted, key).await
}

/// Runs a run again that has ended, with the inputs it had.
pub async fn rerun(
    ports: &StartPorts<'_>,
    audit: &AuditContext<'_>,
    run: &RunId,
    key: Option<&IdempotencyKey>,
) -> Result<Started, StartError> {
    let found = show(&ports.find, audit.caller, run).await?.run;
    admit(audit, &RERUN_RUN, &found.tenant)?;
    if !found.status.is_terminal() {
        return Err(StartError::StillRunning);
    }
    let job = crate::jobs::show(ports.job, audit.caller, &found.job_id).await?;
    // The run's own provider and values count: the job may have been edited since.
    let job = Job {
        spec: crate::jobs::JobSpec { provider: found.provider, target: found.target.clone(), ..job.spec },
        ..job
    };
    let given = found.parameters.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    let environment = resolve(&job.spec.parameters, &job.spec.target, &given);
    let wanted = Wanted {
        fingerprint: Fingerprint::of(&["rerun", run.as_str()]),
        kind: StartKind::Rerun { build: found.build },
        rerun_of: Some(run.clone()),
        resolved: ResolvedParameters {
            values: found.parameters,
            target: found.target,
            environment: environment.map(|resolved| resolved.environment).unwrap_or_default(),
        },
        job,
    };
    start(ports, audit, wanted, key).await
}

fn admit(audit: &AuditContext<'_>, endpoint: &Endpoint, tenant: &TenantId) -> Result<(), StartError> {
    if audit.caller.may_in(endpoint, tenant) { Ok(()) } else { Err(StartError::Forbidden(tenant.clone())) }
}

/// That a run was asked for: the start's record, and the run's once there is one, say what came of it.
fn entry(ports: &StartPorts<'_>, audit: &AuditContext<'_>, job: &Job, start: &RunRequest) -> Entry {
    let audit_target = AuditTarget {
        target: format!("job:{}", job.id),
        tenant: Some(job.tenant.clone()),
        detail: start.rerun_of.as_ref().map(|run| format!("again what run {run} was")),
    };
    audit.entry(ports.clock, ports.ids, Action::TriggerRun, Outcome::Requested, audit_target)
}

/// What is to be started.
struct Wanted {
    job: Job,
    kind: StartKind,
    rerun_of: Option<RunId>,
    resolved: ResolvedParameters,
    fingerprint: Fingerprint,
}

/// One request's work on a start.
struct Attempt<'a> {
    ports: &'a StartPorts<'a>,
    provider: &'a dyn CiProvider,
    job: &'a Job,
    /// Distinguishes this request from others.
    holder: String,
    /// With which a repetition finds this start.
    key: IdempotencyKey,
    /// When this request answers at the latest.
    deadline: Timestamp,
}

async fn start(
    ports: &StartPorts<'_>,
    audit: &AuditContext<'_>,
    wanted: Wanted,
    key: Option<&IdempotencyKey>,
) -> Result<Started, StartError> {
    let provider = ports.providers.provider(&wanted.job.spec.provider).await?;
    if matches!(wanted.kind, StartKind::Rerun { .. }) && !provider.capabilities().rerun {
        return Err(StartError::RerunUnsupported);
    }
    let now = ports.clock.now();
    let attempt = Attempt {
        ports,
        provider: &*provider,
        job: &wanted.job,
        holder: random_id(ports.ids, "req"),
        key: key.cloned().unwrap_or_else(|| IdempotencyKey::generate(ports.ids)),
        deadline: now + ANSWER_WITHIN,
    };
    let id = ordered_id(ports.ids, now, "run");
    let actor = audit.caller.actor();
    let start_key = RequestKey::of(&actor, &attempt.key);
    if key.is_some()
        && let Some(existing) = ports.starts.find_request(&start_key, now).await?
    {
        return attempt.join(existing, &wanted.fingerprint).await;
    }
    let checkpoint = provider.checkpoint(&wanted.resolved.target).await?;
    let begun = RunRequest {
        key: start_key,
        id,
        fingerprint: wanted.fingerprint,
        job_id: wanted.job.id.clone(),
        kind: wanted.kind,
        rerun_of: wanted.rerun_of,
        target: wanted.resolved.target,
        parameters: wanted.resolved.values,
        environment: wanted.resolved.environment,
        checkpoint,
        actor,
        created_at: now,
        state: attempt.open(now, Recovering::No),
    };
    let entry = entry(ports, audit, &wanted.job, &begun);
    match ports.starts.begin_request(&begun, &entry).await? {
        BeginOutcome::Begun => attempt.call(begun).await,
        BeginOutcome::Exists(existing) => attempt.join(*existing, &begun.fingerprint).await,
    }
}

/// Whether a start's build is being looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recovering {
    No,
    Yes,
}

/// What came of looking for a lost build.
enum Adoption {
    /// It was found.
    Done(Box<Started>),
    /// No build is there that is not the run of another start.
    NothingFree,
    /// A build is there that may belong to a start which still waits for its answer.
    TooEarly,
}

impl Attempt<'_> {
    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    fn unknown(&self) -> StartError {
        StartError::OutcomeUnknown { key: self.key.clone() }
    }

    fn open(&self, called_at: Timestamp, recovering: Recovering) -> RunRequestState {
        RunRequestState::Open {
            holder: self.holder.clone(),
            held_until: self.now() + HOLD,
            called_at,
            recovering: recovering == Recovering::Yes,
        }
    }

    /// Answers a repetition: with what came of the first request, or by taking its place when it died.
    async fn join(&self, mut existing: RunRequest, fingerprint: &Fingerprint) -> Result<Started, StartError> {
        loop {
            if existing.fingerprint != *fingerprint {
                return Err(StartError::KeyReused);
            }
            match &existing.state {
                RunRequestState::Finished(run) => {
                    return Ok(Started { run: (**run).clone(), replayed: true });
                }
                RunRequestState::Open { held_until, called_at, .. } if *held_until <= self.now() => {
                    if let Some(held) = self.hold(&existing, *called_at, Recovering::Yes).await? {
                        return self.recover(held).await;
                    }
                }
                RunRequestState::Open { .. } if self.now() >= self.deadline => {
                    return Err(StartError::InProgress);
                }
                RunRequestState::Open { .. } => self.ports.clock.sleep(WAIT_INTERVAL).await,
            }
            let now = self.now();
            // Gone means that the first request started nothing and said so; so does this one.
            let Some(next) = self.ports.starts.find_request(&existing.key, now).await? else {
                return Err(StartError::InProgress);
            };
            existing = next;
        }
    }

    /// Makes `start` belong to this request; `None` when another one was faster.
    async fn hold(
        &self,
        start: &RunRequest,
        called_at: Timestamp,
        recovering: Recovering,
    ) -> Result<Option<RunRequest>, StoreError> {
        let state = self.open(called_at, recovering);
        let held = self.ports.starts.hold_request(start, &state).await?;
        Ok(held.then(|| RunRequest { state, ..start.clone() }))
    }

    /// Gives `start` back so that a repetition need not wait for the hold to end.
    async fn release(&self, start: &RunRequest) -> Result<(), StoreError> {
        let state = RunRequestState::Open {
            holder: self.holder.clone(),
            held_until: self.now(),
            called_at: called_at(start),
            recovering: true,
        };
        self.ports.starts.hold_request(start, &state).await.map(drop)
    }

    /// Calls the CI system.
    async fn call(&self, start: RunRequest) -> Result<Started, StartError> {
        match self.provider.start(&request(&start)).await {
            Ok(build) => match self.finish(&start, build).await? {
                Some(started) => Ok(started),
                None => self.begin_recovery(start).await,
            },
            Err(error) if error.kind == CiErrorKind::OutcomeUnknown => self.begin_recovery(start).await,
            Err(error) => {
                self.ports.starts.abandon_request(&start).await?;
                Err(error.into())
            }
        }
    }

    async fn begin_recovery(&self, start: RunRequest) -> Result<Started, StartError> {
        match self.hold(&start, called_at(&start), Recovering::Yes).await? {
            Some(held) => self.recover(held).await,
            None => Err(self.unknown()),
        }
    }

    /// Records the run; `None` when the build is another start's.
    async fn finish(&self, start: &RunRequest, build: Build) -> Result<Option<Started>, StartError> {
        let run = Run {
            parameters: start.parameters.clone(),
            triggered_by: Some(start.actor.clone()),
            rerun_of: start.rerun_of.clone(),
            created_at: start.created_at,
            ..Run::of_build(self.job, build, start.created_at)
        };
        match self.ports.starts.finish_request(start, &run).await? {
            FinishOutcome::Finished => Ok(Some(Started { run, replayed: false })),
            FinishOutcome::BuildTaken => Ok(None),
            FinishOutcome::HoldLost => Err(self.unknown()),
        }
    }

    /// Looks for the build that `start` may have begun, and adopts it.
    async fn recover(&self, start: RunRequest) -> Result<Started, StartError> {
        while self.now() < self.deadline {
            // First the builds, then the starts: whoever began a build that is seen here was open before.
            if let Ok(builds) = self.provider.started_since(&request(&start)).await {
                match self.adopt(&start, builds).await? {
                    Adoption::Done(started) => return Ok(*started),
                    Adoption::NothingFree if called_at(&start) + LOST_FOR_GOOD <= self.now() => {
                        return self.call_again(start).await;
                    }
                    Adoption::NothingFree | Adoption::TooEarly => {}
                }
            }
            self.ports.clock.sleep(RECOVERY_INTERVAL).await;
        }
        self.release(&start).await?;
        Err(self.unknown())
    }

    async fn adopt(&self, start: &RunRequest, builds: Vec<Build>) -> Result<Adoption, StartError> {
        if !builds.is_empty() && self.others_under_way(start).await? {
            return Ok(Adoption::TooEarly);
        }
        for build in builds {
            if let Some(started) = self.finish(start, build).await? {
                return Ok(Adoption::Done(Box::new(started)));
            }
        }
        Ok(Adoption::NothingFree)
    }

    /// Whether another start of the job still waits for the CI system's answer.
    async fn others_under_way(&self, start: &RunRequest) -> Result<bool, StoreError> {
        let now = self.now();
        let open = self.ports.starts.open_requests(&start.job_id).await?;
        Ok(open.iter().any(|other| match &other.state {
            RunRequestState::Open { held_until, recovering, .. } => {
                other.key != start.key && !recovering && *held_until > now
            }
            RunRequestState::Finished(_) => false,
        }))
    }

    /// Calls once more, long after a call that certainly began nothing; its answer must not be lost again.
    async fn call_again(&self, start: RunRequest) -> Result<Started, StartError> {
        let Some(start) = self.hold(&start, self.now(), Recovering::No).await? else {
            return Err(self.unknown());
        };
        match self.provider.start(&request(&start)).await {
            Ok(build) => self.finish(&start, build).await?.ok_or_else(|| self.unknown()),
            Err(error) => {
                self.release(&start).await?;
                match error.kind {
                    CiErrorKind::OutcomeUnknown => Err(self.unknown()),
                    _ => Err(error.into()),
                }
            }
        }
    }
}

/// When the CI system was last called for `start`.
fn called_at(start: &RunRequest) -> Timestamp {
    match start.state {
        RunRequestState::Open { called_at, .. } => called_at,
        RunRequestState::Finished(_) => start.created_at,
    }
}

fn request(start: &RunRequest) -> StartRequest<'_> {
    StartRequest {
        id: &start.id,
        target: &start.target,
        kind: &start.kind,
        environment: &start.environment,
        checkpoint: &start.checkpoint,
    }
}

impl StartKind {
    /// The earlier build, when there is one.
    pub fn rerun_of(&self) -> Option<&BuildId> {
        match self {
            Self::Trigger => None,
            Self::Rerun { build } => Some(build),
        }
    }
}
