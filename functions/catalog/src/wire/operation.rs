//! What is answered about operations.

use gatehouse_domain::{
    catalog::PlanSummary,
    operations::{Asked, ListedOperation, Operation},
};
use gatehouse_http::views::{OperationView, PastOperationView};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// One operation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OperationAnswer {
    operation: OperationView,
}

impl From<Operation> for OperationAnswer {
    fn from(operation: Operation) -> Self {
        Self { operation: operation.into() }
    }
}

/// An operation in the list over all services. `GET /v1/operations/{operation_id}` has the rest.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ListedOperationView {
    /// Unique in the installation.
    #[schema(example = "op_0k6p2q9v8m4t1c7d3f5g0h2j4k")]
    id: String,
    /// `provision`, `deprovision`, `drift` or `deploy`.
    kind: &'static str,
    service_id: String,
    service: String,
    tenant: String,
    project: String,
    environment: String,
    /// `queued`, `planning`, `awaiting_approval`, `applying`, `deploying`, `cancelling`, and at its end
    /// `succeeded`, `failed`, `cancelled`, `rejected` or `timed_out`.
    status: &'static str,
    /// Since when it stands so.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    requested_by: String,
    /// The person behind them: of a key, whoever minted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Timestamp,
    /// The module that Terraform applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    /// The version that is deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// How many resources come, change and go.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    plan: Option<PlanSummary>,
    /// The group whose approval it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "group:default/payments-leads")]
    approval_group: Option<String>,
}

impl From<ListedOperation> for ListedOperationView {
    fn from(operation: ListedOperation) -> Self {
        let Asked { by, on_behalf_of, at } = operation.requested;
        Self {
            id: operation.id.to_string(),
            kind: operation.kind.as_str(),
            service_id: operation.service.to_string(),
            service: operation.service_name.to_string(),
            tenant: operation.tenant.to_string(),
            project: operation.project.to_string(),
            environment: operation.environment.to_string(),
            status: operation.status.as_str(),
            since: operation.since,
            requested_by: by,
            on_behalf_of,
            requested_at: at,
            module: operation.module.map(|module| module.to_string()),
            version: operation.version,
            plan: operation.plan,
            approval_group: operation.approval_group.map(|group| group.to_string()),
        }
    }
}

/// A page of operations of all services.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AllOperationsAnswer {
    pub(crate) operations: Vec<ListedOperationView>,
    /// Where the next page starts; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// A page of the operations of a service. `GET /services/{service_id}/operations/{operation_id}` has the log of each.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OperationsAnswer {
    pub(crate) operations: Vec<PastOperationView>,
    /// Where the next page starts; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}
