//! Operations under crashes: calls that are lost before or after their effect, functions and workers that
//! die wherever they wait, reports that come twice, late, out of order or never, and people who act at the
//! same time. The deployed state machines drive the real rules; nothing else is real.
//!
//! What happens follows from a seed. `GATEHOUSE_SIMULATION_SEED=17` repeats one history, and
//! `GATEHOUSE_SIMULATION_SEEDS=1000000` makes a run longer. A seed that once failed is kept in [`KEPT`].

mod executor;
mod functions;
mod machine;
mod people;
mod worker;
mod world;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use self::world::World;
use super::support::service;
use crate::{
    audit::Action,
    operations::{Ending, Operation, Phase, workflow::Execution},
};

/// Seeds that once found a defect.
const KEPT: [u64; 0] = [];

/// How many histories each of the tests below plays.
const SEEDS: u64 = 2_500;

impl World {
    fn everything_ended(&self) -> bool {
        self.engine().executions.values().all(|execution| *execution != Execution::Running)
    }

    /// What has to be so whatever happened.
    fn check(&self) {
        let items = self.memory.items();
        let notes = self.notes();
        for id in &notes.answered {
            assert!(items.operations.contains_key(id), "{id} was promised, and is lost");
        }
        for state in items.environments.values() {
            assert_eq!(state.running, None, "{state:?} is locked");
        }
        assert!(notes.applying.is_empty(), "somebody still applies: {:?}", notes.applying);
        drop(notes);
        assert!(self.everything_ended(), "an execution goes on");
        let executions = self.engine();
        let mut trail: BTreeMap<(String, Action2), u64> = BTreeMap::new();
        for entry in &items.trail {
            *trail.entry((entry.target.clone(), kind(entry.action))).or_default() += 1;
        }
        for operation in items.operations.values() {
            let of = |action| trail.get(&(format!("operation:{}", operation.id), action)).copied();
            assert_eq!(of(Action2::Asked), Some(1), "{operation:?}");
            assert_eq!(of(Action2::Decided), operation.verdict.as_ref().map(|_| 1), "{operation:?}");
            assert_eq!(of(Action2::Cancelled), operation.cancel.as_ref().map(|_| 1), "{operation:?}");
            check_outcome(operation);
            let begun = executions.executions.contains_key(&operation.id);
            assert!(begun || operation.ending() != Some(Ending::Succeeded), "{operation:?}");
        }
    }
}

/// What an entry of the trail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action2 {
    Asked,
    Decided,
    Cancelled,
}

fn kind(action: Action) -> Action2 {
    match action {
        Action::ApproveOperation | Action::RejectOperation => Action2::Decided,
        Action::CancelOperation => Action2::Cancelled,
        _ => Action2::Asked,
    }
}

/// The outcome is there, is what was reported, and nobody's word was passed over.
fn check_outcome(operation: &Operation) {
    let ending = operation.ending().unwrap_or_else(|| panic!("{operation:?} is open"));
    let applied = operation.attempt.as_ref().filter(|attempt| attempt.phase == Phase::Apply);
    if applied.is_some_and(|attempt| attempt.reported) && operation.failure.is_none() {
        assert_eq!(ending, Ending::Succeeded, "a success was lost: {operation:?}");
    }
    let verdict = operation.verdict.as_ref().map(|verdict| verdict.approved);
    if applied.is_some() && operation.approval_required {
        assert_eq!(verdict, Some(true), "nobody agreed: {operation:?}");
    }
    assert_eq!(verdict == Some(false), ending == Ending::Rejected, "{operation:?}");
    assert!(ending != Ending::Cancelled || operation.cancel.is_some(), "{operation:?}");
    assert_eq!(operation.owed, None, "{operation:?}");
}

/// Plays the history of a seed, and says how often what happened in it.
fn play(seed: u64) -> BTreeMap<&'static str, u64> {
    let world = World::new(seed);
    for id in ["svc_1", "svc_2"] {
        let service = service(id);
        world.memory.items().services.insert(service.id.clone(), service);
    }
    world.executor.spawn(world.clone().live());
    world.executor.spawn(world.clone().keep_sweeping());
    world.executor.run();
    world.check();
    let mut seen = std::mem::take(&mut world.notes().seen);
    for operation in world.memory.items().operations.values() {
        *seen.entry(operation.ending().map_or("open", Ending::as_str)).or_default() += 1;
    }
    seen
}

/// Plays the histories of these seeds. Together they have to meet everything that a simulation is for.
fn play_all(seeds: impl Iterator<Item = u64>) {
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in seeds {
        let played = catch_unwind(AssertUnwindSafe(|| play(seed)));
        let Ok(played) = played else {
            panic!(
                "repeat this with GATEHOUSE_SIMULATION_SEED={seed} cargo test -p gatehouse-domain simulation"
            );
        };
        for (what, times) in played {
            *seen.entry(what).or_default() += times;
        }
    }
    eprintln!("{seen:#?}");
}

#[test]
fn simulation_first() {
    play_all(0..SEEDS);
}
