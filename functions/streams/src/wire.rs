//! How environments stand, as JSON.

use gatehouse_domain::{
    catalog::{Category, Deployed, Drift, DriftState, EnvironmentSpec, PlanSummary},
    operations::{EnvironmentStatus, Operation, OperationKind, ServiceStatus},
};
use gatehouse_http::views::{InfrastructureView, OperationView};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

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
    /// How many hours are between two looks for drift that nobody asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    drift_hours: Option<u32>,
    /// When the next of these is due, where something is provisioned. One that is due waits for the end of an operation
    /// that is open, and at most some minutes for the janitor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_drift_check: Option<Timestamp>,
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
        infrastructure: status.state.infrastructure.into(),
        deployed: status.state.deployed.map(Into::into),
        drift: status.state.drift.map(Into::into),
        drift_hours: spec.drift_hours,
        next_drift_check: status.next_drift_check,
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
    /// The open deploy.
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
