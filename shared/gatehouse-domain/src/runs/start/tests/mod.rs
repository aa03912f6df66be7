//! Runs that take versions of resources, under crashes: calls that are lost before or after their effect, or are
//! carried out later, requests and sweeps that die wherever they wait, and a person who pins. The real rules and the
//! real settling run on a table and a CI system in memory.
//!
//! What happens follows from a seed: `GATEHOUSE_SIMULATION_SEED=17` repeats one history. A seed that once failed is kept
//! in [`KEPT`].

mod ci;
mod executor;
pub(crate) mod memory;
mod people;
mod resume;
mod table;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    panic::catch_unwind,
    sync::Arc,
};

use jiff::Timestamp;

use self::{
    executor::{Task, run},
    people::{janitor, person, start, starter},
    world::{Pin, World},
};
use super::StartError;
use crate::{
    ci::ResourceVersion,
    clock::Clock,
    runs::pins::{PinLease, settle_all},
};

/// Seeds that once found a defect.
const KEPT: [u64; 1] = [753];

/// How many histories are played.
const SEEDS: u64 = 10_000;

/// How many callers start a run each.
const STARTERS: usize = 3;

/// What has to happen in them, or they show less than they are for.
const HAPPENS: [&str; 12] = [
    "a build began late",
    "a call was lost",
    "a call was refused",
    "a request died",
    "a sweep died",
    "a version was delivered",
    "a version was not delivered",
    "an answer was lost",
    "somebody pinned",
    "somebody's pin was respected",
    "the janitor settled a lease",
    "the pipeline was busy",
];

fn play(seed: u64) -> BTreeMap<&'static str, usize> {
    let world = Arc::new(World::new(seed));
    let starters = (0..STARTERS).map(|number| -> Task { Box::pin(starter(world.clone(), number)) });
    let people: Vec<Task> = starters.chain([Box::pin(person(world.clone())) as Task]).collect();
    // The janitor goes on for ever: the history ends when everybody else is done and everything is settled.
    run(&world, people, Box::pin(janitor(world.clone())));
    check(&world, seed);
    world.happened()
}

fn play_all(seeds: &[u64]) -> BTreeMap<&'static str, usize> {
    let mut happened = BTreeMap::new();
    for seed in seeds {
        let played = catch_unwind(|| play(*seed));
        let played = played.unwrap_or_else(|_| panic!("repeat it with GATEHOUSE_SIMULATION_SEED={seed}"));
        for (what, times) in played {
            *happened.entry(what).or_default() += times;
        }
    }
    happened
}

/// What has to hold when everything is over.
fn check(world: &World, seed: u64) {
    let state = world.state();
    assert!(state.pin.is_none(), "seed {seed}: left pinned: {:?}", state.pin);
    assert!(state.leases.is_empty(), "seed {seed}: {:?}", state.leases);
    assert_eq!(state.touched, None, "seed {seed}: somebody's own pin was touched");
    assert_eq!(state.answers.len(), STARTERS, "seed {seed}: a start was lost");
    assert_eq!(state.builds.len(), STARTERS, "seed {seed}: a start was doubled");
    let runs: BTreeSet<_> = state.answers.iter().map(|(_, run)| run).collect();
    assert_eq!(runs.len(), STARTERS, "seed {seed}: two starts share a run");
    for (wanted, run) in &state.answers {
        let run = &state.items.runs[run];
        let build: usize = run.build.0.parse().unwrap();
        let took = state.builds[build - 1].took.as_deref();
        assert!(run.awaited.is_empty(), "seed {seed}: {run:?}");
        let is_delivered = run.undelivered.is_empty();
        assert_eq!(is_delivered, took == Some(wanted), "seed {seed}: it took {took:?}: {run:?}");
        assert_eq!(run.parameters.len() + run.undelivered.len(), 1, "seed {seed}: {run:?}");
    }
}

/// The one history that whoever runs the tests wants to see.
#[expect(clippy::disallowed_methods, reason = "tests are configured where they are run")]
fn given() -> Option<u64> {
    let text = std::env::var("GATEHOUSE_SIMULATION_SEED").ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("GATEHOUSE_SIMULATION_SEED must be a number")))
}

#[test]
fn whatever_happens_nothing_stays_pinned_and_runs_say_what_they_took() {
    let only = given();
    let seeds: Vec<u64> = only.map_or_else(|| KEPT.into_iter().chain(0..SEEDS).collect(), |seed| vec![seed]);
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let happened = std::thread::scope(|scope| {
        let shares = seeds.chunks(seeds.len().div_ceil(threads));
        let players: Vec<_> = shares.map(|share| scope.spawn(|| play_all(share))).collect();
        let mut happened: BTreeMap<&str, usize> = BTreeMap::new();
        for player in players {
            for (what, times) in player.join().expect("a history failed, as is said above") {
                *happened.entry(what).or_default() += times;
            }
        }
        happened
    });
    if only.is_none() {
        for what in HAPPENS {
            assert!(happened.contains_key(what), "{what} never: {happened:?}");
        }
        let times = |what| happened.get(what).copied().unwrap_or_default();
        assert!(
            times("a version was delivered") > 2 * times("a version was not delivered"),
            "most are delivered: {happened:?}"
        );
    }
}

#[test]
fn a_pin_without_a_comment_is_somebodys_when_nothing_was_pinned_for_the_run() {
    for seed in 0..200 {
        let world = Arc::new(World::new(seed));
        let pin = Pin { version: "v0".to_owned(), comment: String::new(), is_a_persons: true };
        world.state().pin = Some(pin);
        let caller = {
            let world = world.clone();
            async move {
                let outcome = start(&world, 0).await;
                assert!(matches!(outcome, Err(StartError::Ci(_))), "seed {seed}: {outcome:?}");
                assert!(world.state().leases.is_empty(), "seed {seed}: nothing is left to settle");
            }
        };
        run(&world, vec![Box::pin(caller)], Box::pin(janitor(world.clone())));
        let state = world.state();
        assert_eq!(state.touched, None, "seed {seed}");
        assert!(state.pin.is_some(), "seed {seed}");
        assert!(state.builds.is_empty(), "seed {seed}");
    }
}

/// A lease that nobody holds any more, of a pipeline in which nothing is pinned.
fn left_behind(world: &World, scope: &str) -> PinLease {
    let spec = table::job().spec;
    let version = ResourceVersion { id: "v0".to_owned(), fields: ci::fields("v0") };
    PinLease {
        scope: scope.to_owned(),
        provider: spec.provider,
        target: spec.target,
        versions: BTreeMap::from([(ci::RESOURCE.to_owned(), version)]),
        request: "run_0".to_owned(),
        build: None,
        run: None,
        settling: false,
        created_at: world.now(),
        held_until: world.now(),
    }
}

/// How many of two leases are settled before `deadline`, and for how many that fails.
fn settle_two(seed: u64, deadline: impl FnOnce(&World) -> Timestamp + 'static) -> (usize, usize) {
    let world = Arc::new(World::new(seed));
    for scope in ["a", "b"] {
        let lease = left_behind(&world, scope);
        world.state().leases.insert(scope.to_owned(), lease);
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let sweep = {
        let world = world.clone();
        async move {
            let (ci, deadline) = (ci::Ci(world.clone()), deadline(&world));
            let (settled, failures) = settle_all(&*world, &ci, &*world, deadline).await.unwrap();
            sender.send((settled, failures.len())).unwrap();
        }
    };
    run(&world, vec![Box::pin(sweep)], Box::pin(janitor(world.clone())));
    receiver.recv().unwrap()
}

#[test]
fn no_lease_is_settled_when_the_sweeps_time_is_over() {
    assert_eq!(settle_two(0, World::now), (0, 0));
}

#[test]
fn a_ci_system_that_does_not_answer_is_not_asked_about_its_other_leases() {
    let outcomes: BTreeSet<_> = (0..1000).map(|seed| settle_two(seed, |_| Timestamp::MAX)).collect();
    assert_eq!(outcomes, BTreeSet::from([(0, 1), (1, 1), (2, 0)]));
}
