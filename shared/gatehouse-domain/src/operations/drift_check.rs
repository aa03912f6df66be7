//! Looking for drift by schedule: what the janitor asks for when the slot of an environment has come.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Asked, FindOperation, SaveOperation,
    request::{Ask, RequestError, Requested, begin, draft, is_over, janitors_entry},
    workflow::{StartWorkflow, Workflow},
};
use crate::{
    audit::JANITOR,
    catalog::{DriftSchedule, FindService, Infrastructure, Registered},
    clock::System,
    id::{OperationId, ServiceId},
    name::EnvironmentName,
    paging::{ListError, Page, PageRequest},
    revision::EditOutcome,
    store::StoreError,
};

/// Says which environments are due, and moves them on. Needs `dynamodb:Query` and `dynamodb:UpdateItem`.
#[async_trait]
pub trait DriftSchedules: Send + Sync {
    /// A page of the schedules that are due at `now`, those first that were due first; may miss changes of the last
    /// second.
    async fn due_drift_checks(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<DriftSchedule>, ListError>;

    /// Has the environment looked at next at `due`, where its schedule still is as it was seen.
    async fn move_drift_check(&self, seen: &DriftSchedule, due: Timestamp)
    -> Result<EditOutcome, StoreError>;
}

/// An environment is not looked at although it is due. The next sweep tries again.
#[derive(Debug, thiserror::Error)]
#[error("environment {environment} of service {service} is not looked at for drift, although that is due")]
pub struct DriftCheckError {
    service: ServiceId,
    environment: EnvironmentName,
    #[source]
    pub source: RequestError,
}

/// Whether an environment that is due is looked at.
enum Readiness {
    /// It is to be.
    Due,
    /// An operation is open in it: it stays due.
    Busy(OperationId),
    /// Nothing is there that could be compared, or the schedule is not its service's any more.
    Idle,
}

/// Asks for a look at an environment that is due, and has it due next at the first slot that has not passed. One that
/// cannot be compared waits for that slot as well. `None` where no look was begun, or the one of this slot was begun
/// before.
///
/// The operation's id follows from the slot. So whoever dies between beginning and moving on, or works on the same slot
/// at the same time, leads to one operation; and one that failed is not tried again before the next slot.
///
/// # Errors
///
/// Why it could not be begun, unless another operation is open in the environment.
pub async fn check_when_due<S>(
    store: &S,
    start: &dyn StartWorkflow,
    system: &dyn System,
    schedule: &DriftSchedule,
) -> Result<Option<Requested>, DriftCheckError>
where
    S: FindService + FindOperation + SaveOperation + DriftSchedules,
{
    check(store, start, system, schedule).await.map_err(|source| DriftCheckError {
        service: schedule.service.clone(),
        environment: schedule.environment.clone(),
        source,
    })
}

async fn check<S>(
    store: &S,
    start: &dyn StartWorkflow,
    system: &dyn System,
    schedule: &DriftSchedule,
) -> Result<Option<Requested>, RequestError>
where
    S: FindService + FindOperation + SaveOperation + DriftSchedules,
{
    let now = system.now();
    let found = store.find_service(&schedule.service).await?;
    let id = schedule.operation();
    let begun = match (readiness(found.as_ref(), schedule, now), &found) {
        // Whoever began it died before they could move on.
        (Readiness::Busy(running), _) if running == id => None,
        (Readiness::Busy(_), _) => return Ok(None),
        (Readiness::Due, Some(found)) => match look(store, start, system, found, schedule, now).await? {
            Some(requested) => Some(requested).filter(|requested| !requested.replayed),
            None => return Ok(None),
        },
        (Readiness::Idle | Readiness::Due, _) => None,
    };
    // Refused means that somebody else moved on, or that the service was edited meanwhile.
    store.move_drift_check(schedule, schedule.due_after(now)).await?;
    Ok(begun)
}

/// The list that named the environment is an index, and may be a second behind.
fn readiness(found: Option<&Registered>, schedule: &DriftSchedule, now: Timestamp) -> Readiness {
    let Some(Registered { service, environments, .. }) = found else { return Readiness::Idle };
    let Some(spec) = service.environment(&schedule.environment) else { return Readiness::Idle };
    let Some(state) = environments.get(&schedule.environment) else { return Readiness::Idle };
    if spec.drift_hours != Some(schedule.hours) {
        return Readiness::Idle;
    }
    if let Some(running) = &state.running {
        return Readiness::Busy(running.clone());
    }
    // A look would only keep it from being deprovisioned.
    let goes = spec.ttl_hours.is_some() && is_over(&state.infrastructure, now);
    match state.infrastructure {
        Infrastructure::Present(_) if !goes => Readiness::Due,
        Infrastructure::Present(_) | Infrastructure::Partial(_) | Infrastructure::Absent => Readiness::Idle,
    }
}

/// Begins the look of this slot; `None` where it has to wait.
async fn look<S>(
    store: &S,
    start: &dyn StartWorkflow,
    system: &dyn System,
    found: &Registered,
    schedule: &DriftSchedule,
    now: Timestamp,
) -> Result<Option<Requested>, RequestError>
where
    S: FindOperation + SaveOperation,
{
    start.ready(Workflow::Provision)?;
    let asked = Asked::by(JANITOR, now);
    let operation = draft(found, &schedule.environment, &Ask::Drift, schedule.operation(), asked)?;
    let entry = janitors_entry(system, &Ask::Drift, &operation);
    match begin(store, start, system, &found.service, operation, &entry).await {
        // Somebody began an operation since the service was read.
        Err(RequestError::Busy { .. }) => Ok(None),
        begun => begun,
    }
}
