//! A CI system that does what a test says.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use gatehouse_domain::ci::{
    Build, BuildId, CancelMode, Capabilities, CheckReport, Checkpoint, CiError, CiErrorKind, CiProvider,
    DiscoveredJob, EventStream, Position, RunEvent, RunEventBody, RunStatus, StartKind, StartRequest, Target,
    TargetUse,
};
use jiff::Timestamp;

/// What becomes of one start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It begins a build, and its answer is lost.
    AnswerLost,
    /// Nobody hears of it, and nobody says so.
    CallLost,
    /// It is refused, and begins nothing.
    Refused(CiErrorKind),
}

/// A CI system that does what a test says. Builds are numbered from 1 and queued until
/// [`ScriptedCi::set_status`].
pub struct ScriptedCi(Mutex<State>);

struct State {
    capabilities: Capabilities,
    starts: VecDeque<Start>,
    started: Vec<StartedBuild>,
    builds: Vec<Build>,
    events: Vec<RunEvent>,
    /// What the stream of events ends with, where not with [`RunEventBody::End`] or never.
    cut: Option<CiErrorKind>,
    cancelled: Vec<(BuildId, CancelMode)>,
    outage: Option<CiErrorKind>,
    jobs: Vec<DiscoveredJob>,
    report: CheckReport,
}

/// A start that began a build.
#[derive(Debug, Clone, PartialEq)]
pub struct StartedBuild {
    pub target: Target,
    pub rerun_of: Option<BuildId>,
}

impl Default for ScriptedCi {
    fn default() -> Self {
        Self(Mutex::new(State {
            capabilities: Capabilities {
                parameters: true,
                live_logs: true,
                rerun: true,
                force_cancel: true,
                discover: true,
            },
            starts: VecDeque::new(),
            started: Vec::new(),
            builds: Vec::new(),
            events: Vec::new(),
            cut: None,
            cancelled: Vec::new(),
            outage: None,
            jobs: Vec::new(),
            report: CheckReport::default(),
        }))
    }
}

impl ScriptedCi {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panicked")
    }

    /// Says what becomes of the next start for which nothing is said yet; without it, a build begins.
    pub fn next_start(&self, start: Start) {
        self.state().starts.push_back(start);
    }

    /// Lets every call fail like this, or succeed again.
    pub fn fail(&self, outage: Option<CiErrorKind>) {
        self.state().outage = outage;
    }

    pub fn set_capabilities(&self, change: impl FnOnce(&mut Capabilities)) {
        change(&mut self.state().capabilities);
    }

    pub fn set_report(&self, report: CheckReport) {
        self.state().report = report;
    }

    pub fn set_jobs(&self, jobs: Vec<DiscoveredJob>) {
        self.state().jobs = jobs;
    }

    /// Begins a build without Gatehouse.
    pub fn begin(&self, target: &Target) -> BuildId {
        self.state().begin(target)
    }

    /// Deletes everything that was built.
    pub fn forget_builds(&self) {
        self.state().builds.clear();
    }

    pub fn set_status(&self, build: &str, status: RunStatus) {
        let mut state = self.state();
        let build = state.builds.iter_mut().find(|kept| kept.id.0 == build).expect("a build");
        build.status = status;
        status.as_str().clone_into(&mut build.provider_status);
    }

    /// What happens in every build. The stream ends after [`RunEventBody::End`]; without it, it stays open.
    pub fn set_events(&self, bodies: Vec<RunEventBody>) {
        let positioned = |(index, body)| {
            let position = (body != RunEventBody::End).then(|| Position(format!("{}", index + 1)));
            RunEvent { position, body, time: None }
        };
        self.state().events = bodies.into_iter().enumerate().map(positioned).collect();
    }

    /// When the first of what happens in every build happened.
    pub fn set_event_times(&self, times: &[Timestamp]) {
        for (event, time) in self.state().events.iter_mut().zip(times) {
            event.time = Some(*time);
        }
    }

    /// Lets streams of events fail when everything was sent.
    pub fn cut_events(&self, kind: CiErrorKind) {
        self.state().cut = Some(kind);
    }

    /// What builds were begun for Gatehouse.
    pub fn started(&self) -> Vec<StartedBuild> {
        self.state().started.clone()
    }

    /// What was asked to stop.
    pub fn cancelled(&self) -> Vec<(BuildId, CancelMode)> {
        self.state().cancelled.clone()
    }
}

impl State {
    fn begin(&mut self, target: &Target) -> BuildId {
        let id = BuildId((self.builds.len() + 1).to_string());
        self.builds.push(Build {
            id: id.clone(),
            target: target.clone(),
            status: RunStatus::Queued,
            provider_status: "pending".to_owned(),
            reason: None,
            started_at: None,
            finished_at: None,
            web_url: Some(format!("https://ci.example.com/builds/{id}")),
            number: Some(id.0.clone()),
        });
        id
    }

    fn up(&self, operation: &'static str) -> Result<(), CiError> {
        self.outage.map_or(Ok(()), |kind| Err(failure(kind, operation)))
    }

    fn find(&self, operation: &'static str, build: &BuildId) -> Result<Build, CiError> {
        let found = self.builds.iter().find(|kept| kept.id == *build);
        found.cloned().ok_or_else(|| failure(CiErrorKind::NotFound, operation))
    }
}

fn failure(kind: CiErrorKind, operation: &'static str) -> CiError {
    CiError::new(kind, operation, "the CI system says why").caused_by("what is only logged")
}

#[async_trait]
impl CiProvider for ScriptedCi {
    fn capabilities(&self) -> Capabilities {
        self.state().capabilities
    }

    async fn checkpoint(&self, _target: &Target) -> Result<Checkpoint, CiError> {
        let state = self.state();
        state.up("checkpoint")?;
        Ok(Checkpoint(state.builds.len().to_string()))
    }

    async fn start(&self, request: &StartRequest<'_>) -> Result<Build, CiError> {
        let mut state = self.state();
        let start = state.starts.pop_front();
        match start {
            Some(Start::Refused(kind)) => return Err(failure(kind, "trigger")),
            Some(Start::CallLost) => return Err(failure(CiErrorKind::OutcomeUnknown, "trigger")),
            Some(Start::AnswerLost) | None => {}
        }
        if let StartKind::Rerun { build } = request.kind
            && state.find("rerun", build).is_err()
        {
            return Err(failure(CiErrorKind::Refused, "rerun"));
        }
        let build = state.begin(request.target);
        let rerun_of = match request.kind {
            StartKind::Trigger => None,
            StartKind::Rerun { build } => Some(build.clone()),
        };
        state.started.push(StartedBuild { target: request.target.clone(), rerun_of });
        match start {
            None => state.find("trigger", &build),
            Some(_) => Err(failure(CiErrorKind::OutcomeUnknown, "trigger")),
        }
    }

    async fn started_since(&self, request: &StartRequest<'_>) -> Result<Vec<Build>, CiError> {
        let state = self.state();
        state.up("find")?;
        let since: usize = request.checkpoint.0.parse().expect("a checkpoint of ours");
        Ok(state.builds[since..].to_vec())
    }

    async fn build(&self, _target: &Target, build: &BuildId) -> Result<Build, CiError> {
        let state = self.state();
        state.up("show")?;
        state.find("show", build)
    }

    fn events(self: Arc<Self>, _target: Target, _build: BuildId, after: Option<Position>) -> EventStream {
        let state = self.state();
        let from = match &after {
            None => Some(0),
            Some(after) => {
                let place = state.events.iter().position(|event| event.position.as_ref() == Some(after));
                place.map(|place| place + 1)
            }
        };
        let Some(from) = from else {
            let refusal = failure(CiErrorKind::Refused, "watch");
            return Box::pin(stream::once(async { Err(refusal) }));
        };
        let events: Vec<_> = state.events[from..].iter().cloned().map(Ok).collect();
        let ends = state.events.last().is_some_and(|event| event.body == RunEventBody::End);
        match state.cut {
            Some(kind) => {
                let cut = failure(kind, "watch");
                Box::pin(stream::iter(events).chain(stream::once(async { Err(cut) })))
            }
            None if ends => Box::pin(stream::iter(events)),
            None => Box::pin(stream::iter(events).chain(stream::pending())),
        }
    }

    async fn cancel(&self, _target: &Target, build: &BuildId, mode: CancelMode) -> Result<(), CiError> {
        let mut state = self.state();
        state.up("cancel")?;
        state.find("cancel", build)?;
        state.cancelled.push((build.clone(), mode));
        Ok(())
    }

    async fn discover(&self, scopes: &BTreeSet<String>) -> Result<Vec<DiscoveredJob>, CiError> {
        let state = self.state();
        state.up("discover")?;
        let wanted = |job: &&DiscoveredJob| {
            let Target::Concourse(target) = &job.target else { return true };
            scopes.is_empty() || scopes.contains(&target.team)
        };
        Ok(state.jobs.iter().filter(wanted).cloned().collect())
    }

    async fn check(&self, _uses: &[TargetUse]) -> Result<CheckReport, CiError> {
        let state = self.state();
        state.up("check")?;
        Ok(state.report.clone())
    }
}
