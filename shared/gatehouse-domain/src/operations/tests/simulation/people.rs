//! People, who ask, agree, refuse and change their minds; and the schedule that has the janitor sweep.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use super::world::{Line, World};
use crate::{
    api_key::ApiKey,
    audit::AuditContext,
    catalog::{DriftScheduleEdits, EnvironmentSpec, EnvironmentState},
    id::{OperationId, ServiceId},
    janitor::{
        Announce, Announcement, Marks, Outbox, Publish, PublishError, RememberRound, Round, Settings,
        Subject, Watch, Watched, sweep,
    },
    json::Object,
    name::EnvironmentName,
    operations::{
        Operation, State,
        decide::{self, Answer, DecideError, Decision},
        request::{Ask, OperationRequest, request},
        tests::support::person,
        workflow::Execution,
    },
    paging::{ListError, Page, PageRequest},
    revision::{EditOutcome, Revision},
    revocation::{FlushAuthorizer, FlushError, PendingFlush},
    signing::KeyRing,
    store::StoreError,
    test_support::Wax,
    tokens::ServiceToken,
};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

const HOUR: Duration = Duration::from_hours(1);

const ENVIRONMENTS: [&str; 3] = ["dev", "prod", "short"];
const PEOPLE: [&str; 3] = ["ada", "bob", "cleo"];

impl World {
    fn one_of<'a, T: ?Sized>(&self, things: &[&'a T]) -> &'a T {
        things[usize::try_from(self.executor.below(things.len() as u64)).unwrap()]
    }

    fn some_service(&self) -> ServiceId {
        let items = self.memory.items();
        let all: Vec<_> = items.services.keys().collect();
        self.one_of(&all).clone()
    }

    fn some_operation(&self) -> Option<(ServiceId, OperationId)> {
        let items = self.memory.items();
        let all: Vec<_> = items.operations.values().collect();
        // Those that somebody has to decide about are looked at first.
        let waiting: Vec<_> = all
            .iter()
            .filter(|operation| matches!(operation.state, State::AwaitingApproval { .. }))
            .copied()
            .collect();
        let from = if waiting.is_empty() || self.executor.once_in(3) { &all } else { &waiting };
        (!from.is_empty()).then(|| self.one_of(from)).map(|found| (found.service.clone(), found.id.clone()))
    }

    /// Does what people do in a day that is not a quiet one.
    pub(super) async fn live(self: Arc<Self>) {
        for _ in 0..3 + self.executor.below(6) {
            let seconds = self.executor.below(if self.executor.once_in(3) { 3 } else { 900 });
            self.executor.pause(Duration::from_secs(seconds)).await;
            self.act();
        }
        let slow = self.executor.below(1800);
        self.executor.pause(Duration::from_secs(slow)).await;
        self.calm_down();
        // Sometimes nobody comes back to what waits, and time decides.
        if !self.executor.once_in(4) {
            for _ in 0..6 {
                self.executor.pause(Duration::from_mins(10)).await;
                self.decide();
            }
        }
        self.notes().people_are_done = true;
    }

    fn act(self: &Arc<Self>) {
        match self.executor.below(15) {
            0..=5 => self.ask(),
            6..=8 => self.decide(),
            9 => self.cancel(),
            10 => self.stop_by_hand(),
            11 | 12 => self.edit_module(),
            13 => self.sweep_by_hand(),
            _ => self.edit_service(),
        }
    }

    /// Invokes the janitor, as anybody may who has the right to, beside its schedule and beside itself.
    fn sweep_by_hand(self: &Arc<Self>) {
        for _ in 0..2 {
            let world = self.clone();
            self.executor.spawn_mortal(async move { world.sweep().await }, || {});
        }
    }

    fn edit_service(&self) {
        let id = self.some_service();
        self.edit(&id, |environment| {
            environment.inputs.insert("size".to_owned(), Value::from(self.executor.below(9)).into());
            if self.executor.once_in(3) {
                let hours = u32::try_from(self.executor.below(3)).unwrap();
                environment.drift_hours = Some(hours).filter(|hours| *hours > 0);
            }
        });
    }

    fn edit(&self, id: &ServiceId, edit: impl Fn(&mut EnvironmentSpec)) {
        let mut items = self.memory.items();
        let service = items.services.get_mut(id).unwrap();
        let before = service.spec.clone();
        service.revision = Revision::unverified(format!("r{}", self.executor.below(1 << 30)));
        service.spec.environments.iter_mut().for_each(edit);
        let edits = DriftScheduleEdits::between(&before, service, self.executor.now());
        items.reschedule(id, &edits);
    }

    /// Has nothing looked at by a schedule any more, so that it comes to rest.
    fn end_schedules(&self) {
        let services: Vec<_> = self.memory.items().services.keys().cloned().collect();
        for id in &services {
            self.edit(id, |environment| environment.drift_hours = None);
        }
    }

    /// Edits the module, or takes it away, or puts it back.
    fn edit_module(&self) {
        let mut notes = self.notes();
        notes.edits += 1;
        notes.module = Some(notes.edits).filter(|_| !self.executor.once_in(5));
    }

    fn ask(self: &Arc<Self>) {
        let ask = match self.executor.below(12) {
            0..=3 => Ask::Provision(Object::new()),
            4 | 5 => Ask::Deprovision,
            6 => Ask::Drift,
            // Each asks for a version of its own, by which what deploys it is counted.
            _ => Ask::Deploy(format!("v{}", self.executor.below(1 << 30))),
        };
        let key = self.executor.once_in(2).then(|| format!("key-{}", self.executor.below(1 << 30)));
        let (service, environment) = (self.some_service(), self.one_of(&ENVIRONMENTS));
        // Those who give a key repeat what was lost, and sometimes what was not, even at the same time.
        let tries = if key.is_some() { 1 + self.executor.below(3) } else { 1 };
        for _ in 0..tries {
            let (world, ask, key, service) = (self.clone(), ask.clone(), key.clone(), service.clone());
            let pause = Duration::from_millis(self.executor.below(5000));
            let environment: EnvironmentName = environment.parse().unwrap();
            let task = async move {
                world.executor.pause(pause).await;
                let caller = person("ada", "acme=developer");
                let audit = AuditContext { caller: &caller, origin: &world.origin };
                let key = key.map(|key| key.parse().unwrap());
                let wanted = OperationRequest {
                    service: &service,
                    environment: Some(&environment),
                    ask: &ask,
                    key: key.as_ref(),
                };
                let asked = request(&*world, &Wax, &Line(world.clone()), &*world, &audit, &wanted).await;
                if let Ok(requested) = asked {
                    world.notes().answered.insert(requested.operation.id);
                    world.saw("an operation was recorded");
                }
            };
            self.executor.spawn_mortal(task, || {});
        }
    }

    fn decide(self: &Arc<Self>) {
        let Some((service, id)) = self.some_operation() else { return };
        let answer = if self.executor.once_in(3) { Answer::Reject } else { Answer::Approve };
        for name in PEOPLE.iter().take(1 + usize::try_from(self.executor.below(3)).unwrap()) {
            let (world, service, id) = (self.clone(), service.clone(), id.clone());
            let task = async move {
                let caller = person(name, "acme=developer");
                let audit = AuditContext { caller: &caller, origin: &world.origin };
                let line = Line(world.clone());
                let (workflow, decision) = (line.of_catalog(), Decision { answer, comment: None });
                let decided =
                    decide::decide(&*world, workflow, &*world, &audit, &service, &id, &decision).await;
                match decided {
                    Ok(_) => {
                        assert_ne!(*name, "ada", "somebody decided about what they had asked for");
                        world.saw("somebody decided");
                    }
                    Err(DecideError::OwnRequest) => assert_eq!(*name, "ada"),
                    Err(_) => {}
                }
            };
            self.executor.spawn_mortal(task, || {});
        }
    }

    fn cancel(self: &Arc<Self>) {
        let Some((service, id)) = self.some_operation() else { return };
        let world = self.clone();
        let task = async move {
            let caller = person("bob", "acme=developer");
            let audit = AuditContext { caller: &caller, origin: &world.origin };
            let line = Line(world.clone());
            let cancelled = decide::cancel(&*world, line.of_catalog(), &*world, &audit, &service, &id);
            if cancelled.await.is_ok() {
                world.saw("somebody cancelled");
            }
        };
        self.executor.spawn_mortal(task, || {});
    }

    /// Stops an execution behind everybody's back, as an administrator of the account may.
    fn stop_by_hand(&self) {
        let Some((_, id)) = self.some_operation() else { return };
        let how = Execution::Failed { error: "Aborted".into(), cause: "by hand".into() };
        self.end_execution(&id, how);
    }

    /// Sweeps every five minutes, and more rarely when there is little to do, until everything is settled.
    pub(super) async fn keep_sweeping(self: Arc<Self>) {
        let began = self.executor.now();
        loop {
            let age = self.executor.now().duration_since(began).as_hours();
            let pause = match age {
                0..6 if self.is_busy() => Duration::from_mins(5),
                0..24 => HOUR,
                _ => 8 * HOUR,
            };
            self.executor.pause(pause).await;
            assert!(age < 30 * 24, "it never comes to rest");
            let world = self.clone();
            self.executor.spawn_mortal(async move { world.sweep().await }, || {});
            if !self.notes().people_are_done {
                continue;
            }
            if self.executor.once_in(3) {
                self.end_schedules();
            }
            if self.is_at_rest() {
                return;
            }
        }
    }

    async fn sweep(self: &Arc<Self>) {
        let calm = self.is_calm();
        let now = self.executor.now();
        let line = Line(self.clone());
        let unused_days = NonZeroU16::new(90).unwrap();
        let deadline = now + Duration::from_secs(100);
        let settings = Settings { unused_days, deadline };
        let report = sweep(&**self, line.of_janitor(), &Nothing, &Nothing, &**self, &settings).await;
        if calm {
            assert!(report.finished && report.failures.is_empty(), "{report:?}");
            let items = self.memory.items();
            let late = items.operations.values().find(|found| found.is_open() && found.deadline <= now);
            assert!(late.is_none(), "open for too long: {late:?}");
            drop(items);
            self.check_schedules(now);
        }
        for (count, what) in [
            (report.told, "the janitor told a workflow"),
            (report.ended, "the janitor ended an operation"),
            (report.expired, "an environment's time was over"),
            (report.drift_checks, "an environment was looked at by its schedule"),
        ] {
            if count > 0 {
                self.saw(what);
            }
        }
    }

    /// What was due when a sweep began has been looked at, or passed over, unless something was going on there.
    fn check_schedules(&self, began: Timestamp) {
        let items = self.memory.items();
        for schedule in items.drift_schedules.values().filter(|schedule| schedule.due <= began) {
            let here = |operation: &&Operation| {
                operation.service == schedule.service && operation.environment == schedule.environment
            };
            let went_on = |operation: &Operation| match &operation.state {
                State::Ended { at, .. } => *at >= began,
                State::Requested | State::Running { .. } | State::AwaitingApproval { .. } => true,
            };
            let excused = items.operations.values().filter(here).any(went_on);
            assert!(excused, "{schedule:?} was passed by");
        }
    }

    fn is_busy(&self) -> bool {
        let items = self.memory.items();
        items.operations.values().any(|operation| operation.is_open() || operation.pending_signal.is_some())
    }

    fn is_at_rest(&self) -> bool {
        let lives_on = self.memory.items().environments.values().any(|state| {
            state.infrastructure.provisioned().is_some_and(|provisioned| provisioned.expires_at.is_some())
        });
        let is_looked_at = !self.memory.items().drift_schedules.is_empty();
        !self.is_busy() && !lives_on && !is_looked_at && self.everything_ended()
    }
}

/// A bus that nothing is published on, and an API Gateway that remembers nothing.
struct Nothing;

fn empty<T>() -> Page<T> {
    Page { items: Vec::new(), next: None }
}

#[async_trait]
impl Watch for World {
    async fn watched_tokens(&self, _page: &PageRequest) -> Result<Page<Watched<ServiceToken>>, ListError> {
        Ok(empty())
    }

    async fn watched_api_keys(&self, _page: &PageRequest) -> Result<Page<Watched<ApiKey>>, ListError> {
        Ok(empty())
    }

    async fn watched_environments(
        &self,
        _until: Timestamp,
        _page: &PageRequest,
    ) -> Result<Page<Watched<EnvironmentState>>, ListError> {
        Ok(empty())
    }

    async fn watched_key_ring(&self) -> Result<Option<Watched<KeyRing>>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl RememberRound for World {
    async fn round(&self) -> Result<Round, StoreError> {
        Ok(Round::default())
    }

    async fn note_round(&self, _round: &Round) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl Announce for World {
    async fn announce(
        &self,
        _subject: &Subject,
        _previous: &Marks,
        _marks: &Marks,
        _announcements: &[Announcement],
    ) -> Result<EditOutcome, StoreError> {
        Ok(EditOutcome::Done)
    }
}

#[async_trait]
impl Outbox for World {
    async fn to_publish(&self, _page: &PageRequest) -> Result<Page<Announcement>, ListError> {
        Ok(empty())
    }

    async fn published(&self, _announcement: &Announcement) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl Publish for Nothing {
    async fn publish(&self, announcements: &[Announcement]) -> Vec<Result<(), PublishError>> {
        announcements.iter().map(|_| Ok(())).collect()
    }
}

#[async_trait]
impl FlushAuthorizer for Nothing {
    async fn flush_authorizer(&self) -> Result<(), FlushError> {
        Ok(())
    }

    fn remembered_for(&self) -> Duration {
        Duration::from_mins(5)
    }
}

#[async_trait]
impl PendingFlush for World {
    async fn pending_flush(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn flush_done(&self, _since: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }
}
