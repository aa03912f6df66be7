//! How an environment stands: what is provisioned and deployed in it, and what is being done to it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::SecretInputs;
use crate::{
    id::{OperationId, ServiceId},
    json::{Json, Object},
    json_text,
    name::{EnvironmentName, ModuleName},
};

/// What a plan would do, in numbers of resources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanSummary {
    pub add: u32,
    pub change: u32,
    pub destroy: u32,
    /// Those that only get another address.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moved: u32,
    /// Whether there is something to apply, in Terraform's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applyable: Option<bool>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl PlanSummary {
    /// Whether it would do nothing. Where Terraform's word is known it decides: what a plan does is not always a number
    /// of resources.
    pub fn is_empty(&self) -> bool {
        self.applyable.map_or(*self == Self::default(), |applyable| !applyable)
    }
}

/// The value of an output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputValue {
    /// It may be seen.
    Value(Json),
    /// The module calls it sensitive, so it is not kept here.
    Sensitive,
    /// It is too large to be kept here. Terraform's state has it.
    TooLarge,
}

/// A module as a plan was made with it: its files are kept by the worker under this, their SHA-256 in 64 digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ModuleArtifact(String);

impl ModuleArtifact {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ModuleArtifact {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(is_digit) {
            return Ok(Self(text));
        }
        Err("must be a SHA-256 of 64 hexadecimal digits in lower case")
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provisioned {
    pub operation: OperationId,
    pub at: Timestamp,
    pub module: ModuleName,
    /// That module as it was applied; what was applied before artifacts were kept has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ModuleArtifact>,
    #[serde(with = "json_text")]
    pub inputs: Object,
    #[serde(default, skip_serializing_if = "SecretInputs::is_empty")]
    pub secret_inputs: SecretInputs,
    /// What came out of it.
    #[serde(with = "json_text")]
    pub outputs: BTreeMap<String, OutputValue>,
    /// When the janitor deprovisions it.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "ends_at")]
    pub expires_at: Option<Timestamp>,
}

/// What of an environment exists.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "extent")]
pub enum Infrastructure {
    #[default]
    Absent,
    /// What was asked for.
    Present(Provisioned),
    /// An operation began to change something and did not come to its end: only the state of Terraform
    /// knows what there is. As it would be if it had come to its end.
    Partial(Provisioned),
}

impl Infrastructure {
    /// What was provisioned last, if anything may be there.
    pub fn provisioned(&self) -> Option<&Provisioned> {
        match self {
            Self::Absent => None,
            Self::Present(provisioned) | Self::Partial(provisioned) => Some(provisioned),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    pub operation: OperationId,
    pub version: String,
    pub at: Timestamp,
}

/// Whether what exists is what was provisioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftState {
    None,
    /// Somebody changed something elsewhere.
    Detected,
}

/// What was last found about drift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    pub operation: OperationId,
    pub state: DriftState,
    pub checked_at: Timestamp,
    pub summary: PlanSummary,
}

/// How an environment stands.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EnvironmentState {
    /// Whose environment it is.
    pub service: ServiceId,
    #[serde(rename = "environment")]
    pub name: EnvironmentName,
    /// The operation that is open in it; there is at most one.
    pub running: Option<OperationId>,
    /// What of it exists.
    #[serde(default)]
    pub infrastructure: Infrastructure,
    /// What was deployed to it last.
    pub deployed: Option<Deployed>,
    /// What was last found about drift.
    pub drift: Option<Drift>,
    /// The last operation that provisioned, deprovisioned or looked for drift, ended or not.
    pub last_provisioning: Option<OperationId>,
    /// The last deploy, ended or not.
    pub last_deploy: Option<OperationId>,
}

impl EnvironmentState {
    /// One that nothing was done in yet.
    pub fn new(service: ServiceId, name: EnvironmentName) -> Self {
        Self {
            service,
            name,
            running: None,
            infrastructure: Infrastructure::Absent,
            deployed: None,
            drift: None,
            last_provisioning: None,
            last_deploy: None,
        }
    }

    /// Whether nothing is provisioned and no operation is open.
    pub fn is_idle(&self) -> bool {
        self.running.is_none() && self.infrastructure == Infrastructure::Absent
    }
}

/// What the end of an operation changes about its environment; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settled {
    /// What of it exists.
    pub infrastructure: Option<Infrastructure>,
    /// What was deployed to it.
    pub deployed: Option<Deployed>,
    /// What was found about drift. `Some(None)` forgets what was found before.
    pub drift: Option<Option<Drift>>,
}
