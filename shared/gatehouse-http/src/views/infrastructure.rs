//! What was provisioned, as JSON.

use std::collections::BTreeMap;

use gatehouse_domain::{
    catalog::{Infrastructure, OutputValue, Provisioned},
    json::Json,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// What came out of a module under one name: a value, or why it is not kept here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct OutputView {
    /// The value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    value: Option<Json>,
    /// `true` where the module calls it sensitive; its value is not kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sensitive: bool,
    /// `true` where it is too large; Terraform's state has its value.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    too_large: bool,
}

impl From<OutputValue> for OutputView {
    fn from(output: OutputValue) -> Self {
        match output {
            OutputValue::Value(value) => Self { value: Some(value), ..Self::default() },
            OutputValue::Sensitive => Self { sensitive: true, ..Self::default() },
            OutputValue::TooLarge => Self { too_large: true, ..Self::default() },
        }
    }
}

pub(super) fn outputs(outputs: BTreeMap<String, OutputValue>) -> BTreeMap<String, OutputView> {
    outputs.into_iter().map(|(name, value)| (name, value.into())).collect()
}

/// What of an environment exists.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct InfrastructureView {
    /// `absent`, `present`, or `partial`: an operation began to change it and did not come to its end.
    state: &'static str,
    /// The operation that provisioned it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    /// When that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// By which module.
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    /// What came out of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    outputs: BTreeMap<String, OutputView>,
    /// When it is deprovisioned by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Timestamp>,
}

impl From<Infrastructure> for InfrastructureView {
    fn from(infrastructure: Infrastructure) -> Self {
        let absent = Self {
            state: "absent",
            operation: None,
            at: None,
            module: None,
            outputs: BTreeMap::new(),
            ends_at: None,
        };
        let there = |state, provisioned: Provisioned| Self {
            state,
            operation: Some(provisioned.operation.to_string()),
            at: Some(provisioned.at),
            module: Some(provisioned.module.to_string()),
            outputs: outputs(provisioned.outputs),
            ends_at: provisioned.expires_at,
        };
        match infrastructure {
            Infrastructure::Absent => absent,
            Infrastructure::Present(provisioned) => there("present", provisioned),
            Infrastructure::Partial(provisioned) => there("partial", provisioned),
        }
    }
}
