//! [`ProcessProvider`]: the CI port over the runs on this machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{TryStreamExt, future::join_all, stream};
use gatehouse_domain::{
    ci::{
        Build, BuildId, CancelMode, Capabilities, CheckReport, Checkpoint, CiError, CiErrorKind, CiProvider,
        DiscoveredJob, EventStream, Position, ProcessTarget, StartKind, StartRequest, Target,
    },
    clock::Clock,
};
use nix::unistd::{User, geteuid};

use super::{
    directory::RunsDirectory,
    follow::Follower,
    going::{GoingRuns, NewRun, blocking},
    record::{Record, State},
    settle::settle_all,
    spawn::SupervisorCommand,
    supervisor::Order,
};

/// How long a command may take to stop by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// What a [`ProcessProvider`] works with.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// Where runs are kept, in a directory `runs`; created where it is missing.
    pub directory: PathBuf,
    /// The program whose `main` calls [`super::supervisor::dispatch`]: the `gatehouse` command itself.
    pub supervisor: PathBuf,
    /// How long a command may take to stop by itself before it is killed.
    pub grace: Duration,
}

impl ProcessSettings {
    /// Commands have 5 s to stop by themselves, unless `grace` is changed.
    pub fn new(directory: impl Into<PathBuf>, supervisor: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), supervisor: supervisor.into(), grace: GRACE }
    }
}

/// Why a [`ProcessProvider`] cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The runs are in use.
    #[error("another local stack uses this data directory")]
    InUse,
    /// The directory cannot be read or written.
    #[error("cannot use the directory of the runs")]
    Directory(#[source] io::Error),
}

/// Runs commands on this machine. Dropping it ends the runs that go on, as the stack's death does.
pub struct ProcessProvider {
    runs: RunsDirectory,
    supervisor: SupervisorCommand,
    clock: Arc<dyn Clock>,
    going: Arc<GoingRuns>,
}

impl ProcessProvider {
    /// Takes over the runs in the settings' directory: those that were going when an earlier stack stopped
    /// are finished as errored and what is left of them is killed; old finished ones are deleted. Blocks
    /// for as long as that takes.
    pub fn open(settings: ProcessSettings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let runs = RunsDirectory::open(&settings.directory).map_err(OpenError::Directory)?;
        let lock = runs.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse,
            _ => OpenError::Directory(error),
        })?;
        settle_all(&runs, &*clock).map_err(OpenError::Directory)?;
        let supervisor = SupervisorCommand { executable: settings.supervisor, grace: settings.grace };
        Ok(Self { runs, supervisor, clock, going: Arc::new(GoingRuns::new(lock)) })
    }

    /// Ends all runs as the stack's death does, and returns when they have ended: for a clean stop.
    pub async fn stop(&self) {
        let going = self.going.all();
        join_all(going.iter().map(|run| async {
            run.abandon();
            run.ended().await;
        }))
        .await;
    }

    async fn record(&self, operation: &'static str, id: &str) -> Result<Record, CiError> {
        let run = self.runs.run(id).ok_or_else(|| not_found(operation, id))?;
        let record = blocking(move || run.read()).await.map_err(|error| {
            let advice = "the run's record cannot be read or was not written";
            CiError::new(CiErrorKind::Unavailable, operation, advice).caused_by(error)
        })?;
        record.ok_or_else(|| not_found(operation, id))
    }

    /// The record of a run that is about to start.
    async fn new_record(&self, request: &StartRequest<'_>) -> Result<Record, CiError> {
        let (target, environment) = self.inputs(request).await?;
        Ok(Record {
            id: request.id.to_owned(),
            target,
            environment,
            kind: request.kind.clone(),
            created_at: self.clock.now(),
            supervisor: None,
            command: None,
            state: State::Queued,
        })
    }

    /// What a run runs: for a rerun what the earlier one ran, whatever the job says now.
    async fn inputs(
        &self,
        request: &StartRequest<'_>,
    ) -> Result<(ProcessTarget, BTreeMap<String, String>), CiError> {
        match (request.kind, request.target) {
            (StartKind::Rerun { build }, _) => {
                let earlier = self.record("rerun", &build.0).await?;
                Ok((earlier.target, earlier.environment))
            }
            (StartKind::Trigger, Target::Process(target)) => {
                Ok((target.clone(), request.environment.clone()))
            }
            (StartKind::Trigger, Target::Concourse(_)) => Err(CiError::new(
                CiErrorKind::Refused,
                "trigger",
                "the job points at Concourse, not a command",
            )),
        }
    }

    async fn follow(&self, build: &BuildId, after: Option<&Position>) -> Result<Follower, CiError> {
        let missing = || not_found("events", &build.0);
        let run = self.runs.run(&build.0).ok_or_else(missing)?;
        // Asked before the file is read: a run that ends in between has its end in the file.
        let going = self.going.find(&build.0);
        if let Some(going) = &going {
            going.started().await;
        }
        if !run.exists() {
            return Err(missing());
        }
        Follower::open(&run.events(), after, going.map(|going| going.changes()))
    }
}

impl Drop for ProcessProvider {
    fn drop(&mut self) {
        self.going.all().iter().for_each(|run| run.abandon());
    }
}

#[async_trait]
impl CiProvider for ProcessProvider {
    fn capabilities(&self) -> Capabilities {
        Capabilities { parameters: true, live_logs: true, rerun: true, force_cancel: true, discover: false }
    }

    /// Nothing: a run has the id of its start.
    async fn checkpoint(&self, _: &Target) -> Result<Checkpoint, CiError> {
        Ok(Checkpoint::default())
    }

    async fn start(&self, request: &StartRequest<'_>) -> Result<Build, CiError> {
        let Some(run) = self.runs.run(request.id) else {
            let advice = "an id has up to 128 ASCII letters, digits, `_` and `-`";
            return Err(CiError::new(CiErrorKind::Refused, "trigger", advice));
        };
        if self.going.find(request.id).is_some() || !run.exists() {
            let record = self.new_record(request).await?;
            let all = self.going.clone();
            let (supervisor, clock) = (self.supervisor.clone(), self.clock.clone());
            NewRun { run, record, all, supervisor, clock }.start().await;
        }
        // A run whose record could not even be created was never started.
        self.record("trigger", request.id).await.map(Record::into_build)
    }

    async fn started_since(&self, request: &StartRequest<'_>) -> Result<Vec<Build>, CiError> {
        match self.record("trigger", request.id).await {
            Ok(record) => Ok(vec![record.into_build()]),
            Err(error) if error.kind == CiErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn build(&self, _: &Target, build: &BuildId) -> Result<Build, CiError> {
        self.record("get", &build.0).await.map(Record::into_build)
    }

    fn events(self: Arc<Self>, _: Target, build: BuildId, after: Option<Position>) -> EventStream {
        let follow = async move { self.follow(&build, after.as_ref()).await.map(Follower::into_stream) };
        Box::pin(stream::once(follow).try_flatten())
    }

    async fn cancel(&self, _: &Target, build: &BuildId, mode: CancelMode) -> Result<(), CiError> {
        let order = match mode {
            CancelMode::Graceful => Order::Terminate,
            CancelMode::Force => Order::Kill,
        };
        match self.going.find(&build.0) {
            Some(going) => going.order(order).await,
            None => drop(self.record("cancel", &build.0).await?),
        }
        Ok(())
    }

    async fn discover(&self, _: &BTreeSet<String>) -> Result<Vec<DiscoveredJob>, CiError> {
        let advice = "commands on this machine cannot be listed; write the job by hand";
        Err(CiError::new(CiErrorKind::Unsupported, "discover", advice))
    }

    async fn check(&self, _: &[Target]) -> Result<CheckReport, CiError> {
        let user = User::from_uid(geteuid()).ok().flatten();
        let identity = user.map_or_else(|| format!("user {}", geteuid()), |user| user.name);
        Ok(CheckReport { version: None, identity: Some(identity), teams: Vec::new(), problems: Vec::new() })
    }
}

fn not_found(operation: &'static str, id: &str) -> CiError {
    let advice = format!("there is no run `{id}`; of finished ones only the newest are kept");
    CiError::new(CiErrorKind::NotFound, operation, advice)
}
