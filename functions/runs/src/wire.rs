//! Runs as JSON.

use std::collections::BTreeMap;

use gatehouse_domain::{
    ci::{ProviderKind, RunStatus},
    runs::{FoundRun, Run},
};
use gatehouse_http::views::ReasonView;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A run as callers see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunView {
    /// Opaque.
    #[schema(example = "main:example-pipeline:hello-job:758924944")]
    run_id: String,
    /// The job that was run.
    job_id: String,
    /// How it stands.
    #[schema(value_type = String, example = "queued")]
    status: RunStatus,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The job's project at the time.
    project: String,
    /// Where it runs.
    provider: RunProviderView,
    /// Why it stands so, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonView>,
    /// The parameters it was given.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    parameters: BTreeMap<String, Value>,
    /// Those of the parameters that did not reach the CI system.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["git_sha"]))]
    undelivered: Vec<String>,
    /// Who started it through Gatehouse; missing when it was started elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    triggered_by: Option<String>,
    /// The run whose inputs it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    rerun_of: Option<String>,
    /// When it began to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// When somebody asked it to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    cancel_requested_at: Option<Timestamp>,
    /// Where people can see it in the CI system.
    #[serde(skip_serializing_if = "Option::is_none")]
    web_url: Option<String>,
    /// Why the CI system could not be asked just now, if so: the run is as it was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale: Option<String>,
}

/// Where a run runs.
#[derive(Debug, Serialize, ToSchema)]
struct RunProviderView {
    /// The provider's name.
    name: String,
    /// Its kind.
    #[schema(value_type = String)]
    kind: ProviderKind,
    /// The CI system's own word for the run's status.
    #[schema(example = "pending")]
    status: String,
    /// The number that people know the run by there.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        let undelivered = run.undelivered.keys().cloned().collect();
        let parameters = run.parameters.into_iter().map(|(name, value)| (name.into(), value));
        Self {
            run_id: run.id.to_string(),
            job_id: run.job_id.to_string(),
            status: run.status,
            created_at: run.created_at,
            project: run.project.to_string(),
            provider: RunProviderView {
                name: run.provider.to_string(),
                kind: run.target.kind(),
                status: run.provider_status,
                number: run.number,
            },
            reason: run.reason.map(Into::into),
            parameters: parameters.chain(run.undelivered).collect(),
            undelivered,
            triggered_by: run.triggered_by,
            rerun_of: run.rerun_of.map(|id| id.to_string()),
            started_at: run.started_at,
            finished_at: run.finished_at,
            cancel_requested_at: run.cancel_requested_at,
            web_url: run.web_url,
            stale: None,
        }
    }
}

impl From<FoundRun> for RunView {
    fn from(found: FoundRun) -> Self {
        Self { stale: found.stale, ..found.run.into() }
    }
}

/// One run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunAnswer {
    pub run: RunView,
}

/// A page of runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunsAnswer {
    pub runs: Vec<RunView>,
    /// Where the next page starts; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What a run is given.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TriggerBody {
    /// Values for the parameters that the job declares; for others, as far as the job keeps them.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub parameters: BTreeMap<String, Value>,
}

/// How a run is cancelled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelBody {
    /// End the run whether it reacts or not, where the CI system can.
    #[serde(default)]
    pub force: bool,
}
