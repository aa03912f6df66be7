//! One thread, one clock, one source of chance: whatever happens follows from the seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    pin::Pin,
    sync::{Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::noop_waker_ref;
use jiff::Timestamp;

use crate::operations::tests::support::after;

/// xorshift64*: a history must follow from its seed and from nothing else.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Self((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(2) | 1);
        random.bits();
        random
    }

    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }
}

/// A place where an answer is left for somebody who waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell(u64);

/// What somebody does.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is done when a task is killed.
type Death = Box<dyn FnOnce() + Send>;

/// A task that has not ended.
struct ActiveTask {
    task: Task,
    /// How often it was polled: an alarm that was set before that is stale.
    polls: u64,
    /// What is done when it is killed; nobody kills it without.
    mortal: Option<Death>,
}

#[derive(Default)]
struct Inbox {
    spawned: Vec<(Task, Option<Death>)>,
    alarm: Option<Timestamp>,
    listens: Option<Cell>,
    left: BTreeSet<Cell>,
    rung: Vec<Cell>,
    cells: u64,
}

/// The executor.
pub(super) struct Executor {
    inbox: Mutex<Inbox>,
    random: Mutex<Random>,
    now: Mutex<Timestamp>,
    /// Of how many polls of a mortal task one is not made, and the task killed; 0 for none.
    deadly: Mutex<u64>,
}

impl Executor {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            inbox: Mutex::default(),
            random: Mutex::new(Random::new(seed)),
            now: Mutex::new(after(0)),
            deadly: Mutex::new(0),
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap()
    }

    pub(super) fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        self.random.lock().unwrap().below(bound)
    }

    /// Whether one of so many times has come.
    pub(super) fn once_in(&self, times: u64) -> bool {
        times > 0 && self.below(times) == 0
    }

    pub(super) fn kill_once_in(&self, polls: u64) {
        *self.deadly.lock().unwrap() = polls;
    }

    /// Begins something that nobody kills.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inbox().spawned.push((Box::pin(task), None));
    }

    /// Begins something that may be killed wherever it waits, with what happens then.
    pub(super) fn spawn_mortal(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
        on_death: impl FnOnce() + Send + 'static,
    ) {
        self.inbox().spawned.push((Box::pin(task), Some(Box::new(on_death))));
    }

    pub(super) fn cell(&self) -> Cell {
        let mut inbox = self.inbox();
        inbox.cells += 1;
        Cell(inbox.cells)
    }

    /// Wakes whoever waits for this, now or later.
    pub(super) fn ring(&self, cell: Cell) {
        let mut inbox = self.inbox();
        inbox.left.insert(cell);
        inbox.rung.push(cell);
    }

    /// Lets time pass.
    pub(super) async fn pause(&self, time: Duration) {
        let until = self.now() + time;
        let mut asked = false;
        poll_fn(|_| {
            if asked {
                return Poll::Ready(());
            }
            asked = true;
            self.inbox().alarm = Some(until);
            Poll::Pending
        })
        .await;
    }

    /// Waits until that was rung. `false` when it was not in time.
    pub(super) async fn heard(&self, cell: Cell, until: Timestamp) -> bool {
        poll_fn(|_| {
            let mut inbox = self.inbox();
            if inbox.left.remove(&cell) {
                return Poll::Ready(true);
            }
            if self.now() >= until {
                return Poll::Ready(false);
            }
            inbox.alarm = Some(until);
            inbox.listens = Some(cell);
            Poll::Pending
        })
        .await
    }

    /// Runs until nobody does anything any more.
    pub(super) fn run(&self) {
        let mut active: BTreeMap<u64, ActiveTask> = BTreeMap::new();
        let mut agenda: BTreeSet<(Timestamp, u64, u64, u64)> = BTreeSet::new();
        let mut listening: BTreeMap<Cell, (u64, u64)> = BTreeMap::new();
        let mut count = 0;
        loop {
            let (spawned, rung) = {
                let mut inbox = self.inbox();
                (std::mem::take(&mut inbox.spawned), std::mem::take(&mut inbox.rung))
            };
            for (task, mortal) in spawned {
                count += 1;
                active.insert(count, ActiveTask { task, polls: 0, mortal });
                agenda.insert((self.now(), self.below(1 << 20), count, 0));
            }
            for cell in rung {
                if let Some((task, polls)) = listening.remove(&cell) {
                    agenda.insert((self.now(), self.below(1 << 20), task, polls));
                }
            }
            let Some((time, _, number, polls)) = agenda.pop_first() else { return };
            let Some(current) = active.get_mut(&number).filter(|task| task.polls == polls) else { continue };
            if time > self.now() {
                *self.now.lock().unwrap() = time;
            }
            let deadly = *self.deadly.lock().unwrap();
            if current.mortal.is_some() && self.once_in(deadly) {
                let killed = active.remove(&number).and_then(|task| task.mortal);
                if let Some(on_death) = killed {
                    on_death();
                }
                continue;
            }
            current.polls += 1;
            let mut context = Context::from_waker(noop_waker_ref());
            if current.task.as_mut().poll(&mut context).is_ready() {
                active.remove(&number);
                continue;
            }
            let polls = current.polls;
            let mut inbox = self.inbox();
            let alarm = inbox.alarm.take().expect("whoever waits says until when");
            if let Some(cell) = inbox.listens.take() {
                listening.insert(cell, (number, polls));
            }
            drop(inbox);
            agenda.insert((alarm, self.below(1 << 20), number, polls));
        }
    }
}
