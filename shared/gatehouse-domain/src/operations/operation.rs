//! The record of an operation.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    audit::AuditTarget,
    caller::Caller,
    catalog::{DeployTarget, Link, ModuleArtifact, OutputValue, PlanSummary, SecretInputs},
    entities::EntityRef,
    id::{OperationId, ServiceId},
    idempotency::Fingerprint,
    json::Object,
    json_text,
    name::{EnvironmentName, ModuleName, ProjectName, ServiceName, TenantId},
    operations::{
        OperationStatus, Signal, TaskToken,
        attempt::{Attempt, Phase},
    },
    runs::RunId,
};

/// How long an operation is open at most: from when it is asked for, and again from when somebody approved it.
pub const OPEN_AT_MOST: Duration = Duration::from_hours(8);

/// What was done to an operation, for the trail.
pub(super) fn audit_target(operation: &Operation) -> AuditTarget {
    let Operation { tenant, service_name, environment, id, .. } = operation;
    AuditTarget {
        target: format!("operation:{id}"),
        tenant: Some(tenant.clone()),
        detail: Some(format!("{} {service_name}/{environment}", operation.work.kind().as_str())),
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
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    pub module: ModuleName,
    /// The module as it was when this was planned, or as it was applied. Without one it is taken as it stands.
    pub artifact: Option<ModuleArtifact>,
    pub inputs: Object,
    /// Those that are secrets.
    pub secret_inputs: SecretInputs,
    /// How long after it was provisioned the environment is deprovisioned by itself, in hours.
    pub ttl_hours: Option<u32>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredWork", into = "StoredWork")]
pub enum Work {
    /// Make the environment so.
    Provision(Configuration),
    /// Take away what was made so.
    Deprovision(Configuration),
    /// Look whether it still is so.
    Drift(Configuration),
    /// Bring a version to it.
    Deploy { version: String, target: DeployTarget },
}

/// As it is stored. Not a tagged enum: what is below one is read twice, and numbers lose their digits then.
#[derive(Serialize, Deserialize)]
struct StoredWork {
    kind: OperationKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    module: Option<ModuleName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact: Option<ModuleArtifact>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inputs: Option<Object>,
    #[serde(default, skip_serializing_if = "SecretInputs::is_empty")]
    secret_inputs: SecretInputs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_hours: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<DeployTarget>,
}

impl From<Work> for StoredWork {
    fn from(work: Work) -> Self {
        let kind = work.kind();
        match work {
            Work::Provision(given) | Work::Deprovision(given) | Work::Drift(given) => {
                let Configuration { module, artifact, inputs, secret_inputs, ttl_hours } = given;
                let (module, inputs) = (Some(module), Some(inputs));
                let (version, target) = (None, None);
                Self { kind, module, artifact, inputs, secret_inputs, ttl_hours, version, target }
            }
            Work::Deploy { version, target } => {
                let (version, target) = (Some(version), Some(target));
                let (module, artifact, inputs, ttl_hours) = (None, None, None, None);
                let secret_inputs = SecretInputs::default();
                Self { kind, module, artifact, inputs, secret_inputs, ttl_hours, version, target }
            }
        }
    }
}

impl TryFrom<StoredWork> for Work {
    type Error = &'static str;

    fn try_from(stored: StoredWork) -> Result<Self, &'static str> {
        let StoredWork { kind, module, artifact, inputs, secret_inputs, ttl_hours, version, target } = stored;
        if kind == OperationKind::Deploy {
            let (version, target) = version.zip(target).ok_or("a deploy has a version and a target")?;
            return Ok(Self::Deploy { version, target });
        }
        let (module, inputs) = module.zip(inputs).ok_or("Terraform is given a module and inputs")?;
        let given = Configuration { module, artifact, inputs, secret_inputs, ttl_hours };
        Ok(match kind {
            OperationKind::Deprovision => Self::Deprovision(given),
            OperationKind::Drift => Self::Drift(given),
            OperationKind::Provision | OperationKind::Deploy => Self::Provision(given),
        })
    }
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// It is recorded, and its workflow begins or is about to.
    Requested,
    /// Something works on it, or is about to.
    Running { phase: Phase },
    /// Somebody has to agree.
    AwaitingApproval {
        since: Timestamp,
        /// The task of its workflow that waits for the answer.
        token: TaskToken,
    },
    /// It came to its end.
    Ended {
        ending: OperationOutcome,
        at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// Who asked for something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Who: `user:ada`.
    pub by: String,
    /// The [`Caller::hand`] behind them, where that is somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    pub at: Timestamp,
}

impl Asked {
    pub fn new(caller: &Caller, at: Timestamp) -> Self {
        let (by, hand) = (caller.actor(), caller.hand());
        let on_behalf_of = (hand != by).then_some(hand);
        Self { by, on_behalf_of, at }
    }

    /// Whoever belongs to no caller: the janitor, and who asked before hands were noted.
    pub fn by(actor: impl Into<String>, at: Timestamp) -> Self {
        Self { by: actor.into(), on_behalf_of: None, at }
    }

    /// The hand that asked.
    pub fn hand(&self) -> &str {
        self.on_behalf_of.as_deref().unwrap_or(&self.by)
    }
}

/// What somebody said to an operation that needs approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub approved: bool,
    pub asked: Asked,
    /// What else they said.
    pub comment: Option<String>,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    Running,
    Succeeded,
    Failed,
}

/// A step of an operation, as its worker reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `init`, `plan`, …
    pub name: String,
    /// The attempt that it is part of.
    pub attempt: u32,
    pub state: StepState,
    /// How far it is, 0 to 100.
    pub percentage: Option<u8>,
    /// What it does just now, for people.
    pub message: Option<String>,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Unique in the installation.
    #[serde(rename = "operation_id")]
    pub id: OperationId,
    pub service: ServiceId,
    pub service_name: ServiceName,
    pub tenant: TenantId,
    pub project: ProjectName,
    pub environment: EnvironmentName,
    /// What is to be done.
    #[serde(with = "json_text")]
    pub work: Work,
    /// Whether somebody else has to agree.
    pub approval_required: bool,
    /// The group that its environment asked for the approval of when this was asked for. Who approves is in it, and in
    /// the group that the environment asks for then; from then on it is the latter, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_group: Option<EntityRef>,
    /// Who asked for it, and when.
    pub requested: Asked,
    /// What was asked for, so that a repetition is recognised.
    pub fingerprint: Fingerprint,
    /// When it is ended at the latest. An approval begins it anew.
    pub deadline: Timestamp,
    /// How far it is.
    pub state: State,
    /// Who asked it to stop, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Asked>,
    /// What somebody said to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The last attempt of a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// What drift was known when it was asked for, where it looks for some: what is found again is no news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_drift: Option<PlanSummary>,
    /// What the plan would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanSummary>,
    #[serde(with = "json_text")]
    pub outputs: BTreeMap<String, OutputValue>,
    /// Its steps, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// The last lines that its worker wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// Where to read on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// The run that deploys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Why it cannot succeed, as its worker said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether its worker, which was to apply, said that it changed nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchanged: bool,
    /// What its workflow is still to be sent.
    #[serde(rename = "owed", with = "json_text")]
    pub pending_signal: Option<Signal>,
    /// How the lists over all services have it; `None` of what was stored before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed_as: Option<OperationStatus>,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// How often it was changed: a change is written where nobody else's came first.
    pub version: u64,
}
