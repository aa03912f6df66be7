//! Operations as JSON.

use std::collections::BTreeMap;

use gatehouse_domain::{
    catalog::{Link, PlanSummary},
    json,
    operations::{Asked, Operation, State, Step, StepState, Verdict, Work},
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    infrastructure::{OutputView, outputs},
    link::LinkView,
};

/// An operation.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct OperationView {
    #[serde(flatten)]
    operation: PastOperationView,
    /// The last lines that its worker wrote.
    log: Vec<String>,
}

/// An operation in the history of its service, which is all of it but the log.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct PastOperationView {
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
    /// Why it ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    requested_by: String,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Timestamp,
    /// When it is ended at the latest.
    #[schema(value_type = String, format = DateTime)]
    deadline: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// The module that Terraform applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    /// Its inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    inputs: Option<json::Object>,
    /// The names of those that are secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secret_inputs: Vec<String>,
    /// The version that is deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    approval: ApprovalView,
    /// Who asked it to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Option<AskedView>,
    /// The worker's attempt, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// When its worker was last heard of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_heard_at: Option<Timestamp>,
    /// How many resources come, change and go.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    plan: Option<PlanSummary>,
    /// What came out.
    outputs: BTreeMap<String, OutputView>,
    /// Its steps, the oldest first.
    steps: Vec<StepView>,
    /// Where to read on.
    #[schema(value_type = Vec<LinkView>)]
    links: Vec<Link>,
    /// The run that deploys.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
}

/// Whether somebody has to agree, and what they said.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct ApprovalView {
    required: bool,
    /// The group that whoever approves has to be in: `group:default/leads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Since when it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approved: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

impl ApprovalView {
    fn of(required: bool, group: Option<String>, state: &State, verdict: Option<Verdict>) -> Self {
        let since = match state {
            State::AwaitingApproval { since, .. } => Some(*since),
            State::Requested | State::Running { .. } | State::Ended { .. } => None,
        };
        let approved = verdict.as_ref().map(|verdict| verdict.approved);
        let (asked, comment) = verdict.map(|verdict| (verdict.asked, verdict.comment)).unzip();
        Self {
            required,
            group,
            since,
            approved,
            at: asked.as_ref().map(|asked| asked.at),
            by: asked.map(|asked| asked.by),
            comment: comment.flatten(),
        }
    }
}

/// Who asked for something, and when.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct AskedView {
    by: String,
    /// The person behind them: of a key, whoever minted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<Asked> for AskedView {
    fn from(Asked { by, on_behalf_of, at }: Asked) -> Self {
        Self { by, on_behalf_of, at }
    }
}

/// A step of an operation.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct StepView {
    /// `init`, `plan`, `apply`, `run`, …
    name: String,
    /// The attempt that it is part of.
    attempt: u32,
    /// `running`, `succeeded` or `failed`.
    #[schema(value_type = String)]
    state: StepState,
    /// How far it is, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    percentage: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

impl From<Step> for StepView {
    fn from(step: Step) -> Self {
        let Step { name, attempt, state, percentage, message, started_at, ended_at } = step;
        Self { name, attempt, state, percentage, message, started_at, ended_at }
    }
}

impl From<Operation> for OperationView {
    fn from(mut operation: Operation) -> Self {
        let log = std::mem::take(&mut operation.log);
        Self { operation: operation.into(), log }
    }
}

impl From<Operation> for PastOperationView {
    fn from(operation: Operation) -> Self {
        let status = operation.status();
        let kind = operation.work.kind().as_str();
        let (ended_at, reason) = match &operation.state {
            State::Ended { at, reason, .. } => (Some(*at), reason.clone()),
            State::Requested | State::Running { .. } | State::AwaitingApproval { .. } => (None, None),
        };
        let (configuration, version) = match operation.work {
            Work::Provision(given) | Work::Deprovision(given) | Work::Drift(given) => (Some(given), None),
            Work::Deploy { version, .. } => (None, Some(version)),
        };
        let secrets = configuration.iter().flat_map(|given| given.secret_inputs.names());
        let secret_inputs = secrets.map(str::to_owned).collect();
        let (module, inputs) = configuration.map(|given| (given.module.to_string(), given.inputs)).unzip();
        Self {
            id: operation.id.to_string(),
            kind,
            service_id: operation.service.to_string(),
            service: operation.service_name.to_string(),
            tenant: operation.tenant.to_string(),
            project: operation.project.to_string(),
            environment: operation.environment.to_string(),
            status,
            reason,
            requested_by: operation.requested.by,
            requested_at: operation.requested.at,
            deadline: operation.deadline,
            updated_at: operation.updated_at,
            ended_at,
            module,
            inputs,
            secret_inputs,
            version,
            approval: ApprovalView::of(
                operation.approval_required,
                operation.approval_group.map(|group| group.to_string()),
                &operation.state,
                operation.verdict,
            ),
            cancel: operation.cancel.map(Into::into),
            attempt: operation.attempt.as_ref().map(|attempt| attempt.number),
            last_heard_at: operation.attempt.as_ref().map(|attempt| attempt.heard_at),
            plan: operation.plan,
            outputs: outputs(operation.outputs),
            steps: operation.steps.into_iter().map(Into::into).collect(),
            links: operation.links,
            run_id: operation.run.map(|run| run.to_string()),
        }
    }
}
