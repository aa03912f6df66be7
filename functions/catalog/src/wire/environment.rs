//! How environments stand, as JSON.

use std::collections::BTreeMap;

use gatehouse_domain::{
    catalog::{
        Category, Deployed, Drift, DriftState, EnvironmentSpec, Infrastructure, OutputValue, PlanSummary,
        Provisioned,
    },
    operations::{EnvironmentStatus, Operation, OperationKind, ServiceStatus},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::OperationView;

/// What came out of a module under one name: a value, or that it is sensitive.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct OutputView {
    /// The value.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    /// `true` where the module calls it sensitive; its value is not kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sensitive: bool,
}

impl From<OutputValue> for OutputView {
    fn from(output: OutputValue) -> Self {
        match output {
            OutputValue::Value(value) => Self { value: Some(value), sensitive: false },
            OutputValue::Sensitive => Self { value: None, sensitive: true },
        }
    }
}

/// Outputs by name.
pub(super) fn outputs(outputs: BTreeMap<String, OutputValue>) -> BTreeMap<String, OutputView> {
    outputs.into_iter().map(|(name, value)| (name, value.into())).collect()
}

/// What of an environment exists.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct InfrastructureView {
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

/// What of an environment exists, as callers see it.
pub(super) fn infrastructure(infrastructure: Infrastructure) -> InfrastructureView {
    let absent = InfrastructureView {
        state: "absent",
        operation: None,
        at: None,
        module: None,
        outputs: BTreeMap::new(),
        ends_at: None,
    };
    let there = |state, provisioned: Provisioned| InfrastructureView {
        state,
        operation: Some(provisioned.operation.to_string()),
        at: Some(provisioned.at),
        module: Some(provisioned.module.to_string()),
        outputs: outputs(provisioned.outputs),
        ends_at: provisioned.ends_at,
    };
    match infrastructure {
        Infrastructure::Absent => absent,
        Infrastructure::Present(provisioned) => there("present", provisioned),
        Infrastructure::Partial(provisioned) => there("partial", provisioned),
    }
}

/// What was deployed last.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct DeployedView {
    /// By which operation.
    operation: String,
    /// Which version.
    version: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<Deployed> for DeployedView {
    fn from(deployed: Deployed) -> Self {
        Self { operation: deployed.operation.to_string(), version: deployed.version, at: deployed.at }
    }
}

/// What was last found about drift.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct DriftView {
    /// By which operation.
    operation: String,
    /// `none` or `detected`.
    #[schema(value_type = String, example = "none")]
    state: DriftState,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    checked_at: Timestamp,
    /// How much differs.
    #[schema(value_type = Object)]
    summary: PlanSummary,
}

impl From<Drift> for DriftView {
    fn from(drift: Drift) -> Self {
        let Drift { operation, state, checked_at, summary } = drift;
        Self { operation: operation.to_string(), state, checked_at, summary }
    }
}

/// How an environment stands.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct EnvironmentView {
    name: String,
    #[schema(value_type = String)]
    category: Category,
    approval_required: bool,
    infrastructure: InfrastructureView,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployed: Option<DeployedView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<DriftView>,
    /// The operation that is open in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<OperationView>,
    /// The last one that provisioned, deprovisioned or looked for drift.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_provisioning: Option<OperationView>,
    /// The last deploy.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_deploy: Option<OperationView>,
}

/// How a service's environments stand.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct StatusAnswer {
    service_id: String,
    service: String,
    environments: Vec<EnvironmentView>,
}

impl From<ServiceStatus> for StatusAnswer {
    fn from(status: ServiceStatus) -> Self {
        let service = status.service;
        let specs = service.spec.environments;
        Self {
            service_id: service.id.to_string(),
            service: service.name.to_string(),
            environments: specs.into_iter().zip(status.environments).map(environment).collect(),
        }
    }
}

fn environment((spec, status): (EnvironmentSpec, EnvironmentStatus)) -> EnvironmentView {
    EnvironmentView {
        name: spec.name.to_string(),
        category: spec.category,
        approval_required: spec.approval_required,
        infrastructure: infrastructure(status.state.infrastructure),
        deployed: status.state.deployed.map(Into::into),
        drift: status.state.drift.map(Into::into),
        running: status.running.map(Into::into),
        last_provisioning: status.last_provisioning.map(Into::into),
        last_deploy: status.last_deploy.map(Into::into),
    }
}

/// How the deploys to an environment stand.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct EnvironmentDeploysView {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployed: Option<DeployedView>,
    /// The deploy that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<OperationView>,
    /// The last deploy.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_deploy: Option<OperationView>,
}

/// How a service's deploys stand.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct DeployStatusAnswer {
    service_id: String,
    service: String,
    environments: Vec<EnvironmentDeploysView>,
}

impl From<ServiceStatus> for DeployStatusAnswer {
    fn from(status: ServiceStatus) -> Self {
        let deploy = |operation: &Operation| operation.work.kind() == OperationKind::Deploy;
        let view = |status: EnvironmentStatus| EnvironmentDeploysView {
            name: status.state.name.to_string(),
            deployed: status.state.deployed.map(Into::into),
            running: status.running.filter(deploy).map(Into::into),
            last_deploy: status.last_deploy.map(Into::into),
        };
        Self {
            service_id: status.service.id.to_string(),
            service: status.service.name.to_string(),
            environments: status.environments.into_iter().map(view).collect(),
        }
    }
}
