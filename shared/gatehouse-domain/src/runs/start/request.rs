//! Requests for runs: Gatehouse's own record of what it asked a CI system to start.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    audit::Entry,
    ci::{Checkpoint, StartKind, StartRequest, Target, WantedVersion},
    idempotency::{Fingerprint, RequestKey},
    json_text,
    name::{JobId, ParameterName},
    parameter::Undelivered,
    runs::{id::RunId, run::Run},
    store::StoreError,
};

/// How long a finished request answers its repetitions.
pub const REPLAY_FOR: Duration = Duration::from_hours(24);

/// A request for a run, from its arrival to the run's record; as it is stored too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRequest {
    /// Under which it is remembered.
    pub key: RequestKey,
    /// Unique; later requests sort behind earlier ones.
    #[serde(rename = "start_id")]
    pub id: String,
    /// What was asked for.
    pub fingerprint: Fingerprint,
    /// Whose run it is to be.
    pub job_id: JobId,
    /// How the run is started.
    pub kind: StartKind,
    /// The run whose inputs it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<RunId>,
    pub target: Target,
    /// The values that were given, for the record.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<ParameterName, Value>,
    /// Those of the values that do not reach the CI system.
    #[serde(default, with = "json_text", skip_serializing_if = "BTreeMap::is_empty")]
    pub undelivered: Undelivered,
    /// The versions that are pinned while the CI system is called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<WantedVersion>,
    /// Those for the command.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// What the CI system had before.
    pub checkpoint: Checkpoint,
    pub actor: String,
    pub created_at: Timestamp,
    /// How far it is.
    pub state: RunRequestState,
}

/// How far a request is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum RunRequestState {
    /// An invocation works on it, or did and died.
    Open {
        holder: String,
        /// Until when it belongs to that invocation. Together with the holder it is the version that changes
        /// are conditional on: every hold has another end.
        held_until: Timestamp,
        /// When the CI system was last called, or is about to be.
        called_at: Timestamp,
        /// Whether the answer of that call was lost, and its build is searched for.
        #[serde(rename = "looking")]
        recovering: bool,
    },
    /// The run is recorded.
    Finished {
        /// As it was right after the start, which is what repetitions are answered with.
        run: Box<Run>,
    },
}

impl RunRequest {
    /// When the CI system was last called.
    pub(super) fn called_at(&self) -> Timestamp {
        match self.state {
            RunRequestState::Open { called_at, .. } => called_at,
            RunRequestState::Finished { .. } => self.created_at,
        }
    }

    /// What the CI system is asked.
    pub(super) fn call(&self) -> StartRequest<'_> {
        StartRequest {
            id: &self.id,
            target: &self.target,
            kind: &self.kind,
            environment: &self.environment,
            checkpoint: &self.checkpoint,
        }
    }
}

/// Whether a request was written.
#[derive(Debug)]
pub enum BeginOutcome {
    Begun,
    /// There is one under this key.
    Exists(Box<RunRequest>),
}

/// Whether a request was finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishOutcome {
    /// The run is recorded.
    Finished,
    /// The build is the run of another request.
    BuildTaken,
    /// The request belongs to another invocation by now.
    HoldLost,
}

/// Keeps requests for runs. Needs `dynamodb:GetItem`, `PutItem`, `UpdateItem`, `DeleteItem` and `Query`.
///
/// Every change is made only while the request belongs to the invocation that makes it.
#[async_trait]
pub trait RunRequests: Send + Sync {
    /// The request under `key`, strongly consistent; `None` also when [`REPLAY_FOR`] is over.
    async fn find_request(&self, key: &RequestKey, now: Timestamp) -> Result<Option<RunRequest>, StoreError>;

    /// Writes a new request, open, with the entry of the trail.
    async fn begin_request(&self, request: &RunRequest, entry: &Entry) -> Result<BeginOutcome, StoreError>;

    /// Changes who works on `request`, and whether its build is searched for, from how `request` says it is;
    /// `false` when it is not so any more.
    async fn hold_request(&self, request: &RunRequest, state: &RunRequestState) -> Result<bool, StoreError>;

    /// Records `run` and finishes `request` with it, in one transaction.
    async fn finish_request(&self, request: &RunRequest, run: &Run) -> Result<FinishOutcome, StoreError>;

    /// Forgets a request that certainly started nothing.
    async fn abandon_request(&self, request: &RunRequest) -> Result<(), StoreError>;

    /// The open requests of a job, strongly consistent.
    async fn open_requests(&self, job: &JobId) -> Result<Vec<RunRequest>, StoreError>;
}
