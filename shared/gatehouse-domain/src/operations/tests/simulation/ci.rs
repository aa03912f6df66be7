//! A CI system whose jobs deploy, and the records of its runs: with the faults that both have.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use super::world::{Fate, World};
use crate::{
    audit::{AppendAudit, Entry},
    ci::{
        Build, BuildId, CancelMode, Capabilities, CheckReport, Checkpoint, CiError, CiErrorKind, CiProvider,
        ConcourseTarget, Delivery, DiscoveredJob, EventStream, Position, ProviderDirectory,
        ProviderLookupError, RunStatus, StartRequest, Target, TargetUse,
    },
    idempotency::RequestKey,
    jobs::{FindJob, FindJobsByTarget, Job, JobSpec},
    name::{JobId, ProviderName},
    parameter::{ParameterSpec, ParameterType},
    providers::{FindProvider, Provider},
    runs::{
        FindRun, RecordRun, Run, RunId,
        pins::{PinLease, PinLeases},
        start::{
            BeginOutcome, FinishOutcome, RunRequest, RunRequestState, RunRequests,
            tests::memory::{self, RunItems},
        },
    },
    store::StoreError,
    tenant::{CountTenants, Population},
};

/// The job that deploys, and the instance variable that takes the version.
pub(super) const JOB: &str = "job_deploy";
const VERSION: &str = "version";

/// The runs and what is asked of them, as the table keeps them; and the builds, as the CI system does.
#[derive(Default)]
pub(super) struct Records {
    items: RunItems,
    builds: Vec<PretendBuild>,
}

/// A build that ends by itself.
struct PretendBuild {
    target: Target,
    started_at: Timestamp,
    ends_at: Timestamp,
    ends: RunStatus,
}

impl Records {
    fn build(&self, place: usize, now: Timestamp) -> Build {
        let PretendBuild { target, started_at, ends_at, ends } = &self.builds[place];
        let ended = *ends_at <= now;
        let status = if ended { *ends } else { RunStatus::Running };
        Build {
            id: BuildId((place + 1).to_string()),
            target: target.clone(),
            status,
            provider_status: status.as_str().to_owned(),
            reason: None,
            started_at: Some(*started_at),
            finished_at: ended.then_some(*ends_at),
            web_url: None,
            number: Some((place + 1).to_string()),
        }
    }

    fn place(&self, id: &BuildId) -> Option<usize> {
        let number: usize = id.0.parse().ok()?;
        number.checked_sub(1).filter(|place| *place < self.builds.len())
    }

    /// How the builds that deploy a version stand.
    pub(super) fn of_version(&self, version: &str, now: Timestamp) -> Vec<RunStatus> {
        let places = 0..self.builds.len();
        let builds = places.map(|place| self.build(place, now)).filter(|build| match &build.target {
            Target::Concourse(target) => target.vars.get(VERSION).is_some_and(|is| is == version),
            Target::Process(_) => false,
        });
        builds.map(|build| build.status).collect()
    }
}

fn job() -> Job {
    let spec = JobSpec {
        project: "payments".parse().unwrap(),
        display_name: "Deploy".to_owned(),
        description: None,
        environment: None,
        provider: "concourse".parse().unwrap(),
        target: Target::Concourse(ConcourseTarget {
            team: "main".to_owned(),
            pipeline: "shop".to_owned(),
            job: "deploy".to_owned(),
            vars: serde_json::Map::new(),
        }),
        parameters: vec![ParameterSpec {
            name: VERSION.parse().unwrap(),
            kind: ParameterType::String,
            required: true,
            default: None,
            description: None,
            deliver: Delivery::InstanceVar { name: VERSION.to_owned() },
        }],
        undeclared: None,
    };
    memory::job(JOB, spec)
}

#[async_trait]
impl FindJob for World {
    async fn find_job(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        self.store(|_| Some(job()).filter(|job| job.id == *id)).await
    }
}

#[async_trait]
impl FindJobsByTarget for World {
    async fn jobs_with_target(&self, _: &ProviderName, _: &Target) -> Result<Vec<Job>, StoreError> {
        self.store(|_| vec![job()]).await
    }
}

#[async_trait]
impl FindProvider for World {
    async fn find_provider(&self, _name: &ProviderName) -> Result<Option<Provider>, StoreError> {
        self.store(|_| Some(memory::provider())).await
    }
}

#[async_trait]
impl CountTenants for World {
    async fn population(&self) -> Result<Population, StoreError> {
        self.store(|_| Population::Several).await
    }
}

#[async_trait]
impl AppendAudit for World {
    async fn append_audit(&self, entry: &Entry) -> Result<(), StoreError> {
        self.store(|items| items.trail.push(entry.clone())).await
    }
}

#[async_trait]
impl FindRun for World {
    async fn find_run(&self, id: &RunId) -> Result<Option<Run>, StoreError> {
        self.store(|_| self.records().items.runs.get(id).cloned()).await
    }

    async fn find_runs(&self, ids: &BTreeSet<RunId>) -> Result<Vec<Run>, StoreError> {
        self.store(|_| self.records().items.runs_of(ids)).await
    }
}

#[async_trait]
impl RecordRun for World {
    async fn record_observation(&self, run: &Run) -> Result<(), StoreError> {
        self.store(|_| {
            let mut records = self.records();
            let stored = records.items.runs.get_mut(&run.id).filter(|stored| !stored.status.is_terminal());
            if let Some(stored) = stored {
                let cancel_requested_at = stored.cancel_requested_at;
                *stored = Run { cancel_requested_at, ..run.clone() };
            }
        })
        .await
    }

    async fn record_delivery(&self, _: &Run) -> Result<(), StoreError> {
        unreachable!("the job pins nothing")
    }

    async fn record_cancel_request(&self, run: &Run) -> Result<(), StoreError> {
        self.store(|_| {
            let mut records = self.records();
            let stored = records.items.runs.entry(run.id.clone()).or_insert_with(|| run.clone());
            if !stored.status.is_terminal() {
                stored.cancel_requested_at = stored.cancel_requested_at.or(run.cancel_requested_at);
                stored.status = run.status;
            }
        })
        .await
    }
}

#[async_trait]
impl PinLeases for World {
    async fn begin_pins(&self, _: &PinLease) -> Result<bool, StoreError> {
        unreachable!("the job pins nothing")
    }

    async fn find_pins(&self, _: &str) -> Result<Option<PinLease>, StoreError> {
        Ok(None)
    }

    async fn change_pins(&self, _: &PinLease, _: &PinLease) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn end_pins(&self, _: &PinLease) -> Result<(), StoreError> {
        Ok(())
    }

    async fn open_pins(&self) -> Result<Vec<PinLease>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl RunRequests for World {
    async fn find_request(&self, key: &RequestKey, _: Timestamp) -> Result<Option<RunRequest>, StoreError> {
        self.store(|_| self.records().items.request(key)).await
    }

    async fn begin_request(&self, request: &RunRequest, entry: &Entry) -> Result<BeginOutcome, StoreError> {
        self.store(|items| {
            let begun = self.records().items.begin(request);
            if matches!(begun, BeginOutcome::Begun) {
                items.trail.push(entry.clone());
            }
            begun
        })
        .await
    }

    async fn hold_request(&self, request: &RunRequest, state: &RunRequestState) -> Result<bool, StoreError> {
        self.store(|_| self.records().items.hold(request, state)).await
    }

    async fn finish_request(&self, request: &RunRequest, run: &Run) -> Result<FinishOutcome, StoreError> {
        self.store(|_| self.records().items.finish(request, run)).await
    }

    async fn abandon_request(&self, request: &RunRequest) -> Result<(), StoreError> {
        self.store(|_| self.records().items.abandon(request)).await
    }

    async fn open_requests(&self, job: &JobId) -> Result<Vec<RunRequest>, StoreError> {
        self.store(|_| self.records().items.open(job)).await
    }
}

/// The CI system, as the deployer reaches it.
pub(super) struct PretendCi(pub Arc<World>);

#[async_trait]
impl ProviderDirectory for PretendCi {
    async fn provider(&self, _name: &ProviderName) -> Result<Arc<dyn CiProvider>, ProviderLookupError> {
        Ok(Arc::new(Self(self.0.clone())))
    }
}

fn error(kind: CiErrorKind) -> CiError {
    CiError::new(kind, "ask", "the CI system does not answer")
}

impl PretendCi {
    async fn ask<T: Send>(&self, act: impl FnOnce(&World) -> T + Send) -> Result<T, CiError> {
        let asked = self.0.call(|| act(&self.0)).await;
        asked.ok_or_else(|| error(CiErrorKind::Unavailable))
    }

    fn begin(&self, target: &Target) -> Build {
        let world = &self.0;
        let takes = Duration::from_secs(world.executor.below(900));
        let ends = if world.executor.once_in(4) { RunStatus::Failed } else { RunStatus::Succeeded };
        let now = world.executor.now();
        let mut records = world.records();
        records.builds.push(PretendBuild {
            target: target.clone(),
            started_at: now,
            ends_at: now + takes,
            ends,
        });
        records.build(records.builds.len() - 1, now)
    }
}

#[async_trait]
impl CiProvider for PretendCi {
    fn capabilities(&self) -> Capabilities {
        Capabilities { parameters: true, live_logs: true, rerun: true, force_cancel: false, discover: false }
    }

    async fn checkpoint(&self, _target: &Target) -> Result<Checkpoint, CiError> {
        self.ask(|world| Checkpoint(world.records().builds.len().to_string())).await
    }

    async fn start(&self, request: &StartRequest<'_>) -> Result<Build, CiError> {
        let world = &self.0;
        let fate = world.fate();
        world.travel().await;
        if fate == Fate::LostBefore {
            // Sometimes it is certain that the call never arrived.
            let certain = world.executor.once_in(2);
            return Err(error(if certain { CiErrorKind::Unavailable } else { CiErrorKind::OutcomeUnknown }));
        }
        let build = self.begin(request.target);
        world.travel().await;
        if fate == Fate::Fine { Ok(build) } else { Err(error(CiErrorKind::OutcomeUnknown)) }
    }

    async fn started_since(&self, request: &StartRequest<'_>) -> Result<Vec<Build>, CiError> {
        let before: usize = request.checkpoint.0.parse().unwrap();
        self.ask(|world| {
            let (records, now) = (world.records(), world.executor.now());
            let places = before..records.builds.len();
            let alike = |build: &Build| build.target == *request.target;
            places.map(|place| records.build(place, now)).filter(alike).collect()
        })
        .await
    }

    async fn build(&self, _target: &Target, build: &BuildId) -> Result<Build, CiError> {
        let found = self.ask(|world| {
            let records = world.records();
            records.place(build).map(|place| records.build(place, world.executor.now()))
        });
        found.await?.ok_or_else(|| error(CiErrorKind::NotFound))
    }

    fn events(self: Arc<Self>, _target: Target, _build: BuildId, _after: Option<Position>) -> EventStream {
        unreachable!("the deployer reads no events")
    }

    async fn cancel(&self, _target: &Target, build: &BuildId, _mode: CancelMode) -> Result<(), CiError> {
        self.ask(|world| {
            let (mut records, now) = (world.records(), world.executor.now());
            let place = records.place(build);
            if let Some(running) =
                place.map(|place| &mut records.builds[place]).filter(|build| build.ends_at > now)
            {
                running.ends = RunStatus::Cancelled;
                running.ends_at = running.ends_at.min(now + Duration::from_secs(20));
                world.saw("a run was cancelled");
            }
        })
        .await
    }

    async fn discover(&self, _scopes: &BTreeSet<String>) -> Result<Vec<DiscoveredJob>, CiError> {
        unreachable!("the deployer discovers nothing")
    }

    async fn check(&self, _uses: &[TargetUse]) -> Result<CheckReport, CiError> {
        unreachable!("the deployer checks nothing")
    }
}
