//! The table: requests, runs and leases, each call at once or not at all.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;

use super::{ci, memory, world::World};
use crate::{
    audit::Entry,
    idempotency::RequestKey,
    jobs::{FindJob, Job, JobSpec},
    name::{JobId, ProviderName},
    providers::{FindProvider, Provider},
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
    memory::job(JOB, spec)
}

impl World {
    async fn store<T: Send>(&self, act: impl FnOnce(&Self) -> T + Send) -> Result<T, StoreError> {
        self.end_looking();
        self.turns().await;
        let done = act(self);
        self.turns().await;
        Ok(done)
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
    async fn find_provider(&self, _: &ProviderName) -> Result<Option<Provider>, StoreError> {
        self.store(|_| Some(memory::provider())).await
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
        self.store(|world| world.state().items.runs.get(id).cloned()).await
    }

    async fn find_runs(&self, ids: &BTreeSet<RunId>) -> Result<Vec<Run>, StoreError> {
        self.store(|world| world.state().items.runs_of(ids)).await
    }
}

#[async_trait]
impl RecordRun for World {
    async fn record_observation(&self, _: &Run) -> Result<(), StoreError> {
        unreachable!("builds never begin")
    }

    async fn record_delivery(&self, run: &Run) -> Result<(), StoreError> {
        self.store(|world| {
            if let Some(stored) = world.state().items.runs.get_mut(&run.id) {
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
        self.store(|world| world.state().items.request(key)).await
    }

    async fn begin_request(&self, request: &RunRequest, _: &Entry) -> Result<BeginOutcome, StoreError> {
        self.store(|world| world.state().items.begin(request)).await
    }

    async fn hold_request(&self, request: &RunRequest, state: &RunRequestState) -> Result<bool, StoreError> {
        self.store(|world| world.state().items.hold(request, state)).await
    }

    async fn finish_request(&self, request: &RunRequest, run: &Run) -> Result<FinishOutcome, StoreError> {
        self.store(|world| world.state().items.finish(request, run)).await
    }

    async fn abandon_request(&self, request: &RunRequest) -> Result<(), StoreError> {
        self.store(|world| world.state().items.abandon(request)).await
    }

    async fn open_requests(&self, job: &JobId) -> Result<Vec<RunRequest>, StoreError> {
        self.store(|world| world.state().items.open(job)).await
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
