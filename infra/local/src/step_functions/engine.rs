//! All executions, and the one way in which they change: as a copy, which is in the file before anybody sees it.
//! So nothing is answered and no task is called that a crash could make undone.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gatehouse_domain::clock::{Clock, IdSource};
use jiff::Timestamp;
use tokio::sync::Notify;

use super::{
    arn::Arns,
    execution::{Call, Execution, Next, Position, Status, Step, TaskEvent},
    file::ExecutionsDirectory,
    machine::StateMachine,
};
use crate::files::OpenError;

/// For how long an execution is kept after its end.
const KEPT_AFTER_END: Duration = Duration::from_hours(7 * 24);

/// Timers do not run while a laptop is closed, so none is longer than this, and the clock is asked after each.
const MAX_SLEEP: Duration = Duration::from_mins(5);

/// How late a timer may be on a machine that was awake, if busy.
const OVERSLEEP: Duration = Duration::from_mins(1);

/// The machines and their executions.
pub struct Engine {
    pub machines: BTreeMap<String, StateMachine>,
    pub arns: Arns,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    pub directory: ExecutionsDirectory,
    executions: Mutex<BTreeMap<Key, Arc<Cell>>>,
}

/// A machine's name and an execution's.
type Key = (String, String);

/// One execution, and word of its changes.
pub struct Cell {
    execution: Mutex<Execution>,
    pub changed: Notify,
}

/// What became of an execution.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Change {
    None,
    /// Something that need not be kept, such as a heartbeat: a restart resets them all.
    Passing,
    Lasting,
}

impl Cell {
    fn new(execution: Execution) -> Arc<Self> {
        Arc::new(Self { execution: Mutex::new(execution), changed: Notify::new() })
    }

    pub fn look(&self) -> MutexGuard<'_, Execution> {
        self.execution.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Reads what is kept; forgets what ended long ago.
    pub fn open(
        directory: ExecutionsDirectory,
        machines: Vec<StateMachine>,
        arns: Arns,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, OpenError> {
        let machines = machines.into_iter().map(|machine| (machine.name().to_owned(), machine)).collect();
        let executions = Mutex::default();
        let engine = Self { machines, arns, clock, ids, directory, executions };
        for execution in engine.directory.all()? {
            engine.take_up(execution)?;
        }
        Ok(engine)
    }

    pub fn find(&self, machine: &str, name: &str) -> Option<Arc<Cell>> {
        self.executions().get(&(machine.to_owned(), name.to_owned())).cloned()
    }

    /// Every execution that has not ended.
    pub fn running(&self) -> Vec<Arc<Cell>> {
        self.executions().values().filter(|cell| cell.look().position().is_some()).cloned().collect()
    }

    /// Takes a new execution, unless there is one of that name: then that one is answered, as an error.
    pub fn add(&self, execution: Execution) -> io::Result<Result<Arc<Cell>, Arc<Cell>>> {
        let mut executions = self.executions();
        let key = (execution.machine.clone(), execution.name.clone());
        if let Some(known) = executions.get(&key) {
            return Ok(Err(known.clone()));
        }
        self.directory.write(&execution)?;
        let cell = Cell::new(execution);
        executions.insert(key, cell.clone());
        Ok(Ok(cell))
    }

    pub fn advance(&self, cell: &Cell) -> io::Result<Next> {
        self.change(cell, |step, execution| {
            let next = step.advance(execution);
            (if matches!(next, Next::Continue) { Change::Lasting } else { Change::None }, next)
        })
    }

    /// Records what happened to a task. `false` when the task is over already.
    pub fn record(&self, cell: &Cell, token: &str, event: TaskEvent) -> io::Result<bool> {
        self.change(cell, |step, execution| {
            // A heartbeat every few seconds of every worker would otherwise be a write and two syncs each.
            let had_arrived =
                execution.position().and_then(Position::task).is_some_and(|task| task.delivered);
            let only_alive = had_arrived && !matches!(event, TaskEvent::Ended(_));
            let heard = step.record(execution, token, event);
            let change = match (heard, only_alive) {
                (false, _) => Change::None,
                (true, true) => Change::Passing,
                (true, false) => Change::Lasting,
            };
            (change, heard)
        })
    }

    /// Changes an execution as `f` does, and returns what `f` answers. What cannot be written did not happen.
    pub fn change<T>(
        &self,
        cell: &Cell,
        f: impl FnOnce(&Step<'_>, &mut Execution) -> (Change, T),
    ) -> io::Result<T> {
        let mut execution = cell.look();
        let mut changed = execution.clone();
        let (change, answer) = f(&self.step(&changed.machine)?, &mut changed);
        if change == Change::Lasting {
            self.directory.write(&changed)?;
        }
        if change != Change::None {
            *execution = changed;
            cell.changed.notify_one();
        }
        Ok(answer)
    }

    /// The task that is to be begun for an execution, if it waits for one.
    pub fn call(&self, cell: &Cell) -> Option<Call> {
        let execution = cell.look();
        self.step(&execution.machine).ok()?.call(&execution)
    }

    /// Returns at `time`, by the clock. Where that jumps ahead, this machine slept, and its workers with it: their
    /// silence was not theirs, so their heartbeats are reset.
    pub async fn pause_until(&self, time: Timestamp, cell: &Cell) -> io::Result<()> {
        loop {
            let before = self.clock.now();
            let left = Duration::try_from(time.duration_since(before)).unwrap_or_default();
            if left.is_zero() {
                return Ok(());
            }
            let nap = left.min(MAX_SLEEP);
            self.clock.sleep(nap).await;
            if before + nap + OVERSLEEP < self.clock.now() {
                return self
                    .change(cell, |step, execution| (Change::Passing, step.reset_heartbeat(execution)));
            }
        }
    }

    pub fn step(&self, machine: &str) -> io::Result<Step<'_>> {
        let machine = self.machines.get(machine).ok_or_else(|| io::Error::other("no such machine"))?;
        Ok(Step { machine, now: self.clock.now(), ids: &*self.ids })
    }

    fn take_up(&self, mut execution: Execution) -> Result<(), OpenError> {
        let Some(machine) = self.machines.get(&execution.machine) else {
            // The file stays: a later or an earlier version of this program may know its machine.
            return Ok(());
        };
        match execution.status {
            Status::Ended { at, .. } if at + KEPT_AFTER_END < self.clock.now() => {
                return self.directory.remove(&execution);
            }
            Status::Ended { .. } => {}
            Status::Running(_) => {
                let now = self.clock.now();
                Step { machine, now, ids: &*self.ids }.resume(&mut execution);
            }
        }
        let key = (execution.machine.clone(), execution.name.clone());
        self.executions().insert(key, Cell::new(execution));
        Ok(())
    }

    fn executions(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Cell>>> {
        self.executions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
