//! Operations: provisioning, deprovisioning and deploying an environment, and looking for drift in it.
//!
//! The record of an operation is the truth; the workflow that drives it is told, and asked, and may be lost.
//! Every change of a record follows one pure rule of [`Operation`], and is written only where the record is
//! still as the rule saw it. What a change owes the workflow (to begin, to go on, to fail, to stop) is
//! written with it, then done, then crossed out; each of these can be done again without harm. So whoever
//! dies in between is followed up by the janitor.
//!
//! An operation locks its environment from the transaction that records it to the one that records its
//! outcome.

pub mod attempt;
pub mod change;
pub mod decide;
mod deploy;
mod lifecycle;
pub mod reconcile;
pub mod report;
pub mod request;
mod show;
pub mod steer;
#[cfg(test)]
pub(crate) mod tests;
pub mod workflow;

use std::{collections::BTreeMap, fmt, str::FromStr};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::{
    attempt::{Attempt, Phase},
    deploy::{
        CallWebhook, DeployError, DeployPorts, Followed, Webhook, WebhookError, call_webhook, follow_run,
        trigger_run,
    },
    lifecycle::{Changed, LOG_BYTES, LOG_LINES, MAX_LINKS, MAX_STEPS, Progress, StepRefused},
    show::{
        EnvironmentStatus, HistoryError, ListOperations, ServiceStatus, ShowOperationError, ShowPorts,
        history, show, status,
    },
    workflow::{Signal, TaskToken},
};
use crate::{
    audit::Entry,
    catalog::{DeployTarget, Link, OutputValue, PlanSummary, ServiceId, Settled},
    clock::{IdSource, ordered_id},
    idempotency::{Fingerprint, RequestKey},
    jobs::Revision,
    name::{EnvironmentName, InvalidName, ModuleName, ProjectName, ServiceName, TenantId},
    providers::EditOutcome,
    runs::RunId,
    store::StoreError,
};

/// Id of an operation, and the name of its workflow's execution: `op_` and letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperationId(String);

impl OperationId {
    const PREFIX: &str = "op_";

    /// An id that no other operation has.
    pub fn new(ids: &dyn IdSource, now: Timestamp) -> Self {
        Self(ordered_id(ids, now, "op"))
    }

    /// The id of the operation that was asked for under an idempotency key.
    pub fn of_key(key: &RequestKey) -> Self {
        Self(format!("{}{}", Self::PREFIX, &key.as_str()[..32]))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OperationId {
    type Err = InvalidName;

    fn from_str(raw: &str) -> Result<Self, InvalidName> {
        let rest = raw.strip_prefix(Self::PREFIX).unwrap_or_default();
        let valid = (1..=32).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let refusal = InvalidName { what: "an operation's id", max: 35, allowed: "op_ and a-z and 0-9" };
        if valid { Ok(Self(raw.to_owned())) } else { Err(refusal) }
    }
}

impl TryFrom<String> for OperationId {
    type Error = InvalidName;

    fn try_from(raw: String) -> Result<Self, InvalidName> {
        raw.parse()
    }
}

impl From<OperationId> for String {
    fn from(id: OperationId) -> Self {
        id.0
    }
}

/// What kind of operation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Makes an environment what its module and inputs say.
    Provision,
    /// Takes away what was provisioned.
    Deprovision,
    /// Looks whether what exists is what was provisioned.
    Drift,
    /// Brings a version to an environment.
    Deploy,
}

impl OperationKind {
    /// `provision`, `deprovision`, `drift` or `deploy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Deprovision => "deprovision",
            Self::Drift => "drift",
            Self::Deploy => "deploy",
        }
    }
}

/// What Terraform is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The module.
    pub module: ModuleName,
    /// Its inputs.
    pub inputs: Map<String, Value>,
    /// How long after it was provisioned the environment is deprovisioned by itself, in hours.
    pub ttl_hours: Option<u32>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Work {
    /// Make the environment so.
    Provision(Configuration),
    /// Take away what was made so.
    Deprovision(Configuration),
    /// Look whether it still is so.
    Drift(Configuration),
    /// Bring a version to it.
    Deploy {
        /// Which one.
        version: String,
        /// By what.
        target: DeployTarget,
    },
}

impl Work {
    /// What kind of operation this is.
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Provision(_) => OperationKind::Provision,
            Self::Deprovision(_) => OperationKind::Deprovision,
            Self::Drift(_) => OperationKind::Drift,
            Self::Deploy { .. } => OperationKind::Deploy,
        }
    }

    /// What Terraform is given, where it is given something.
    pub fn configuration(&self) -> Option<&Configuration> {
        match self {
            Self::Provision(given) | Self::Deprovision(given) | Self::Drift(given) => Some(given),
            Self::Deploy { .. } => None,
        }
    }
}

/// How an operation came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationOutcome {
    /// What was asked for was done.
    Succeeded,
    /// It was not.
    Failed,
    /// Somebody asked it to stop, and it did.
    Cancelled,
    /// Somebody did not agree to it.
    Rejected,
    /// Somebody or something did not answer in time.
    TimedOut,
}

impl OperationOutcome {
    /// `succeeded`, `failed`, `cancelled`, `rejected` or `timed_out`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::TimedOut => "timed_out",
        }
    }
}

/// How far an operation is.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It is recorded, and its workflow begins or is about to.
    Requested,
    /// Something works on it, or is about to.
    Running(Phase),
    /// Somebody has to agree.
    AwaitingApproval {
        /// Since when.
        since: Timestamp,
        /// With which its workflow is told.
        token: TaskToken,
    },
    /// It came to its end.
    Ended {
        /// How.
        ending: OperationOutcome,
        /// When.
        at: Timestamp,
        /// Why, for people.
        reason: Option<String>,
    },
}

/// Who asked for something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Who: `user:ada`.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What somebody said to an operation that needs approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether they agreed.
    pub approved: bool,
    /// Who and when.
    pub asked: Asked,
    /// What else they said.
    pub comment: Option<String>,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// It goes on.
    Running,
    /// It ended well.
    Succeeded,
    /// It did not.
    Failed,
}

/// A step of an operation, as its worker tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `init`, `plan`, …
    pub name: String,
    /// The attempt that it is part of.
    pub attempt: u32,
    /// How it stands.
    pub state: StepState,
    /// How far it is, 0 to 100.
    pub percentage: Option<u8>,
    /// What it does just now, for people.
    pub message: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// An operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Unique in the installation.
    pub id: OperationId,
    /// Whose environment.
    pub service: ServiceId,
    /// The service's name.
    pub service_name: ServiceName,
    /// The service's tenant.
    pub tenant: TenantId,
    /// The service's project.
    pub project: ProjectName,
    /// Which environment.
    pub environment: EnvironmentName,
    /// What is to be done.
    pub work: Work,
    /// Whether somebody else has to agree.
    pub approval_required: bool,
    /// Who asked for it, and when.
    pub requested: Asked,
    /// What was asked for, so that a repetition is recognised.
    pub fingerprint: Fingerprint,
    /// When it is ended at the latest.
    pub deadline: Timestamp,
    /// How far it is.
    pub state: State,
    /// Who asked it to stop, and when.
    pub cancel: Option<Asked>,
    /// What somebody said to it.
    pub verdict: Option<Verdict>,
    /// The last attempt of a worker.
    pub attempt: Option<Attempt>,
    /// What the plan would do.
    pub plan: Option<PlanSummary>,
    /// What came out.
    pub outputs: BTreeMap<String, OutputValue>,
    /// Its steps, the oldest first.
    pub steps: Vec<Step>,
    /// The last lines that its worker wrote.
    pub log: Vec<String>,
    /// Where to read on.
    pub links: Vec<Link>,
    /// The run that deploys.
    pub run: Option<RunId>,
    /// Why it cannot succeed, as its worker said.
    pub failure: Option<String>,
    /// What its workflow is still to be told.
    pub pending_signal: Option<Signal>,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// How often it was changed: a change is written where nobody else's came first.
    pub version: u64,
}

/// Looks operations up. Needs `dynamodb:GetItem` and `dynamodb:BatchGetItem`.
#[async_trait]
pub trait FindOperation: Send + Sync {
    /// Returns `None` when no such operation exists. Strongly consistent.
    async fn find_operation(&self, id: &OperationId) -> Result<Option<Operation>, StoreError>;

    /// Those of these that exist, in any order, in one call for up to 100. Strongly consistent.
    async fn find_operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError>;
}

/// Whether an operation was recorded.
#[derive(Debug)]
pub enum BeginOutcome {
    /// It was, and the environment is locked.
    Begun,
    /// There is one of this id, as it stands now.
    Exists(Box<Operation>),
    /// Another one is open in the environment.
    Busy(OperationId),
    /// The service is not as the caller saw it.
    ServiceChanged,
}

/// Records operations. Needs `dynamodb:PutItem`, `UpdateItem`, `DeleteItem` and `ConditionCheckItem`.
#[async_trait]
pub trait SaveOperation: Send + Sync {
    /// In one transaction: records the operation, lists it as open, locks its environment where that is
    /// free, and writes the entry, where `service` is still the service's revision.
    async fn begin_operation(
        &self,
        operation: &Operation,
        service: &Revision,
        entry: &Entry,
    ) -> Result<BeginOutcome, StoreError>;

    /// Writes `operation` where the record still has the version before it, with the entry. An operation
    /// that has ended and owes nothing leaves the list of open ones; one that ends in this change unlocks
    /// its environment and settles it: all in one transaction.
    async fn save_operation(
        &self,
        operation: &Operation,
        settled: Option<&Settled>,
        entry: Option<&Entry>,
    ) -> Result<EditOutcome, StoreError>;
}
