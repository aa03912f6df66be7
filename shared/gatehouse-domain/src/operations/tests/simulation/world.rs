//! The world of a simulation: the ports, with the faults that a network and a cloud have.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use super::{ci::Records, executor::Executor, machine::Engine};
use crate::{
    audit::{Entry, JANITOR, Origin},
    catalog::{Deployed, DriftSchedule, FindService, Infrastructure, ModuleArtifact, Registered},
    clock::{Clock, IdSource},
    entities::{Entity, EntityRef, FindEntity},
    id::{OperationId, ServiceId},
    name::{EnvironmentName, TenantId},
    operations::{
        BeginOutcome, Configuration, Effects, FindOperation, Operation, OperationKind, OperationOutcome,
        Phase, SaveOperation, State, TaskToken, Work,
        attempt::{Attempt, CallbackKey},
        change::WorkflowPorts,
        drift_check::DriftSchedules,
        reconcile::ListOpenOperations,
        tests::memory::{Items, Memory},
        workflow::{
            AnswerTask, Execution, NotReady, OverseeWorkflow, StartWorkflow, TaskAnswer, Workflow,
            WorkflowError,
        },
    },
    paging::{ListError, Page, PageRequest},
    revision::{EditOutcome, Revision},
    store::StoreError,
};

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is made and answered.
    Fine,
    /// It is never made.
    LostBefore,
    /// It is made, and the answer is lost.
    LostAfter,
}

/// What the simulation knows beside the table.
#[derive(Default)]
pub(super) struct Notes {
    /// Operations that a caller was told of.
    pub answered: BTreeSet<OperationId>,
    /// Operations that a worker began to apply.
    pub applied: BTreeSet<OperationId>,
    /// Who applies or deploys just now.
    pub applying: BTreeMap<u64, (OperationId, u32)>,
    /// The calls that webhooks have taken, by their attempts.
    pub called: BTreeSet<(OperationId, u32)>,
    /// The module as it stands: a number that edits count up, and nothing where it was taken away.
    pub module: Option<u64>,
    /// How often the module was edited.
    pub edits: u64,
    /// What each environment was made with last, as far as anybody may have begun to.
    pub made_with: BTreeMap<(ServiceId, EnvironmentName), ModuleArtifact>,
    /// When each environment was looked at last by a schedule, and by which.
    pub looked_at: BTreeMap<(ServiceId, EnvironmentName), DriftSchedule>,
    /// Whether people have done everything that they wanted to.
    pub people_are_done: bool,
    /// How often each thing happened, to see that a simulation meets what it is for.
    pub seen: BTreeMap<&'static str, u64>,
    /// How often ids were made.
    ids: u64,
}

impl Notes {
    /// What exists is taken away and compared with the module that it was made with, whatever became of that. An
    /// operation makes it from when its worker begins to apply, or where there
    /// is nothing to apply, at its end.
    fn check_module(&mut self, operation: &Operation) {
        let Some(given) = operation.work.configuration() else { return };
        let place = (operation.service.clone(), operation.environment.clone());
        let applies = |attempt: &Attempt| attempt.phase == Phase::Apply && attempt.token.is_some();
        let begun = operation.attempt.as_ref().is_some_and(applies);
        let done = operation.ending() == Some(OperationOutcome::Succeeded);
        match operation.work.kind() {
            OperationKind::Provision if begun || done => {
                let module = given.artifact.clone().expect("what is applied was planned with some module");
                self.made_with.insert(place, module);
            }
            OperationKind::Deprovision | OperationKind::Drift if operation.is_open() => {
                assert_eq!(self.made_with.get(&place), given.artifact.as_ref(), "{operation:?}");
            }
            _ => {}
        }
    }
}

impl Notes {
    /// An environment is looked at once in each slot: between two looks of the same schedule another one has begun.
    fn check_slot(&mut self, operation: &Operation, schedule: DriftSchedule) {
        let now = operation.requested.at;
        let place = (operation.service.clone(), operation.environment.clone());
        let this = DriftSchedule { due: now, ..schedule };
        if let Some(last) = self.looked_at.insert(place, this.clone())
            && last.hours == this.hours
        {
            let slots = DriftSchedule::new(&last.service, &last.environment, last.hours, last.due);
            assert!(slots.due <= now, "{operation:?} looks again in the slot of {last:?}");
        }
    }
}

#[async_trait]
impl DriftSchedules for World {
    async fn due_drift_checks(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<DriftSchedule>, ListError> {
        Ok(self.store(|items| items.due_drift_checks(now, page)).await?)
    }

    async fn move_drift_check(
        &self,
        seen: &DriftSchedule,
        due: Timestamp,
    ) -> Result<EditOutcome, StoreError> {
        self.store(|items| items.move_drift_check(seen, due)).await
    }
}

/// Everything.
pub(super) struct World {
    pub executor: Executor,
    pub memory: Memory,
    pub key: CallbackKey,
    pub origin: Origin,
    engine: Mutex<Engine>,
    notes: Mutex<Notes>,
    records: Mutex<Records>,
    /// Of how many calls one is lost; 0 for none.
    lossy: Mutex<u64>,
}

impl World {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        let executor = Executor::new(seed);
        let lossy = [0, 4, 10, 30, 100][usize::try_from(executor.below(5)).unwrap()];
        executor.kill_once_in([0, 20, 60, 200][usize::try_from(executor.below(4)).unwrap()]);
        let key = CallbackKey::new(&"k".repeat(32).into()).unwrap();
        Arc::new(Self {
            executor,
            memory: Memory::default(),
            key,
            origin: Origin::default(),
            engine: Mutex::default(),
            notes: Mutex::new(Notes { module: Some(0), ..Notes::default() }),
            records: Mutex::default(),
            lossy: Mutex::new(lossy),
        })
    }

    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap()
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap()
    }

    pub(super) fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap()
    }

    pub(super) fn saw(&self, what: &'static str) {
        *self.notes().seen.entry(what).or_default() += 1;
    }

    /// From now on nothing is lost and nobody dies.
    pub(super) fn calm_down(&self) {
        *self.lossy.lock().unwrap() = 0;
        self.executor.kill_once_in(0);
    }

    pub(super) fn is_calm(&self) -> bool {
        *self.lossy.lock().unwrap() == 0
    }

    pub(super) fn fate(&self) -> Fate {
        let lossy = *self.lossy.lock().unwrap();
        if !self.executor.once_in(lossy) {
            return Fate::Fine;
        }
        if self.executor.once_in(2) { Fate::LostBefore } else { Fate::LostAfter }
    }

    /// How long something takes on its way: mostly little, and often nothing.
    pub(super) async fn travel(&self) {
        if self.executor.once_in(3) {
            return;
        }
        let most = if self.executor.once_in(10) { 4000 } else { 40 };
        let time = self.executor.below(most);
        self.executor.pause(Duration::from_millis(time)).await;
    }

    /// A call over the network, as `act` would have it.
    pub(super) async fn call<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Option<T> {
        let fate = self.fate();
        self.travel().await;
        if fate == Fate::LostBefore {
            return None;
        }
        let made = act();
        self.travel().await;
        (fate == Fate::Fine).then_some(made)
    }

    pub(super) async fn store<T: Send>(
        &self,
        act: impl FnOnce(&mut Items) -> T + Send,
    ) -> Result<T, StoreError> {
        let made = self.call(|| act(&mut self.memory.items())).await;
        made.ok_or_else(|| StoreError::Unavailable("lost".into()))
    }

    async fn ask_engine<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T, WorkflowError> {
        self.call(act).await.ok_or_else(|| WorkflowError::Unavailable("lost".into()))
    }
}

/// The workflow engine, as the functions reach it.
#[derive(Clone)]
pub(super) struct Line(pub Arc<World>);

impl Line {
    /// Those of the callbacks function, which may tell workflows and nothing else.
    pub(super) fn of_callbacks(&self) -> WorkflowPorts<'_> {
        WorkflowPorts { start: None, answer: Some(self), oversee: None }
    }

    /// Those of the catalog function.
    pub(super) fn of_catalog(&self) -> WorkflowPorts<'_> {
        WorkflowPorts { start: None, answer: Some(self), oversee: Some(self) }
    }

    /// Those of the janitor.
    pub(super) fn of_janitor(&self) -> WorkflowPorts<'_> {
        WorkflowPorts { start: Some(self), answer: Some(self), oversee: Some(self) }
    }
}

#[async_trait]
impl Clock for World {
    fn now(&self) -> Timestamp {
        self.executor.now()
    }

    async fn sleep(&self, pause: Duration) {
        self.executor.pause(pause).await;
    }
}

impl IdSource for World {
    fn random(&self) -> [u8; 16] {
        let mut notes = self.notes();
        notes.ids += 1;
        let mut id = [0; 16];
        id[2..10].copy_from_slice(&notes.ids.to_be_bytes());
        id
    }
}

#[async_trait]
impl FindService for World {
    async fn find_service(&self, id: &ServiceId) -> Result<Option<Registered>, StoreError> {
        self.store(|items| items.service(id)).await
    }
}

#[async_trait]
impl FindEntity for World {
    async fn find_entity(
        &self,
        tenant: &TenantId,
        reference: &EntityRef,
    ) -> Result<Option<Entity>, StoreError> {
        let key = (tenant.clone(), reference.clone());
        self.store(|items| items.entities.get(&key).cloned()).await
    }
}

#[async_trait]
impl FindOperation for World {
    async fn find_operation(&self, id: &OperationId) -> Result<Option<Operation>, StoreError> {
        self.store(|items| items.operations.get(id).cloned()).await
    }

    async fn find_operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError> {
        self.store(|items| ids.iter().filter_map(|id| items.operations.get(id).cloned()).collect()).await
    }
}

#[async_trait]
impl SaveOperation for World {
    async fn begin_operation(
        &self,
        operation: &Operation,
        service: &Revision,
        entry: &Entry,
    ) -> Result<BeginOutcome, StoreError> {
        self.store(|items| {
            let place = (operation.service.clone(), operation.environment.clone());
            let schedule = items.drift_schedules.get(&place).cloned();
            let infrastructure = items.environments.get(&place).map(|state| state.infrastructure.clone());
            let outcome = items.begin(operation, service, entry);
            let by_schedule =
                operation.work.kind() == OperationKind::Drift && operation.requested.by == JANITOR;
            if by_schedule && matches!(outcome, BeginOutcome::Begun) {
                assert!(matches!(infrastructure, Some(Infrastructure::Present(_))), "{operation:?}");
                let schedule = schedule.expect("what is looked at has a schedule");
                self.notes().check_slot(operation, schedule);
            }
            outcome
        })
        .await
    }

    async fn save_operation(
        &self,
        operation: &Operation,
        effects: &Effects<'_>,
    ) -> Result<EditOutcome, StoreError> {
        self.store(|items| {
            let before = items.operations.get(&operation.id).cloned();
            let key = (operation.service.clone(), operation.environment.clone());
            let was = items.environments.get(&key).cloned();
            let outcome = items.save(operation, effects);
            if outcome == EditOutcome::Done {
                let applied = self.notes().applied.contains(&operation.id);
                check_change(&before.unwrap(), operation);
                self.notes().check_module(operation);
                if let (Some(_), Some(was)) = (effects.settled, was) {
                    let is = &items.environments[&key];
                    check_settled(operation, &was.infrastructure, &is.infrastructure, applied);
                    check_deployed(operation, was.deployed.as_ref(), is.deployed.as_ref());
                }
            }
            outcome
        })
        .await
    }
}

/// An outcome once recorded never changes, what somebody said is not unsaid, and only what was agreed to is
/// applied.
fn check_change(before: &Operation, after: &Operation) {
    if let State::Ended { .. } = before.state {
        assert_eq!(before.state, after.state, "the outcome of {} changed", after.id);
    }
    if before.verdict.is_some() {
        assert_eq!(before.verdict, after.verdict, "the verdict on {} changed", after.id);
    }
    if before.cancel.is_some() {
        assert_eq!(before.cancel, after.cancel, "the wish to stop {} was forgotten", after.id);
    }
    check_work(before, after);
}

/// What is done is what was asked for; and from the plan on, what somebody may have agreed to.
fn check_work(before: &Operation, after: &Operation) {
    let planned = before.plan.is_some() && after.plan.is_some();
    if !planned
        && before.verdict.is_none()
        && let (Work::Provision(was), Work::Provision(is)) = (&before.work, &after.work)
    {
        // The plan is made with the module as it stands then, and says which one that was; the next one forgets it.
        let asked = Configuration { artifact: is.artifact.clone(), ..was.clone() };
        assert_eq!(asked, *is, "{} was asked for otherwise", after.id);
        return;
    }
    assert_eq!(before.work, after.work, "{} was asked for otherwise", after.id);
}

/// What is deployed is what the last deploy that succeeded brought.
fn check_deployed(operation: &Operation, was: Option<&Deployed>, is: Option<&Deployed>) {
    match (&operation.work, operation.ending()) {
        (Work::Deploy { version, .. }, Some(OperationOutcome::Succeeded)) => {
            let is = is.expect("something is deployed");
            assert_eq!((&is.operation, &is.version), (&operation.id, version));
        }
        (Work::Deprovision(_), Some(OperationOutcome::Succeeded)) => {}
        _ => assert_eq!(was, is, "{} deployed nothing", operation.id),
    }
}

/// The environment agrees with the outcome.
fn check_settled(operation: &Operation, was: &Infrastructure, is: &Infrastructure, applied: bool) {
    let id = &operation.id;
    let done = operation.ending() == Some(OperationOutcome::Succeeded);
    match operation.work.kind() {
        OperationKind::Provision if done => {
            assert!(matches!(is, Infrastructure::Present(made) if made.operation == *id), "{id}: {is:?}");
        }
        OperationKind::Deprovision if done => assert_eq!(*is, Infrastructure::Absent, "{id}"),
        OperationKind::Provision | OperationKind::Deprovision if applied => {
            assert!(matches!(is, Infrastructure::Partial(made) if made.operation == *id), "{id}: {is:?}");
        }
        OperationKind::Provision | OperationKind::Deprovision => {
            let partial = matches!(is, Infrastructure::Partial(made) if made.operation == *id);
            assert!(partial || is == was, "{id} changed nothing, and yet {is:?}");
        }
        OperationKind::Drift | OperationKind::Deploy => assert_eq!(is, was, "{id}"),
    }
}

#[async_trait]
impl ListOpenOperations for World {
    async fn open_operations(&self, page: &PageRequest) -> Result<Page<Operation>, ListError> {
        Ok(self.store(|items| items.open(page)).await?)
    }

    async fn ended_environments(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<(ServiceId, EnvironmentName)>, ListError> {
        Ok(self.store(|items| items.ended(now, page)).await?)
    }
}

fn told(taken: bool) -> TaskAnswer {
    if taken { TaskAnswer::Accepted } else { TaskAnswer::Expired }
}

#[async_trait]
impl StartWorkflow for Line {
    fn ready(&self, _workflow: Workflow) -> Result<(), NotReady> {
        Ok(())
    }

    async fn start(&self, workflow: Workflow, operation: &OperationId) -> Result<(), WorkflowError> {
        self.0.ask_engine(|| self.0.begin_execution(workflow, operation)).await
    }
}

#[async_trait]
impl AnswerTask for Line {
    async fn succeed(&self, token: &TaskToken, output: &Value) -> Result<TaskAnswer, WorkflowError> {
        let answer = || told(self.0.answer_task(token.expose(), Ok(output.clone())));
        self.0.ask_engine(answer).await
    }

    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<TaskAnswer, WorkflowError> {
        let outcome = Err((error.to_owned(), cause.to_owned()));
        self.0.ask_engine(|| told(self.0.answer_task(token.expose(), outcome))).await
    }

    async fn heartbeat(&self, token: &TaskToken) -> Result<TaskAnswer, WorkflowError> {
        self.0.ask_engine(|| told(self.0.beat(token.expose()))).await
    }
}

#[async_trait]
impl OverseeWorkflow for Line {
    async fn describe(
        &self,
        _workflow: Workflow,
        operation: &OperationId,
    ) -> Result<Option<Execution>, WorkflowError> {
        self.0.ask_engine(|| self.0.engine().executions.get(operation).cloned()).await
    }

    async fn stop(
        &self,
        _workflow: Workflow,
        operation: &OperationId,
        cause: &str,
    ) -> Result<(), WorkflowError> {
        let how = Execution::Failed { error: "Stopped".into(), cause: cause.to_owned() };
        self.0.ask_engine(|| self.0.end_execution(operation, how)).await
    }
}
