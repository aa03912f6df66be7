//! What the table holds of runs and of requests for them, in memory: with the same conditions.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    ci::{ProviderKind, Sharing},
    idempotency::RequestKey,
    jobs::{Job, JobSpec},
    name::JobId,
    providers::Provider,
    revision::Revision,
    runs::{
        Run, RunId,
        start::{BeginOutcome, FinishOutcome, RunRequest, RunRequestState},
    },
};

/// The runs, and the requests for them by their keys.
#[derive(Default)]
pub(crate) struct RunItems {
    pub runs: BTreeMap<RunId, Run>,
    pub requests: BTreeMap<String, RunRequest>,
}

impl RunItems {
    pub(crate) fn runs_of(&self, ids: &BTreeSet<RunId>) -> Vec<Run> {
        ids.iter().filter_map(|id| self.runs.get(id).cloned()).collect()
    }

    pub(crate) fn request(&self, key: &RequestKey) -> Option<RunRequest> {
        self.requests.get(key.as_str()).cloned()
    }

    pub(crate) fn put(&mut self, request: RunRequest) {
        self.requests.insert(request.key.as_str().to_owned(), request);
    }

    /// Whether the request stands as `seen` says.
    fn is_held(&self, seen: &RunRequest) -> bool {
        self.requests.get(seen.key.as_str()).is_some_and(|stored| stored.state == seen.state)
    }

    pub(crate) fn begin(&mut self, request: &RunRequest) -> BeginOutcome {
        if let Some(existing) = self.request(&request.key) {
            return BeginOutcome::Exists(Box::new(existing));
        }
        self.put(request.clone());
        BeginOutcome::Begun
    }

    pub(crate) fn hold(&mut self, request: &RunRequest, state: &RunRequestState) -> bool {
        let held = self.is_held(request);
        if held {
            self.put(RunRequest { state: state.clone(), ..request.clone() });
        }
        held
    }

    pub(crate) fn finish(&mut self, request: &RunRequest, run: &Run) -> FinishOutcome {
        if !self.is_held(request) {
            return FinishOutcome::HoldLost;
        }
        if self.runs.contains_key(&run.id) {
            return FinishOutcome::BuildTaken;
        }
        self.runs.insert(run.id.clone(), run.clone());
        let state = RunRequestState::Finished { run: Box::new(run.clone()) };
        self.put(RunRequest { state, ..request.clone() });
        FinishOutcome::Finished
    }

    pub(crate) fn abandon(&mut self, request: &RunRequest) {
        if self.is_held(request) {
            self.requests.remove(request.key.as_str());
        }
    }

    pub(crate) fn open(&self, job: &JobId) -> Vec<RunRequest> {
        let open = |request: &&RunRequest| {
            request.job_id == *job && matches!(request.state, RunRequestState::Open { .. })
        };
        self.requests.values().filter(open).cloned().collect()
    }
}

/// A job of tenant `acme`.
pub(crate) fn job(id: &str, spec: JobSpec) -> Job {
    Job {
        id: id.parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        spec,
        revision: Revision::unverified("r1".to_owned()),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        updated_by: "user:ada".to_owned(),
    }
}

/// The provider `concourse`, which everybody may use.
pub(crate) fn provider() -> Provider {
    Provider {
        name: "concourse".parse().unwrap(),
        kind: ProviderKind::Concourse,
        url: None,
        account: None,
        ca_certificate: None,
        sharing: Sharing::OpenToAll,
        revision: Revision::unverified("r1".to_owned()),
        credentials_version: "c1".to_owned(),
        updated_at: Timestamp::UNIX_EPOCH,
        updated_by: "user:ada".to_owned(),
    }
}
