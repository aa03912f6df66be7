//! The table: requests, runs and leases, each call at once or not at all.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;

use super::{ci, world::World};
use crate::{
    audit::Entry,
    ci::{ProviderKind, Sharing},
    idempotency::RequestKey,
    jobs::{FindJob, Job, JobSpec},
    name::{JobId, ProviderName},
    providers::{FindProvider, Provider},
    revision::Revision,
    runs::{
        FindRun, RecordRun, Run, RunId,
        pins::{PinLease, PinLeases},
        start::{BeginOutcome, FinishOutcome, RunRequest, RunRequestState, RunRequests},
    },
    store::StoreError,
    tenant::{CountTenants, Population},
};

pub(super) const JOB: &str = "deploy";

/// The job, whose parameter is the version of a resource.
pub(super) fn job() -> Job {
    let spec: JobSpec = serde_json::from_value(json!({
        "project": "payments", "display_name": "Deploy", "provider": "concourse",
        "target": { "kind": "concourse", "ref": { "team": "main", "pipeline": "app", "job": JOB } },
        "parameters": [{ "name": "ref", "type": "string", "required": true,
            "deliver": { "resource": ci::RESOURCE, "field": ci::FIELD } }],
    }))
    .unwrap();
    Job {
        id: JOB.parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        spec,
        revision: Revision::unverified("r1".to_owned()),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        updated_by: "user:ada".to_owned(),
    }
}

impl World {
    async fn store<T: Send>(&self, act: impl FnOnce(&Self) -> T + Send) -> Result<T, StoreError> {
        self.end_looking();
        self.turns().await;
        let done = act(self);
        self.turns().await;
        Ok(done)
    }

    fn is_held(&self, request: &RunRequest) -> bool {
        self.state().requests.get(request.key.as_str()).is_some_and(|stored| stored.state == request.state)
    }
}

#[async_trait]
impl FindJob for World {
    async fn find_job(&self, _: &JobId) -> Result<Option<Job>, StoreError> {
        self.store(|_| Some(job())).await
    }
}

#[async_trait]
impl FindProvider for World {
    async fn find_provider(&self, name: &ProviderName) -> Result<Option<Provider>, StoreError> {
        let provider = Provider {
            name: name.clone(),
            kind: ProviderKind::Concourse,
            url: None,
            account: None,
            ca_certificate: None,
            sharing: Sharing::OpenToAll,
            revision: Revision::unverified("r1".to_owned()),
            credentials_version: "c1".to_owned(),
            updated_at: Timestamp::UNIX_EPOCH,
            updated_by: "user:ada".to_owned(),
        };
        self.store(|_| Some(provider)).await
    }
}

#[async_trait]
impl CountTenants for World {
    async fn population(&self) -> Result<Population, StoreError> {
        self.store(|_| Population::Several).await
    }
}

#[async_trait]
impl FindRun for World {
    async fn find_run(&self, id: &RunId) -> Result<Option<Run>, StoreError> {
        self.store(|world| world.state().runs.get(id).cloned()).await
    }

    async fn find_runs(&self, ids: &BTreeSet<RunId>) -> Result<Vec<Run>, StoreError> {
        let found = |world: &Self| {
            let state = world.state();
            ids.iter().filter_map(|id| state.runs.get(id).cloned()).collect()
        };
        self.store(found).await
    }
}

#[async_trait]
impl RecordRun for World {
    async fn record_observation(&self, _: &Run) -> Result<(), StoreError> {
        unreachable!("builds never begin")
    }

    async fn record_delivery(&self, run: &Run) -> Result<(), StoreError> {
        self.store(|world| {
            if let Some(stored) = world.state().runs.get_mut(&run.id) {
                let Run { parameters, undelivered, awaited, .. } = run.clone();
                *stored = Run { parameters, undelivered, awaited, ..stored.clone() };
            }
        })
        .await
    }

    async fn record_cancel_request(&self, _: &Run) -> Result<(), StoreError> {
        unreachable!("nobody cancels")
    }
}

#[async_trait]
impl RunRequests for World {
    async fn find_request(&self, key: &RequestKey, _: Timestamp) -> Result<Option<RunRequest>, StoreError> {
        self.store(|world| world.state().requests.get(key.as_str()).cloned()).await
    }

    async fn begin_request(&self, request: &RunRequest, _: &Entry) -> Result<BeginOutcome, StoreError> {
        self.store(|world| {
            let mut state = world.state();
            if let Some(existing) = state.requests.get(request.key.as_str()) {
                return BeginOutcome::Exists(Box::new(existing.clone()));
            }
            state.requests.insert(request.key.as_str().to_owned(), request.clone());
            BeginOutcome::Begun
        })
        .await
    }

    async fn hold_request(&self, request: &RunRequest, state: &RunRequestState) -> Result<bool, StoreError> {
        self.store(|world| {
            let held = world.is_held(request);
            if held {
                let held = RunRequest { state: state.clone(), ..request.clone() };
                world.state().requests.insert(request.key.as_str().to_owned(), held);
            }
            held
        })
        .await
    }

    async fn finish_request(&self, request: &RunRequest, run: &Run) -> Result<FinishOutcome, StoreError> {
        self.store(|world| {
            if !world.is_held(request) {
                return FinishOutcome::HoldLost;
            }
            let mut state = world.state();
            if state.runs.contains_key(&run.id) {
                return FinishOutcome::BuildTaken;
            }
            state.runs.insert(run.id.clone(), run.clone());
            let finished = RunRequestState::Finished { run: Box::new(run.clone()) };
            let finished = RunRequest { state: finished, ..request.clone() };
            state.requests.insert(request.key.as_str().to_owned(), finished);
            FinishOutcome::Finished
        })
        .await
    }

    async fn abandon_request(&self, request: &RunRequest) -> Result<(), StoreError> {
        self.store(|world| {
            if world.is_held(request) {
                world.state().requests.remove(request.key.as_str());
            }
        })
        .await
    }

    async fn open_requests(&self, _: &JobId) -> Result<Vec<RunRequest>, StoreError> {
        let open = |request: &&RunRequest| matches!(request.state, RunRequestState::Open { .. });
        self.store(|world| world.state().requests.values().filter(open).cloned().collect()).await
    }
}

#[async_trait]
impl PinLeases for World {
    async fn begin_pins(&self, lease: &PinLease) -> Result<bool, StoreError> {
        self.store(|world| {
            let mut state = world.state();
            let free = !state.leases.contains_key(&lease.scope);
            if free {
                state.leases.insert(lease.scope.clone(), lease.clone());
            }
            free
        })
        .await
    }

    async fn find_pins(&self, scope: &str) -> Result<Option<PinLease>, StoreError> {
        self.store(|world| world.state().leases.get(scope).cloned()).await
    }

    async fn change_pins(&self, lease: &PinLease, changed: &PinLease) -> Result<bool, StoreError> {
        self.store(|world| {
            let mut state = world.state();
            let unchanged = state.leases.get(&lease.scope).is_some_and(|stored| is_as_read(stored, lease));
            if unchanged {
                state.leases.insert(lease.scope.clone(), changed.clone());
            }
            unchanged
        })
        .await
    }

    async fn end_pins(&self, lease: &PinLease) -> Result<(), StoreError> {
        self.store(|world| world.state().leases.retain(|_, stored| !is_as_read(stored, lease))).await
    }

    async fn open_pins(&self) -> Result<Vec<PinLease>, StoreError> {
        self.store(|world| world.state().leases.values().cloned().collect()).await
    }
}

fn is_as_read(stored: &PinLease, read: &PinLease) -> bool {
    (stored.held_until, &stored.request) == (read.held_until, &read.request)
}
