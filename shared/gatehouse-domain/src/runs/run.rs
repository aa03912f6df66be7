//! A run, as Gatehouse last saw it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ci::{Build, BuildId, Reason, ReasonCode, RunStatus, Taken, Target, WantedVersion},
    jobs::Job,
    json_text,
    name::{JobId, ParameterName, ProjectName, ProviderName, TenantId},
    paging::{ListError, Page, PageRequest},
    parameter::Undelivered,
    runs::id::RunId,
    store::StoreError,
};

/// A run, as Gatehouse last saw it, and as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    #[serde(rename = "run_id")]
    pub id: RunId,
    /// The job that was run.
    pub job_id: JobId,
    /// The job's project at the time.
    pub project: ProjectName,
    /// The tenant that may see it.
    pub tenant: TenantId,
    pub provider: ProviderName,
    /// What was run, with the instance variables that were chosen.
    pub target: Target,
    pub build: BuildId,
    /// The number that people know it by there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    pub status: RunStatus,
    /// The CI system's own word for it.
    pub provider_status: String,
    /// Why it stands so, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The parameters it was given, and has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<ParameterName, Value>,
    /// The parameters it was given that did not reach the CI system.
    #[serde(default, with = "json_text", skip_serializing_if = "BTreeMap::is_empty")]
    pub undelivered: Undelivered,
    /// The versions that it was to take, while it is not known whether it did. Their parameters are not delivered
    /// until then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaited: Vec<WantedVersion>,
    /// Who started it through Gatehouse; `None` when it was started elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggered_by: Option<String>,
    /// The run whose inputs it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<RunId>,
    /// When it was asked for. For a run started elsewhere: when it began, as far as is known.
    pub created_at: Timestamp,
    /// When it began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// When somebody asked it to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_requested_at: Option<Timestamp>,
    /// Where people can see it in the CI system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_url: Option<String>,
}

impl Run {
    /// The run that `build` is, of `job`.
    pub(super) fn of_build(job: &Job, build: Build, now: Timestamp) -> Self {
        Self {
            id: RunId::of_build(&job.spec.provider, &build),
            job_id: job.id.clone(),
            project: job.spec.project.clone(),
            tenant: job.tenant.clone(),
            provider: job.spec.provider.clone(),
            target: build.target,
            build: build.id,
            number: build.number,
            status: build.status,
            provider_status: build.provider_status,
            reason: build.reason,
            parameters: BTreeMap::new(),
            undelivered: Undelivered::new(),
            awaited: Vec::new(),
            triggered_by: None,
            rerun_of: None,
            created_at: build.started_at.unwrap_or(now),
            started_at: build.started_at,
            finished_at: build.finished_at,
            cancel_requested_at: None,
            web_url: build.web_url,
        }
    }

    /// The run with what the CI system says of it now. A run that was asked to stop and has not ended is
    /// `cancelling`; one that has ended stays as it ended.
    #[must_use]
    pub fn observed(self, build: Build) -> Self {
        if self.status.is_terminal() {
            return self;
        }
        let asked = self.cancel_requested_at.is_some() && !build.status.is_terminal();
        Self {
            status: if asked { RunStatus::Cancelling } else { build.status },
            provider_status: build.provider_status,
            reason: build.reason,
            started_at: build.started_at.or(self.started_at),
            finished_at: build.finished_at,
            web_url: build.web_url.or(self.web_url),
            number: build.number.or(self.number),
            ..self
        }
    }

    /// The run with what its build took: the parameters of versions that it took are delivered, and those of others
    /// are not, for good.
    #[must_use]
    pub fn having_taken(mut self, taken: &Taken) -> Self {
        let versions = match taken {
            Taken::NotYet => return self,
            Taken::Versions(versions) => versions,
            Taken::Nothing => &BTreeMap::new(),
        };
        for wanted in std::mem::take(&mut self.awaited) {
            if wanted.is_among(versions) {
                for name in wanted.parameters {
                    let value = self.undelivered.remove(name.as_str());
                    self.parameters.extend(value.map(|value| (name, value)));
                }
            }
        }
        self
    }

    /// The run whose build the CI system no longer has, `detail` as it says so. One that has ended stays as it
    /// ended.
    #[must_use]
    pub fn gone(self, detail: String) -> Self {
        if self.status.is_terminal() {
            return self;
        }
        let reason = Some(Reason { code: ReasonCode::GoneFromProvider, detail });
        Self { status: RunStatus::Errored, reason, ..self }
    }
}

/// Looks runs up. Needs `dynamodb:GetItem`; for several, `dynamodb:BatchGetItem`.
#[async_trait]
pub trait FindRun: Send + Sync {
    /// Returns `None` when no such run was recorded. Strongly consistent.
    async fn find_run(&self, id: &RunId) -> Result<Option<Run>, StoreError>;

    /// Those of the runs that were recorded, each once, in any order. Strongly consistent; one call for 100 runs.
    async fn find_runs(&self, ids: &BTreeSet<RunId>) -> Result<Vec<Run>, StoreError>;
}

/// Lists runs. Needs `dynamodb:Query`.
#[async_trait]
pub trait ListRuns: Send + Sync {
    /// A page of the job's recorded runs, the newest first; may miss those of the last second.
    async fn list_runs(&self, job: &JobId, page: &PageRequest) -> Result<Page<Run>, ListError>;
}

/// Writes down what was seen of runs. Needs `dynamodb:UpdateItem` and `dynamodb:PutItem`.
#[async_trait]
pub trait RecordRun: Send + Sync {
    /// Writes status, times and reason, unless the record says already that the run has ended.
    async fn record_observation(&self, run: &Run) -> Result<(), StoreError>;

    /// Writes what of the parameters was delivered, whether the run has ended or not.
    async fn record_delivery(&self, run: &Run) -> Result<(), StoreError>;

    /// Writes that the run was asked to stop, and the whole run where there is no record yet. An earlier
    /// request stands.
    async fn record_cancel_request(&self, run: &Run) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci::ConcourseTarget;

    fn build(status: RunStatus) -> Build {
        let target = ConcourseTarget {
            team: "main".into(),
            pipeline: "app".into(),
            job: "build".into(),
            vars: serde_json::Map::new(),
        };
        Build {
            id: BuildId("7".into()),
            target: Target::Concourse(target),
            status,
            provider_status: status.as_str().into(),
            reason: None,
            started_at: None,
            finished_at: None,
            web_url: None,
            number: None,
        }
    }

    fn run(status: RunStatus, cancel_requested_at: Option<Timestamp>) -> Run {
        let build = build(status);
        Run {
            id: RunId::of_build(&"concourse".parse().unwrap(), &build),
            job_id: "j".parse().unwrap(),
            project: "p".parse().unwrap(),
            tenant: "t".parse().unwrap(),
            provider: "concourse".parse().unwrap(),
            target: build.target,
            build: build.id,
            number: None,
            status,
            provider_status: build.provider_status,
            reason: None,
            parameters: BTreeMap::new(),
            undelivered: Undelivered::new(),
            awaited: Vec::new(),
            triggered_by: None,
            rerun_of: None,
            created_at: Timestamp::UNIX_EPOCH,
            started_at: None,
            finished_at: None,
            cancel_requested_at,
            web_url: None,
        }
    }

    #[test]
    fn a_run_that_was_asked_to_stop_is_cancelling_until_it_ends() {
        let asked = run(RunStatus::Running, Some(Timestamp::UNIX_EPOCH));
        assert_eq!(asked.clone().observed(build(RunStatus::Running)).status, RunStatus::Cancelling);
        assert_eq!(asked.observed(build(RunStatus::Cancelled)).status, RunStatus::Cancelled);
    }

    #[test]
    fn a_run_whose_build_is_gone_has_ended() {
        let gone = run(RunStatus::Running, Some(Timestamp::UNIX_EPOCH)).gone("no such build".to_owned());
        assert_eq!(gone.status, RunStatus::Errored);
        assert_eq!(gone.reason.map(|reason| reason.code), Some(ReasonCode::GoneFromProvider));
    }

    #[test]
    fn a_run_that_ended_stays_as_it_ended() {
        let ended = run(RunStatus::Succeeded, None);
        assert_eq!(ended.clone().gone("no such build".to_owned()), ended);
        assert_eq!(ended.observed(build(RunStatus::Failed)).status, RunStatus::Succeeded);
    }
}
