//! What all CI systems do, and what differs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    ci::{
        build::{Build, BuildId},
        check::{CheckReport, TargetUse},
        error::CiError,
        event::{EventStream, Position},
        pins::PinVersions,
        targets::Target,
    },
    name::JobId,
};

/// What a CI system can do beyond the shared verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer to a question that callers ask")]
pub struct Capabilities {
    /// Whether a run can be given parameters.
    pub parameters: bool,
    /// Whether log lines arrive before the run has ended.
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

/// How a run is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum StartKind {
    Trigger,
    /// With the inputs of an earlier run.
    Rerun {
        build: BuildId,
    },
}

/// What is asked of a CI system when a run is to start.
#[derive(Debug, Clone)]
pub struct StartRequest<'a> {
    /// Gatehouse's own id of this start, unique. A system that lets callers name runs takes it as the name.
    pub id: &'a str,
    pub target: &'a Target,
    pub kind: &'a StartKind,
    /// Environment variables from parameters.
    pub environment: &'a BTreeMap<String, String>,
    /// What was remembered before.
    pub checkpoint: &'a Checkpoint,
}

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
    /// [`OutcomeUnknown`](super::CiErrorKind::OutcomeUnknown) when a run may or may not have been started: it
    /// must be looked up, and never simply be tried again. Every other kind promises that none was.
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

    /// How versions of resources are pinned, where there are such things.
    fn pins(&self) -> Option<&dyn PinVersions> {
        None
    }

    /// The system's own jobs, of these scopes (see [`ScopeCheck`](crate::ci::ScopeCheck)), or of all that can
    /// be seen where none is named.
    async fn discover(&self, scopes: &BTreeSet<String>) -> Result<Vec<DiscoveredJob>, CiError>;

    /// Whether what `uses` need will work, and what would mend it if not.
    async fn check(&self, uses: &[TargetUse]) -> Result<CheckReport, CiError>;
}
