//! CI systems: what they all do, what differs, and how they fail.
//!
//! [`CiProvider`] holds the verbs that all CI systems share, [`Capabilities`] what differs. Errors carry a
//! [`CiErrorKind`]; whether trying again makes sense follows from the kind alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_core::Stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    name::{JobId, ProviderName},
    parameter::FieldError,
    runs::{RunStatus, escape},
    store::StoreError,
};

/// The CI systems that Gatehouse speaks with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Concourse CI, 6.5 and later.
    Concourse,
    /// Commands on the machine of the local stack.
    Process,
}

impl ProviderKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Concourse, Self::Process];

    /// `concourse` or `process`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Concourse => "concourse",
            Self::Process => "process",
        }
    }
}

/// The longest command with all its arguments, and the most that instance variables may measure as JSON, in
/// bytes. What is kept of a run holds them several times, and an item of the table at most 400 KB.
const MAX_TARGET: usize = 32 * 1024;

/// The longest path of a directory, in bytes: what the system takes.
const MAX_DIRECTORY: usize = 4096;

/// How long team, pipeline and job may be together, as a run id writes them, in bytes. With the rest of the
/// id it must fit into a sort key of the table, which holds 1,024.
const MAX_PIPELINE_JOB: usize = 900;

/// What a job points at in its CI system: `{ kind: …, ref: … }` in a jobs file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "ref", rename_all = "snake_case")]
pub enum Target {
    /// A job of a Concourse pipeline.
    Concourse(ConcourseTarget),
    /// A command.
    Process(ProcessTarget),
}

/// A job of a Concourse pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConcourseTarget {
    /// The team that owns the pipeline.
    pub team: String,
    /// The pipeline.
    pub pipeline: String,
    /// The job in it.
    pub job: String,
    /// Instance variables, when the pipeline is an instanced one.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
}

/// A command on the machine of the local stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessTarget {
    /// The program and its arguments; no shell is involved unless it is named here.
    pub command: Vec<String>,
    /// The directory to run in; an empty one of the run's own without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Whether stderr is written into stdout, as a terminal does. The order of the two is exact then, and
    /// which is which is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merge_stderr: bool,
}

impl Target {
    /// The CI system it is for.
    pub fn kind(&self) -> ProviderKind {
        match self {
            Self::Concourse(_) => ProviderKind::Concourse,
            Self::Process(_) => ProviderKind::Process,
        }
    }

    /// What is wrong with it; nothing when all is well. Pointers start at the reference itself.
    pub fn check(&self) -> Vec<FieldError> {
        match self {
            Self::Concourse(target) => target.check(),
            Self::Process(target) => target.check(),
        }
    }

    /// Sets an instance variable; dots in `name` reach into nested ones. Only Concourse has them.
    pub fn set_instance_var(&mut self, name: &str, value: Value) {
        let Self::Concourse(target) = self else { return };
        let mut map = &mut target.vars;
        let mut path = name.split('.').peekable();
        while let Some(part) = path.next() {
            if path.peek().is_none() {
                map.insert(part.to_owned(), value);
                return;
            }
            let nested = map.entry(part).or_insert_with(|| Value::Object(Map::new()));
            if !nested.is_object() {
                *nested = Value::Object(Map::new());
            }
            let Value::Object(next) = nested else { return };
            map = next;
        }
    }
}

impl ConcourseTarget {
    /// Concourse accepts almost any name in old pipelines; only what no URL or log survives is refused.
    fn check(&self) -> Vec<FieldError> {
        let fields = [("team", &self.team), ("pipeline", &self.pipeline), ("job", &self.job)];
        let bad = |name: &str| name.is_empty() || name.len() > 255 || name.chars().any(char::is_control);
        let refused = fields.iter().filter(|(_, name)| bad(name));
        let mut errors: Vec<_> = refused
            .map(|(field, _)| {
                FieldError::new(format!("/{field}"), "must be 1 to 255 bytes without control characters")
            })
            .collect();
        let written: usize = fields.iter().map(|(_, name)| escape(name).len()).sum();
        if errors.is_empty() && written > MAX_PIPELINE_JOB {
            let detail = "team, pipeline and job are too long together for the id of a run, which holds them";
            errors.push(FieldError::new("/job", detail));
        }
        if Value::Object(self.vars.clone()).to_string().len() > MAX_TARGET {
            errors.push(FieldError::new("/vars", format!("must be at most {MAX_TARGET} bytes of JSON")));
        }
        errors
    }
}

impl ProcessTarget {
    fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.command.first().is_none_or(String::is_empty) {
            errors.push(FieldError::new("/command", "must name a program"));
        }
        if self.command.iter().any(|word| word.contains('\0')) {
            errors.push(FieldError::new("/command", "must not hold NUL"));
        }
        if self.command.iter().map(|word| word.len() + 1).sum::<usize>() > MAX_TARGET {
            errors.push(FieldError::new("/command", format!("must be at most {MAX_TARGET} bytes in all")));
        }
        if self.directory.as_ref().is_some_and(|path| path.len() > MAX_DIRECTORY || path.contains('\0')) {
            let detail = format!("must be at most {MAX_DIRECTORY} bytes without NUL");
            errors.push(FieldError::new("/directory", detail));
        }
        errors
    }
}

/// What a CI system can do beyond the shared verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer to a question that callers ask")]
pub struct Capabilities {
    /// Whether a run can be given parameters.
    pub parameters: bool,
    /// Whether log lines arrive while the run goes on.
    pub live_logs: bool,
    /// Whether a finished run can be run again with the same inputs.
    pub rerun: bool,
    /// Whether a run that does not react to cancelling can be ended all the same.
    pub force_cancel: bool,
    /// Whether the system's own jobs can be listed.
    pub discover: bool,
}

/// What is remembered before a run is started, so that a lost answer can be looked up: opaque, made and
/// read by one provider.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checkpoint(pub String);

/// The id of a run in its CI system, as text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BuildId(pub String);

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a run is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum StartKind {
    /// Anew.
    Trigger,
    /// With the inputs of an earlier run.
    Rerun {
        /// The earlier one.
        build: BuildId,
    },
}

/// What is asked of a CI system when a run is to start.
#[derive(Debug, Clone)]
pub struct StartRequest<'a> {
    /// Gatehouse's own id of this start, unique. A system that lets callers name runs takes it as the name.
    pub id: &'a str,
    /// What to run.
    pub target: &'a Target,
    /// How.
    pub kind: &'a StartKind,
    /// Environment variables from parameters.
    pub environment: &'a BTreeMap<String, String>,
    /// What was remembered before.
    pub checkpoint: &'a Checkpoint,
}

/// What a CI system says of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Its id there.
    pub id: BuildId,
    /// What is run, with the instance variables that the system reports.
    pub target: Target,
    /// The common word for how it stands.
    pub status: RunStatus,
    /// The system's own word.
    pub provider_status: String,
    /// Why it stands so, where that is known.
    pub reason: Option<Reason>,
    /// When it began to run.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Where people can see it.
    pub web_url: Option<String>,
    /// The number that people know it by: `17`, or `17.1` for a rerun.
    pub number: Option<String>,
}

/// Why a run stands as it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For machines.
    pub code: ReasonCode,
    /// For people, with what would help.
    pub detail: String,
}

/// Why a run stands as it does, for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// The pipeline, or the job in it, is paused.
    Paused,
    /// Inputs are missing or still being looked for.
    WaitingForInputs,
    /// As many builds run as may.
    WaitingForSlot,
    /// No worker took it yet.
    WaitingForWorker,
    /// Somebody must approve it.
    NeedsApproval,
    /// What ran it is gone.
    Interrupted,
    /// The CI system no longer has it.
    Forgotten,
    /// It could not be started.
    CouldNotStart,
}

/// Where in a run's events a reader stands: opaque, made and read by one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(pub String);

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEvent {
    /// Where it stands; events of the moment, such as why a run waits, have none.
    pub position: Option<Position>,
    /// What happened.
    pub body: RunEventBody,
    /// When, where the CI system says so.
    pub time: Option<Timestamp>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEventBody {
    /// The run's status is this now.
    Status {
        /// The common word.
        status: RunStatus,
        /// The system's own word.
        provider_status: String,
        /// Why, where known.
        reason: Option<Reason>,
    },
    /// A step began or ended, or something became known of it.
    Step {
        /// The step's id, unique in the run.
        step: String,
        /// What it is called, where known.
        name: Option<String>,
        /// What happened to it.
        phase: StepPhase,
    },
    /// Output.
    Log {
        /// The step that wrote it.
        step: Option<String>,
        /// Where it was written.
        stream: LogStream,
        /// A piece of text as it arrived: part of a line, a line, or several.
        text: String,
    },
    /// Something went wrong. The run may go on.
    Error {
        /// In which step, where known.
        step: Option<String>,
        /// What went wrong.
        message: String,
    },
    /// Nothing more will come.
    End,
}

/// What happened to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepPhase {
    /// It is being prepared: `detail` says what with, where known.
    Preparing {
        /// Such as the worker that was chosen.
        detail: Option<String>,
    },
    /// It runs.
    Started,
    /// It ended.
    Finished {
        /// With this exit status, where there was a process.
        exit_status: Option<i64>,
        /// Well or not, where known.
        succeeded: Option<bool>,
    },
}

/// Where output was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Events of a run as they happen. It ends after [`RunEventBody::End`], or with an error.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<RunEvent, CiError>> + Send>>;

/// How hard to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelMode {
    /// Ask the run to stop.
    Graceful,
    /// End it whether it reacts or not. Needs [`Capabilities::force_cancel`].
    Force,
}

/// A job that a CI system has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredJob {
    /// An id made from the names there.
    pub job_id: JobId,
    /// A name for people.
    pub display_name: String,
    /// What it points at.
    pub target: Target,
    /// Why it may not run when triggered, if so.
    pub note: Option<String>,
}

/// Whether a provider will do what its jobs need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// The version that the CI system says it has.
    pub version: Option<String>,
    /// Who we are there.
    pub identity: Option<String>,
    /// What was found, per team.
    pub teams: Vec<TeamCheck>,
    /// What does not work at all, with what would mend it.
    pub problems: Vec<String>,
}

/// What will work in one team.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one answer per verb, as the API shows them")]
pub struct TeamCheck {
    /// The team.
    pub team: String,
    /// The roles that we have in it.
    pub roles: Vec<String>,
    /// Whether jobs can be listed.
    pub list: bool,
    /// Whether runs can be triggered and rerun.
    pub trigger: bool,
    /// Whether events and logs can be read.
    pub watch: bool,
    /// Whether runs can be cancelled.
    pub cancel: bool,
    /// What would mend what does not work.
    pub remedy: Option<String>,
}

/// A CI system, under the account that Gatehouse has there.
///
/// Adapters bound the time of every call but [`CiProvider::events`].
#[async_trait]
pub trait CiProvider: Send + Sync {
    /// What it can do beyond the verbs below.
    fn capabilities(&self) -> Capabilities;

    /// What [`CiProvider::started_since`] needs to tell runs started after this moment from earlier ones.
    async fn checkpoint(&self, target: &Target) -> Result<Checkpoint, CiError>;

    /// Starts a run.
    ///
    /// # Errors
    ///
    /// [`CiErrorKind::OutcomeUnknown`] when a run may or may not have been started: it must be looked up,
    /// and never simply be tried again. Every other kind promises that none was.
    async fn start(&self, request: &StartRequest<'_>) -> Result<Build, CiError>;

    /// Runs that `request` may have started: begun after its checkpoint, in its way, by our account. The
    /// oldest comes first.
    async fn started_since(&self, request: &StartRequest<'_>) -> Result<Vec<Build>, CiError>;

    /// How a run stands.
    async fn build(&self, target: &Target, build: &BuildId) -> Result<Build, CiError>;

    /// What happens in a run, from `after` on, or from its beginning. Survives cut connections.
    fn events(self: Arc<Self>, target: Target, build: BuildId, after: Option<Position>) -> EventStream;

    /// Asks a run to stop. Returns before it has; a finished run is left alone.
    async fn cancel(&self, target: &Target, build: &BuildId, mode: CancelMode) -> Result<(), CiError>;

    /// The system's own jobs, of `teams` or of all that can be seen.
    async fn discover(&self, teams: &BTreeSet<String>) -> Result<Vec<DiscoveredJob>, CiError>;

    /// Whether what `targets` need will work, and what would mend it if not.
    async fn check(&self, targets: &[Target]) -> Result<CheckReport, CiError>;
}

/// Why there is no provider to talk to.
#[derive(Debug, thiserror::Error)]
pub enum ProviderLookupError {
    /// Nobody registered one under that name.
    #[error("provider `{0}` is not configured")]
    NotConfigured(ProviderName),
    /// It is of a kind that this deployment does not have.
    #[error("this deployment cannot run jobs of kind `{}`", .0.as_str())]
    KindUnavailable(ProviderKind),
    /// Its settings cannot be read.
    #[error("could not read the provider")]
    Store(#[from] StoreError),
}

/// Finds providers by name.
#[async_trait]
pub trait ProviderDirectory: Send + Sync {
    /// The provider that was registered as `name`; its settings may be some seconds old.
    async fn provider(&self, name: &ProviderName) -> Result<Arc<dyn CiProvider>, ProviderLookupError>;

    /// The same with the settings of this moment, for what people do right after they edited them.
    async fn provider_now(&self, name: &ProviderName) -> Result<Arc<dyn CiProvider>, ProviderLookupError> {
        self.provider(name).await
    }
}

/// What went wrong with a CI system, as far as a caller can decide on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CiErrorKind {
    /// The pipeline, job or build does not exist there.
    NotFound,
    /// Our credentials are wrong, or what they give us is not enough to be somebody.
    CredentialsRefused,
    /// We are somebody, but may not do this.
    Forbidden,
    /// The system will not do this with this job or run as it stands.
    Refused,
    /// The system cannot do this.
    Unsupported,
    /// We asked too often.
    Throttled,
    /// It cannot be reached, answers too late, or is out of order. Nothing was changed.
    Unavailable,
    /// The answer to a change was lost: it may have happened.
    OutcomeUnknown,
    /// It answered something that we do not understand.
    Protocol,
}

impl CiErrorKind {
    /// Whether the same call may succeed a little later.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Throttled | Self::Unavailable => true,
            Self::NotFound
            | Self::CredentialsRefused
            | Self::Forbidden
            | Self::Refused
            | Self::Unsupported
            | Self::OutcomeUnknown
            | Self::Protocol => false,
        }
    }
}

/// A failure of a CI system.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {advice}")]
pub struct CiError {
    /// What a caller can decide on.
    pub kind: CiErrorKind,
    /// What was tried, such as `trigger`.
    pub operation: &'static str,
    /// What happened and what would help: shown to callers, so without secrets.
    pub advice: String,
    /// When to try again, where the system says so.
    pub retry_after: Option<Duration>,
    /// What lies below: logged, never shown.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl CiError {
    /// A failure without a cause below it.
    pub fn new(kind: CiErrorKind, operation: &'static str, advice: impl Into<String>) -> Self {
        Self { kind, operation, advice: advice.into(), retry_after: None, source: None }
    }

    /// The same failure with its cause.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }
}
