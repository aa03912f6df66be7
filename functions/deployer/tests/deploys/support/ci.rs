//! The CI system, with one job.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use gatehouse_domain::{
    ci::{
        Build, BuildId, CancelMode, Capabilities, CheckReport, Checkpoint, CiError, CiErrorKind, CiProvider,
        ConcourseTarget, Delivery, DiscoveredJob, EventStream, Position, ProviderDirectory,
        ProviderLookupError, RunStatus, StartRequest, Target, TargetUse,
    },
    jobs::{Job, JobSpec},
    name::ProviderName,
    operations::Operation,
    parameter::{ParameterSpec, ParameterType},
    revision::Revision,
};
use gatehouse_store::Table;
use jiff::Timestamp;

use super::change;

/// The job that deploys. It declares the version and the environment, and not the service.
pub fn job() -> Job {
    let parameter = |name: &str| ParameterSpec {
        name: name.parse().unwrap(),
        kind: ParameterType::String,
        required: true,
        default: None,
        description: None,
        deliver: Delivery::InstanceVar { name: name.to_owned() },
    };
    Job {
        id: "job_deploy".parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        spec: JobSpec {
            project: "webshop".parse().unwrap(),
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
            parameters: vec![parameter("version"), parameter("environment")],
            undeclared: None,
        },
        revision: Revision::unverified("rev_1".to_owned()),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        updated_by: "user:ada".to_owned(),
    }
}

/// The CI system, of whatever name.
pub struct PretendCi {
    table: Arc<Table>,
    state: Mutex<CiState>,
}

#[derive(Default)]
pub struct CiState {
    pub builds: Vec<Build>,
    /// What it answers to the next calls that start something; then it starts builds.
    pub start_errors: VecDeque<CiErrorKind>,
    /// Whether it answers to nothing but that.
    pub is_down: bool,
    pub cancelled: Vec<BuildId>,
    /// What happens to the operation while it starts a build.
    pub meanwhile: Option<fn(&mut Operation)>,
}

impl PretendCi {
    pub fn new(table: Arc<Table>) -> Self {
        Self { table, state: Mutex::default() }
    }

    pub fn state(&self) -> MutexGuard<'_, CiState> {
        self.state.lock().unwrap()
    }

    /// How the build stands from now on.
    pub fn build_is(&self, status: RunStatus) {
        let build = &mut self.state().builds[0];
        build.status = status;
        status.as_str().clone_into(&mut build.provider_status);
    }
}

/// Finds it under every name.
pub struct Directory(pub Arc<PretendCi>);

#[async_trait]
impl ProviderDirectory for Directory {
    async fn provider(&self, _name: &ProviderName) -> Result<Arc<dyn CiProvider>, ProviderLookupError> {
        Ok(self.0.clone())
    }
}

fn down() -> CiError {
    CiError::new(CiErrorKind::Unavailable, "ask", "the CI system cannot be reached")
}

#[async_trait]
impl CiProvider for PretendCi {
    fn capabilities(&self) -> Capabilities {
        Capabilities { parameters: true, live_logs: true, rerun: true, force_cancel: false, discover: false }
    }

    async fn checkpoint(&self, _target: &Target) -> Result<Checkpoint, CiError> {
        if self.state().is_down { Err(down()) } else { Ok(Checkpoint::default()) }
    }

    /// Starts a build also where its answer is lost; then the CI system is not to be reached for a while.
    async fn start(&self, request: &StartRequest<'_>) -> Result<Build, CiError> {
        let meanwhile = self.state().meanwhile.take();
        if let Some(meanwhile) = meanwhile {
            change(&self.table, meanwhile).await;
        }
        let mut state = self.state();
        let error = state.start_errors.pop_front();
        if let Some(kind) = error.filter(|kind| *kind != CiErrorKind::OutcomeUnknown) {
            return Err(CiError::new(kind, "trigger", "the pipeline is not there").caused_by("a secret"));
        }
        let build = Build {
            id: BuildId((state.builds.len() + 1).to_string()),
            target: request.target.clone(),
            status: RunStatus::Running,
            provider_status: "started".to_owned(),
            reason: None,
            started_at: None,
            finished_at: None,
            web_url: Some("https://ci.example/builds/1".to_owned()),
            number: Some("1".to_owned()),
        };
        state.builds.push(build.clone());
        let Some(kind) = error else { return Ok(build) };
        state.is_down = true;
        Err(CiError::new(kind, "trigger", "the answer was lost"))
    }

    async fn started_since(&self, _request: &StartRequest<'_>) -> Result<Vec<Build>, CiError> {
        let state = self.state();
        if state.is_down { Err(down()) } else { Ok(state.builds.clone()) }
    }

    async fn build(&self, _target: &Target, build: &BuildId) -> Result<Build, CiError> {
        let state = self.state();
        let found = state.builds.iter().find(|kept| kept.id == *build).filter(|_| !state.is_down);
        found.cloned().ok_or_else(down)
    }

    fn events(self: Arc<Self>, _target: Target, _build: BuildId, _after: Option<Position>) -> EventStream {
        unreachable!("the deployer reads no events")
    }

    async fn cancel(&self, _target: &Target, build: &BuildId, mode: CancelMode) -> Result<(), CiError> {
        assert_eq!(mode, CancelMode::Graceful);
        let mut state = self.state();
        if state.is_down {
            return Err(down());
        }
        state.cancelled.push(build.clone());
        Ok(())
    }

    async fn discover(&self, _teams: &BTreeSet<String>) -> Result<Vec<DiscoveredJob>, CiError> {
        Err(down())
    }

    async fn check(&self, _uses: &[TargetUse]) -> Result<CheckReport, CiError> {
        Err(down())
    }
}
