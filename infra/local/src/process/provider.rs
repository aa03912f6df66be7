//! [`ProcessProvider`]: the CI port over the runs on this machine.

use std::{collections::BTreeSet, io, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{TryStreamExt, future::join_all, stream};
use gatehouse_domain::{
    ci::{
        Build, BuildId, CancelMode, Capabilities, CheckReport, Checkpoint, CiError, CiErrorKind, CiProvider,
        DiscoveredJob, EventStream, Position, RunStatus, StartKind, StartRequest, Target, TargetUse,
    },
    clock::Clock,
};
use nix::unistd::{User, geteuid};

use super::{
    active::{ActiveRuns, Order, blocking},
    directory::RunsDirectory,
    log,
    record::Record,
    settle::{Watcher, settle_all},
};

/// How long a command may take to stop by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// Where runs are kept, in a directory `runs`; created where it is missing.
    pub directory: PathBuf,
    /// The `gatehouse` program itself, which has the sub-command [`super::WATCHER`].
    pub program: PathBuf,
    /// How long a command may take to stop by itself before it is killed.
    pub grace: Duration,
}

impl ProcessSettings {
    /// Commands have 5 s to stop by themselves, unless `grace` is changed.
    pub fn new(directory: impl Into<PathBuf>, program: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), program: program.into(), grace: GRACE }
    }
}

/// Why a [`ProcessProvider`] cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("another local stack uses this data directory")]
    InUse,
    #[error("cannot use the directory of the runs")]
    Directory(#[source] io::Error),
    #[error("cannot start the process that ends the runs if the stack is killed")]
    Watcher(#[source] io::Error),
}

/// Runs commands on this machine. Dropping it ends the active runs, as [`ProcessProvider::stop`] does.
pub struct ProcessProvider {
    runs: RunsDirectory,
    grace: Duration,
    clock: Arc<dyn Clock>,
    active: Arc<ActiveRuns>,
}

impl ProcessProvider {
    /// Takes over the runs in the settings' directory: those that were active when an earlier stack was
    /// killed are finished as errored, and what is left of them is killed; old finished ones are deleted.
    /// Blocks for as long as that takes.
    pub fn open(settings: &ProcessSettings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let runs = RunsDirectory::open(&settings.directory).map_err(OpenError::Directory)?;
        let lock = runs.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse,
            _ => OpenError::Directory(error),
        })?;
        let settling = runs.lock_settling().map_err(OpenError::Directory)?;
        settle_all(&runs, &*clock).map_err(OpenError::Directory)?;
        drop(settling);
        let watcher = Watcher::start(&settings.program, &settings.directory).map_err(OpenError::Watcher)?;
        let active = Arc::new(ActiveRuns::new(watcher, lock));
        Ok(Self { runs, grace: settings.grace, clock, active })
    }

    /// Asks all commands to stop, kills them after the grace, and returns when their runs are recorded as
    /// interrupted.
    pub async fn stop(&self) {
        let active = self.active.all();
        join_all(active.iter().map(|run| async {
            run.order(Order::StackStops);
            run.ended().await;
        }))
        .await;
    }

    async fn record(&self, operation: &'static str, id: &str) -> Result<Record, CiError> {
        let run = self.runs.run(id).ok_or_else(|| not_found(operation, id))?;
        blocking(move || run.read()).await.map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return not_found(operation, id);
            }
            let advice = "the run's record cannot be read or was not written";
            CiError::new(CiErrorKind::Unavailable, operation, advice).caused_by(error)
        })
    }

    async fn build_of(&self, operation: &'static str, id: &str) -> Result<Build, CiError> {
        self.record(operation, id).await.map(Record::into_build)
    }

    /// The record of a run that is about to start. A rerun runs what the earlier one ran, whatever the job
    /// says now.
    async fn new_record(&self, request: &StartRequest<'_>) -> Result<Record, CiError> {
        let (target, environment) = match (request.kind, request.target) {
            (StartKind::Rerun { build }, _) => {
                let earlier = self.record("rerun", &build.0).await?;
                (earlier.target, earlier.environment)
            }
            (StartKind::Trigger, Target::Process(target)) => (target.clone(), request.environment.clone()),
            (StartKind::Trigger, other) => {
                let advice = format!("the job points at `{}`, not a command", other.kind().as_str());
                return Err(CiError::new(CiErrorKind::Refused, "trigger", advice));
            }
        };
        Ok(Record {
            id: request.id.to_owned(),
            target,
            environment,
            process: None,
            status: RunStatus::Queued,
            reason: None,
            exit_status: None,
            created_at: self.clock.now(),
            started_at: None,
            finished_at: None,
        })
    }

    async fn follow(&self, id: &str, after: Option<Position>) -> Result<EventStream, CiError> {
        let run = self.runs.run(id).ok_or_else(|| not_found("events", id))?;
        // Asked before the file is read: a run that ends in between has its end in the file.
        let active = self.active.find(id);
        if let Some(active) = &active {
            active.started().await;
        }
        if !run.exists() {
            return Err(not_found("events", id));
        }
        Ok(Box::pin(log::follow(run.log(), after, active.map(|active| active.changes()))))
    }
}

impl Drop for ProcessProvider {
    fn drop(&mut self) {
        self.active.all().iter().for_each(|run| run.order(Order::StackStops));
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
        let active = match self.active.find(request.id) {
            Some(active) => active,
            None if run.exists() => return self.build_of("trigger", request.id).await,
            None => {
                let record = self.new_record(request).await?;
                self.active.start(run, record, self.grace, self.clock.clone())
            }
        };
        match active.started().await {
            Some(build) => Ok(build),
            // It had ended by the time that it was to be started again, or could not even be recorded.
            None => self.build_of("trigger", request.id).await,
        }
    }

    async fn started_since(&self, request: &StartRequest<'_>) -> Result<Vec<Build>, CiError> {
        match self.build_of("trigger", request.id).await {
            Ok(build) => Ok(vec![build]),
            Err(error) if error.kind == CiErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn build(&self, _: &Target, build: &BuildId) -> Result<Build, CiError> {
        self.build_of("get", &build.0).await
    }

    fn events(self: Arc<Self>, _: Target, build: BuildId, after: Option<Position>) -> EventStream {
        Box::pin(stream::once(async move { self.follow(&build.0, after).await }).try_flatten())
    }

    async fn cancel(&self, _: &Target, build: &BuildId, mode: CancelMode) -> Result<(), CiError> {
        let order = match mode {
            CancelMode::Graceful => Order::Terminate,
            CancelMode::Force => Order::Kill,
        };
        match self.active.find(&build.0) {
            Some(active) => active.order(order),
            None => drop(self.record("cancel", &build.0).await?),
        }
        Ok(())
    }

    async fn discover(&self, _: &BTreeSet<String>) -> Result<Vec<DiscoveredJob>, CiError> {
        let advice = "commands on this machine cannot be listed; write the job by hand";
        Err(CiError::new(CiErrorKind::Unsupported, "discover", advice))
    }

    async fn check(&self, _: &[TargetUse]) -> Result<CheckReport, CiError> {
        let user = User::from_uid(geteuid()).ok().flatten();
        let identity = user.map_or_else(|| format!("user {}", geteuid()), |user| user.name);
        Ok(CheckReport { identity: Some(identity), ..CheckReport::default() })
    }
}

fn not_found(operation: &'static str, id: &str) -> CiError {
    let advice = format!("there is no run `{id}`; of finished ones only the newest are kept");
    CiError::new(CiErrorKind::NotFound, operation, advice)
}
