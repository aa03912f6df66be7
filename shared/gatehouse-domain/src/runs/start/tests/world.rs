//! Time, chance, and everything that is remembered.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;

use super::memory::RunItems;
use crate::{
    clock::{Clock, IdSource},
    runs::{RunId, pins::PinLease},
    test_support::START,
};

pub(super) struct World(Mutex<State>);

pub(super) struct State {
    random: u64,
    ids: u64,
    pub(super) now: Timestamp,
    /// Whose turn it is.
    turn: usize,
    asleep: BTreeMap<usize, Timestamp>,
    happened: BTreeMap<&'static str, usize>,
    // The table.
    pub(super) items: RunItems,
    pub(super) leases: BTreeMap<String, PinLease>,
    // The CI system.
    pub(super) pin: Option<Pin>,
    pub(super) known: BTreeSet<String>,
    pub(super) builds: Vec<SimulatedBuild>,
    /// Calls that were lost and are carried out all the same.
    pub(super) late: Vec<(Timestamp, Late)>,
    /// Who has just looked at the pin, and may act on it in the next call: nobody can come between on purpose, since
    /// the CI system has no condition that would show it.
    pub(super) looking: BTreeSet<usize>,
    /// What was done to the pin of a person, if anything.
    pub(super) touched: Option<&'static str>,
    /// What each starter wanted, and the run they were answered with.
    pub(super) answers: Vec<(String, RunId)>,
}

#[derive(Debug, Clone)]
pub(super) struct Pin {
    pub(super) version: String,
    pub(super) comment: String,
    pub(super) is_a_persons: bool,
}

#[derive(Debug, Clone)]
pub(super) struct SimulatedBuild {
    pub(super) visible_at: Timestamp,
    pub(super) takes_at: Timestamp,
    /// The version that it took, once it has.
    pub(super) took: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Late {
    Check(String),
    Pin(String),
    Comment(String),
    Unpin,
}

/// The version that builds take while nothing is pinned.
const NEWEST: &str = "newest";

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(State {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            ids: 0,
            now: Timestamp::from_second(START).unwrap(),
            turn: 0,
            asleep: BTreeMap::new(),
            happened: BTreeMap::new(),
            items: RunItems::default(),
            leases: BTreeMap::new(),
            pin: None,
            known: BTreeSet::from(["v0".to_owned()]),
            builds: Vec::new(),
            late: Vec::new(),
            looking: BTreeSet::new(),
            touched: None,
            answers: Vec::new(),
        }))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// xorshift64*: a history follows from its seed and from nothing else.
    pub(super) fn below(&self, bound: usize) -> usize {
        let mut state = self.state();
        state.random ^= state.random >> 12;
        state.random ^= state.random << 25;
        state.random ^= state.random >> 27;
        let bits = state.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(bits).unwrap() % bound
    }

    pub(super) fn chance(&self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    pub(super) fn seconds(&self, below: usize) -> Duration {
        Duration::from_millis(self.below(below * 1000) as u64)
    }

    pub(super) fn note(&self, what: &'static str) {
        *self.state().happened.entry(what).or_default() += 1;
    }

    pub(super) fn happened(&self) -> BTreeMap<&'static str, usize> {
        self.state().happened.clone()
    }

    pub(super) fn turn_of(&self, task: usize) {
        self.state().turn = task;
    }

    pub(super) fn is_awake(&self, task: usize) -> bool {
        let state = self.state();
        state.asleep.get(&task).is_none_or(|until| *until <= state.now)
    }

    /// Lets time pass until somebody wakes.
    pub(super) fn skip_sleep(&self) {
        let state = self.state();
        let next = state.asleep.values().copied().filter(|until| *until > state.now).min();
        let next = next.expect("nobody sleeps, and nobody is awake");
        let pause = next.duration_since(state.now);
        drop(state);
        self.pass(pause.unsigned_abs());
    }

    /// Whether nothing can happen any more but by somebody's act.
    pub(super) fn is_at_rest(&self) -> bool {
        let state = self.state();
        state.leases.is_empty()
            && state.late.is_empty()
            && state.builds.iter().all(|build| build.took.is_some())
            && state.items.runs.values().all(|run| run.awaited.is_empty())
    }

    /// Lets others go first, or a function die.
    pub(super) async fn turns(&self) {
        for _ in 0..self.below(3) {
            let mut waited = false;
            std::future::poll_fn(move |_| {
                if waited {
                    return Poll::Ready(());
                }
                waited = true;
                Poll::Pending
            })
            .await;
        }
    }

    pub(super) fn begin_looking(&self) {
        let mut state = self.state();
        let turn = state.turn;
        state.looking.insert(turn);
    }

    pub(super) fn end_looking(&self) {
        let mut state = self.state();
        let turn = state.turn;
        state.looking.remove(&turn);
    }

    /// Lets time pass: what was called is carried out, and builds take what they find.
    pub(super) fn pass(&self, pause: Duration) {
        let mut state = self.state();
        let end = state.now + pause;
        loop {
            let late = state.late.iter().map(|(at, _)| *at);
            let takes = state.builds.iter().filter(|build| build.took.is_none()).map(|build| build.takes_at);
            let Some(next) = late.chain(takes).filter(|at| *at <= end).min() else { break };
            state.now = state.now.max(next);
            state.happen(next);
        }
        state.now = end;
    }
}

impl State {
    /// What is due at a moment.
    fn happen(&mut self, moment: Timestamp) {
        let current = self.pin.as_ref().map_or(NEWEST, |pin| &pin.version).to_owned();
        for build in self.builds.iter_mut().filter(|build| build.took.is_none() && build.takes_at <= moment) {
            build.took = Some(current.clone());
        }
        let due: Vec<_> = self.late.iter().filter(|(at, _)| *at <= moment).cloned().collect();
        self.late.retain(|(at, _)| *at > moment);
        for (_, late) in due {
            self.carry_out(late);
        }
    }

    /// Changes the pin as the CI system does: whoever pins replaces, and keeps the comment; whoever unpins takes away
    /// what there is.
    pub(super) fn carry_out(&mut self, late: Late) {
        let of_a_person = self.pin.as_ref().is_some_and(|pin| pin.is_a_persons);
        match late {
            Late::Check(version) => drop(self.known.insert(version)),
            Late::Pin(_) if of_a_person => self.touched = Some("replaced"),
            Late::Comment(_) if of_a_person => self.touched = Some("commented"),
            Late::Unpin if of_a_person => self.touched = Some("taken away"),
            Late::Pin(version) => {
                let comment = self.pin.take().map(|pin| pin.comment).unwrap_or_default();
                self.pin = Some(Pin { version, comment, is_a_persons: false });
            }
            Late::Comment(comment) => {
                if let Some(pin) = &mut self.pin {
                    pin.comment = comment;
                }
            }
            Late::Unpin => self.pin = None,
        }
    }
}

#[async_trait]
impl Clock for World {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    async fn sleep(&self, pause: Duration) {
        self.end_looking();
        let (turn, until) = {
            let mut state = self.state();
            let (turn, until) = (state.turn, state.now + pause);
            state.asleep.insert(turn, until);
            (turn, until)
        };
        std::future::poll_fn(|_| if self.now() >= until { Poll::Ready(()) } else { Poll::Pending }).await;
        self.state().asleep.remove(&turn);
    }
}

impl IdSource for World {
    fn random(&self) -> [u8; 16] {
        let mut state = self.state();
        state.ids += 1;
        let mut id = [0; 16];
        id[2..10].copy_from_slice(&state.ids.to_be_bytes());
        id
    }
}
