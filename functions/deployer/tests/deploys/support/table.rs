//! The table.

use async_trait::async_trait;
use gatehouse_domain::{
    audit::{AppendAudit, Entry},
    catalog::Settled,
    ci::Target,
    id::OperationId,
    idempotency::RequestKey,
    jobs::{FindJob, FindJobsByTarget, Job},
    name::{JobId, ProviderName},
    operations::{BeginOutcome, FindOperation, Operation, SaveOperation},
    revision::{EditOutcome, Revision},
    runs::{
        FindRun, RecordRun, Run, RunId,
        start::{self, FinishOutcome, RunRequest, RunRequestState, RunRequests},
    },
    store::StoreError,
};
use jiff::Timestamp;

use super::Twin;

#[async_trait]
impl FindOperation for Twin {
    async fn find_operation(&self, id: &OperationId) -> Result<Option<Operation>, StoreError> {
        let world = self.world();
        if world.table_is_down {
            return Err(StoreError::Unavailable("a secret of the wire".into()));
        }
        Ok(world.operations.iter().find(|operation| operation.id == *id).cloned())
    }

    async fn find_operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError> {
        let found = self.world().operations.clone();
        Ok(found.into_iter().filter(|operation| ids.contains(&operation.id)).collect())
    }
}

#[async_trait]
impl SaveOperation for Twin {
    async fn begin_operation(
        &self,
        _operation: &Operation,
        _service: &Revision,
        _entry: &Entry,
    ) -> Result<BeginOutcome, StoreError> {
        Err(StoreError::Unavailable("the deployer begins no operations".into()))
    }

    async fn save_operation(
        &self,
        operation: &Operation,
        _settled: Option<&Settled>,
        _entry: Option<&Entry>,
    ) -> Result<EditOutcome, StoreError> {
        let mut world = self.world();
        let kept = world.operations.iter_mut().find(|kept| kept.id == operation.id).expect("it was read");
        if kept.version + 1 != operation.version {
            return Ok(EditOutcome::Conflict);
        }
        *kept = operation.clone();
        Ok(EditOutcome::Done)
    }
}

#[async_trait]
impl FindJob for Twin {
    async fn find_job(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.world().jobs.iter().find(|job| job.id == *id).cloned())
    }
}

#[async_trait]
impl FindJobsByTarget for Twin {
    async fn jobs_with_target(
        &self,
        _provider: &ProviderName,
        target: &Target,
    ) -> Result<Vec<Job>, StoreError> {
        let jobs = self.world().jobs.clone();
        Ok(jobs.into_iter().filter(|job| job.spec.target == *target).collect())
    }
}

#[async_trait]
impl FindRun for Twin {
    async fn find_run(&self, id: &RunId) -> Result<Option<Run>, StoreError> {
        Ok(self.world().runs.iter().find(|run| run.id == *id).cloned())
    }
}

impl Twin {
    fn write_run(&self, run: &Run) {
        let mut world = self.world();
        let kept = world.runs.iter_mut().find(|kept| kept.id == run.id).expect("it was recorded");
        *kept = run.clone();
    }
}

#[async_trait]
impl RecordRun for Twin {
    async fn record_observation(&self, run: &Run) -> Result<(), StoreError> {
        self.write_run(run);
        Ok(())
    }

    async fn record_cancel_request(&self, run: &Run) -> Result<(), StoreError> {
        self.write_run(run);
        Ok(())
    }
}

#[async_trait]
impl RunRequests for Twin {
    async fn find_request(
        &self,
        key: &RequestKey,
        _now: Timestamp,
    ) -> Result<Option<RunRequest>, StoreError> {
        Ok(self.world().starts.iter().find(|start| start.key == *key).cloned())
    }

    async fn begin_request(
        &self,
        start: &RunRequest,
        entry: &Entry,
    ) -> Result<start::BeginOutcome, StoreError> {
        let mut world = self.world();
        if let Some(existing) = world.starts.iter().find(|kept| kept.key == start.key) {
            return Ok(start::BeginOutcome::Exists(Box::new(existing.clone())));
        }
        world.starts.push(start.clone());
        world.trail.push(entry.clone());
        Ok(start::BeginOutcome::Begun)
    }

    async fn hold_request(&self, start: &RunRequest, state: &RunRequestState) -> Result<bool, StoreError> {
        let mut world = self.world();
        let kept = world.starts.iter_mut().find(|kept| *kept == start);
        Ok(kept.map(|kept| kept.state = state.clone()).is_some())
    }

    async fn finish_request(&self, start: &RunRequest, run: &Run) -> Result<FinishOutcome, StoreError> {
        let mut world = self.world();
        if world.runs.iter().any(|kept| kept.id == run.id) {
            return Ok(FinishOutcome::BuildTaken);
        }
        let Some(kept) = world.starts.iter_mut().find(|kept| *kept == start) else {
            return Ok(FinishOutcome::HoldLost);
        };
        kept.state = RunRequestState::Finished(Box::new(run.clone()));
        world.runs.push(run.clone());
        Ok(FinishOutcome::Finished)
    }

    async fn abandon_request(&self, start: &RunRequest) -> Result<(), StoreError> {
        self.world().starts.retain(|kept| kept.key != start.key);
        Ok(())
    }

    async fn open_requests(&self, job: &JobId) -> Result<Vec<RunRequest>, StoreError> {
        let mut open = self.world().starts.clone();
        open.retain(|start| start.job_id == *job && matches!(start.state, RunRequestState::Open { .. }));
        Ok(open)
    }
}

#[async_trait]
impl AppendAudit for Twin {
    async fn append_audit(&self, entry: &Entry) -> Result<(), StoreError> {
        self.world().trail.push(entry.clone());
        Ok(())
    }
}
