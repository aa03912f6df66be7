//! What the table holds of services and operations, in memory: with the same conditions, and all of a
//! transaction or nothing.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    announcement::Announcement,
    audit::Entry,
    catalog::{
        DriftSchedule, DriftScheduleEdits, EnvironmentState, FindService, Registered, Service, Settled,
    },
    entities::{Entity, EntityDraft, EntityKind, EntityRef, EntitySpec, FindEntity, Metadata, Namespace},
    id::{OperationId, ServiceId},
    name::{EnvironmentName, TenantId},
    operations::{
        BeginOutcome, Effects, FindOperation, Operation, OperationKind, SaveOperation,
        drift_check::DriftSchedules, reconcile::ListOpenOperations,
    },
    paging::{Cursor, ListError, Page, PageRequest},
    revision::{EditOutcome, Revision},
    store::StoreError,
};

/// The table.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Items>);

/// What is in it.
#[derive(Default)]
pub(crate) struct Items {
    pub services: BTreeMap<ServiceId, Service>,
    pub environments: BTreeMap<(ServiceId, EnvironmentName), EnvironmentState>,
    pub drift_schedules: BTreeMap<(ServiceId, EnvironmentName), DriftSchedule>,
    pub operations: BTreeMap<OperationId, Operation>,
    pub entities: BTreeMap<(TenantId, EntityRef), Entity>,
    pub trail: Vec<Entry>,
    pub outbox: Vec<Announcement>,
}

impl Memory {
    pub(crate) fn items(&self) -> MutexGuard<'_, Items> {
        self.0.lock().unwrap()
    }

    /// The operation, which has to be there.
    pub(crate) fn operation(&self, id: &OperationId) -> Operation {
        self.items().operations[id].clone()
    }

    /// How an environment stands.
    pub(crate) fn environment(&self, service: &ServiceId, name: &str) -> EnvironmentState {
        let key: (ServiceId, EnvironmentName) = (service.clone(), name.parse().unwrap());
        let new = || EnvironmentState::new(key.0.clone(), key.1.clone());
        self.items().environments.get(&key).cloned().unwrap_or_else(new)
    }
}

impl Items {
    /// Has a group of tenant `acme` with these members, in place of the one of its name.
    pub(crate) fn add_group(&mut self, name: &str, members: &[&str]) {
        let metadata = Metadata {
            name: name.parse().unwrap(),
            namespace: Namespace::default(),
            title: None,
            description: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            tags: Vec::new(),
            links: Vec::new(),
        };
        let members = members.iter().map(|name| name.parse().unwrap()).collect();
        let spec = EntitySpec { members, ..EntitySpec::default() };
        let group = Entity {
            tenant: "acme".parse().unwrap(),
            draft: EntityDraft { kind: EntityKind::Group, metadata, spec },
            revision: Revision::unverified("r".into()),
            created_at: Timestamp::UNIX_EPOCH,
            created_by: "user:eve".into(),
            updated_at: Timestamp::UNIX_EPOCH,
            updated_by: "user:eve".into(),
        };
        self.entities.insert((group.tenant.clone(), group.reference()), group);
    }

    pub(crate) fn service(&self, id: &ServiceId) -> Option<Registered> {
        let service = self.services.get(id)?.clone();
        let states = self.environments.iter().filter(|((of, _), _)| of == id);
        let environments = states.map(|((_, name), state)| (name.clone(), state.clone())).collect();
        let schedules = self.drift_schedules.iter().filter(|((of, _), _)| of == id);
        let drift_due = schedules.map(|((_, name), schedule)| (name.clone(), schedule.due)).collect();
        Some(Registered { service, environments, drift_due })
    }

    /// Does to the schedules of a service what an edit of it says.
    pub(crate) fn reschedule(&mut self, service: &ServiceId, edits: &DriftScheduleEdits) {
        for name in &edits.ended {
            self.drift_schedules.remove(&(service.clone(), name.clone()));
        }
        for schedule in &edits.set {
            let place = (service.clone(), schedule.environment.clone());
            self.drift_schedules.insert(place, schedule.clone());
        }
    }

    pub(crate) fn due_drift_checks(&self, now: Timestamp, page: &PageRequest) -> Page<DriftSchedule> {
        let key = |schedule: &DriftSchedule| {
            let DriftSchedule { service, environment, due, .. } = schedule;
            format!("{:020}#{service}#{environment}", due.as_second())
        };
        let mut due: Vec<_> =
            self.drift_schedules.values().filter(|schedule| schedule.due <= now).cloned().collect();
        due.sort_by_key(key);
        paged(&due, page, key, Clone::clone)
    }

    pub(crate) fn move_drift_check(&mut self, seen: &DriftSchedule, due: Timestamp) -> EditOutcome {
        let place = (seen.service.clone(), seen.environment.clone());
        match self.drift_schedules.get_mut(&place) {
            Some(schedule) if schedule == seen => schedule.due = due,
            Some(_) | None => return EditOutcome::Conflict,
        }
        EditOutcome::Done
    }

    pub(crate) fn begin(&mut self, operation: &Operation, service: &Revision, entry: &Entry) -> BeginOutcome {
        if let Some(existing) = self.operations.get(&operation.id) {
            return BeginOutcome::Exists(Box::new(existing.clone()));
        }
        if self.services.get(&operation.service).is_none_or(|found| found.revision != *service) {
            return BeginOutcome::ServiceChanged;
        }
        let key = (operation.service.clone(), operation.environment.clone());
        let new = || EnvironmentState::new(key.0.clone(), key.1.clone());
        let state = self.environments.entry(key.clone()).or_insert_with(new);
        if let Some(running) = &state.running {
            return BeginOutcome::Busy(running.clone());
        }
        let end = state.infrastructure.provisioned().and_then(|provisioned| provisioned.expires_at);
        if operation.is_expiry() && end.is_none_or(|end| end > operation.requested.at) {
            return BeginOutcome::NotExpired;
        }
        state.running = Some(operation.id.clone());
        let last = match operation.work.kind() {
            OperationKind::Deploy => &mut state.last_deploy,
            OperationKind::Provision | OperationKind::Deprovision | OperationKind::Drift => {
                &mut state.last_provisioning
            }
        };
        *last = Some(operation.id.clone());
        self.operations.insert(operation.id.clone(), operation.clone());
        self.trail.push(entry.clone());
        BeginOutcome::Begun
    }

    pub(crate) fn save(&mut self, operation: &Operation, effects: &Effects<'_>) -> EditOutcome {
        let stored = self.operations.get(&operation.id);
        if stored.is_none_or(|stored| stored.version + 1 != operation.version) {
            return EditOutcome::Conflict;
        }
        if let Some(settled) = effects.settled {
            let key = (operation.service.clone(), operation.environment.clone());
            let Some(state) = self.environments.get_mut(&key) else { return EditOutcome::Conflict };
            if state.running.as_ref() != Some(&operation.id) {
                return EditOutcome::Conflict;
            }
            state.running = None;
            deliver_pending(state, settled);
        }
        self.operations.insert(operation.id.clone(), operation.clone());
        self.trail.extend(effects.entry.cloned());
        self.outbox.extend(effects.announcements.iter().cloned());
        EditOutcome::Done
    }

    pub(crate) fn open(&self, page: &PageRequest) -> Page<Operation> {
        let open = |operation: &&Operation| operation.is_open() || operation.pending_signal.is_some();
        let listed: Vec<_> = self.operations.values().filter(open).collect();
        paged(&listed, page, |operation| operation.id.to_string(), |operation| (*operation).clone())
    }

    pub(crate) fn ended(&self, now: Timestamp, page: &PageRequest) -> Page<(ServiceId, EnvironmentName)> {
        let over = |state: &&EnvironmentState| {
            let provisioned = state.infrastructure.provisioned();
            provisioned
                .and_then(|provisioned| provisioned.expires_at)
                .is_some_and(|expires_at| expires_at <= now)
        };
        let listed: Vec<_> = self.environments.values().filter(over).collect();
        let key = |state: &&EnvironmentState| format!("{}/{}", state.service, state.name);
        paged(&listed, page, key, |state| (state.service.clone(), state.name.clone()))
    }
}

fn deliver_pending(state: &mut EnvironmentState, settled: &Settled) {
    if let Some(infrastructure) = &settled.infrastructure {
        state.infrastructure = infrastructure.clone();
    }
    if let Some(deployed) = &settled.deployed {
        state.deployed = Some(deployed.clone());
    }
    if let Some(drift) = &settled.drift {
        state.drift.clone_from(drift);
    }
}

/// A page of what is sorted by its key. What comes and goes between two pages moves nothing else.
fn paged<T, U>(
    items: &[T],
    page: &PageRequest,
    key: impl Fn(&T) -> String,
    show: impl Fn(&T) -> U,
) -> Page<U> {
    let after = page.cursor.as_ref().map(|cursor| String::from_utf8(cursor.decode().unwrap()).unwrap());
    let rest = items.iter().filter(|item| after.as_ref().is_none_or(|after| key(item) > *after));
    let mut rest: Vec<_> = rest.collect();
    let limit = usize::from(page.limit.get());
    let is_last = rest.len() <= limit;
    rest.truncate(limit);
    let next = rest.last().filter(|_| !is_last).map(|item| Cursor::encode(key(item).as_bytes()));
    Page { items: rest.into_iter().map(show).collect(), next }
}

#[async_trait]
impl FindService for Memory {
    async fn find_service(&self, id: &ServiceId) -> Result<Option<Registered>, StoreError> {
        Ok(self.items().service(id))
    }
}

#[async_trait]
impl FindEntity for Memory {
    async fn find_entity(
        &self,
        tenant: &TenantId,
        reference: &EntityRef,
    ) -> Result<Option<Entity>, StoreError> {
        Ok(self.items().entities.get(&(tenant.clone(), reference.clone())).cloned())
    }
}

#[async_trait]
impl FindOperation for Memory {
    async fn find_operation(&self, id: &OperationId) -> Result<Option<Operation>, StoreError> {
        Ok(self.items().operations.get(id).cloned())
    }

    async fn find_operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError> {
        let items = self.items();
        Ok(ids.iter().filter_map(|id| items.operations.get(id).cloned()).collect())
    }
}

#[async_trait]
impl SaveOperation for Memory {
    async fn begin_operation(
        &self,
        operation: &Operation,
        service: &Revision,
        entry: &Entry,
    ) -> Result<BeginOutcome, StoreError> {
        Ok(self.items().begin(operation, service, entry))
    }

    async fn save_operation(
        &self,
        operation: &Operation,
        effects: &Effects<'_>,
    ) -> Result<EditOutcome, StoreError> {
        Ok(self.items().save(operation, effects))
    }
}

#[async_trait]
impl ListOpenOperations for Memory {
    async fn open_operations(&self, page: &PageRequest) -> Result<Page<Operation>, ListError> {
        Ok(self.items().open(page))
    }

    async fn ended_environments(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<(ServiceId, EnvironmentName)>, ListError> {
        Ok(self.items().ended(now, page))
    }
}

#[async_trait]
impl DriftSchedules for Memory {
    async fn due_drift_checks(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<DriftSchedule>, ListError> {
        Ok(self.items().due_drift_checks(now, page))
    }

    async fn move_drift_check(
        &self,
        seen: &DriftSchedule,
        due: Timestamp,
    ) -> Result<EditOutcome, StoreError> {
        Ok(self.items().move_drift_check(seen, due))
    }
}
