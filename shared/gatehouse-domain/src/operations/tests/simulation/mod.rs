//! Operations under crashes: calls that are lost before or after their effect, functions and workers that
//! die wherever they wait, reports that come twice, late, out of order or never, and people who act at the
//! same time. The deployed state machines drive the real rules; nothing else is real.
//!
//! What happens follows from a seed. `GATEHOUSE_SIMULATION_SEED=17` repeats one history, and
//! `GATEHOUSE_SIMULATION_SEEDS=1000000` makes a run longer. A seed that once failed is kept in [`KEPT`].

mod ci;
mod executor;
mod functions;
mod machine;
mod people;
mod worker;
mod world;

use std::{
    collections::BTreeMap,
    panic::catch_unwind,
    sync::atomic::{AtomicUsize, Ordering},
};

use self::world::World;
use super::support::service;
use crate::{
    audit::Action,
    catalog::{DeployTarget, DriftScheduleEdits, EnvironmentState, Infrastructure, Provisioned, Service},
    ci::RunStatus,
    operations::{Operation, OperationOutcome, Phase, Work, workflow::Execution},
};

/// Seeds that once found a defect.
const KEPT: [u64; 1] = [2216];

/// How many histories are played.
const SEEDS: u64 = 10_000;

/// What has to happen in them, or they show less than they are for.
const HAPPENS: [&str; 20] = [
    "a deploy was cancelled",
    "a function died",
    "a module was gone",
    "a module was used that is not so any more",
    "a report died",
    "a run was cancelled",
    "a webhook was called",
    "a worker died",
    "an environment was looked at by its schedule",
    "an environment's time was over",
    "an operation was recorded",
    "cancelled",
    "failed",
    "rejected",
    "somebody cancelled",
    "somebody decided",
    "succeeded",
    "the janitor ended an operation",
    "the janitor told a workflow",
    "timed_out",
];

impl World {
    /// Has something in `dev` from the beginning, so that looks for it fall into the time in which things go wrong.
    fn provision_dev(&self, service: &Service) {
        let spec = &service.spec.environments[0];
        let artifact = worker::artifact(0);
        let provisioned = Provisioned {
            operation: "op_0".parse().unwrap(),
            at: self.executor.now(),
            module: spec.module.clone().unwrap(),
            artifact: Some(artifact.clone()),
            inputs: spec.inputs.clone(),
            outputs: BTreeMap::new(),
            expires_at: None,
        };
        let place = (service.id.clone(), spec.name.clone());
        let state = EnvironmentState {
            infrastructure: Infrastructure::Present(provisioned),
            ..EnvironmentState::new(place.0.clone(), place.1.clone())
        };
        self.notes().made_with.insert(place.clone(), artifact);
        self.memory.items().environments.insert(place, state);
    }

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
        let mut trail: BTreeMap<(String, AuditTarget), u64> = BTreeMap::new();
        for entry in &items.trail {
            *trail.entry((entry.target.clone(), kind(entry.action))).or_default() += 1;
        }
        for operation in items.operations.values() {
            let of = |action| trail.get(&(format!("operation:{}", operation.id), action)).copied();
            assert_eq!(of(AuditTarget::Asked), Some(1), "{operation:?}");
            assert_eq!(of(AuditTarget::Decided), operation.verdict.as_ref().map(|_| 1), "{operation:?}");
            assert_eq!(of(AuditTarget::Cancelled), operation.cancel.as_ref().map(|_| 1), "{operation:?}");
            check_outcome(operation);
            self.check_deploy(operation);
            let begun = executions.executions.contains_key(&operation.id);
            assert!(begun || operation.ending() != Some(OperationOutcome::Succeeded), "{operation:?}");
        }
    }
}

impl World {
    /// Whatever was lost, a version is brought once at most, and nothing goes on when nobody waits for it.
    fn check_deploy(&self, operation: &Operation) {
        let Work::Deploy { version, target } = &operation.work else { return };
        let done = operation.ending() == Some(OperationOutcome::Succeeded);
        if operation.ending() == Some(OperationOutcome::Cancelled) {
            self.saw("a deploy was cancelled");
        }
        match target {
            DeployTarget::Job(_) => {
                let builds = self.records().of_version(version, self.executor.now());
                assert!(builds.len() <= 1, "{operation:?} began {builds:?}");
                assert!(builds.iter().all(|status| status.is_terminal()), "{operation:?} left {builds:?}");
                assert!(!done || builds == [RunStatus::Succeeded], "{operation:?} ended well by {builds:?}");
            }
            DeployTarget::Webhook(_) => {
                let notes = self.notes();
                let calls = notes.called.iter().filter(|(id, _)| *id == operation.id).count();
                assert!(calls <= 1, "{operation:?} was called for {calls} times");
                assert!(!done || calls == 1, "{operation:?} ended well, and nobody was called");
            }
        }
    }
}

/// What an entry of the trail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum AuditTarget {
    Asked,
    Decided,
    Cancelled,
}

fn kind(action: Action) -> AuditTarget {
    match action {
        Action::ApproveOperation | Action::RejectOperation => AuditTarget::Decided,
        Action::CancelOperation => AuditTarget::Cancelled,
        _ => AuditTarget::Asked,
    }
}

/// The outcome is there, is what was reported, and nobody's word was passed over.
fn check_outcome(operation: &Operation) {
    let ending = operation.ending().unwrap_or_else(|| panic!("{operation:?} is open"));
    let applied = operation.attempt.as_ref().filter(|attempt| attempt.phase != Phase::Plan);
    if applied.is_some_and(|attempt| attempt.reported) && operation.failure.is_none() {
        assert_eq!(ending, OperationOutcome::Succeeded, "a success was lost: {operation:?}");
    }
    let verdict = operation.verdict.as_ref().map(|verdict| verdict.approved);
    if applied.is_some() && operation.approval_required {
        assert_eq!(verdict, Some(true), "nobody agreed: {operation:?}");
    }
    assert_eq!(verdict == Some(false), ending == OperationOutcome::Rejected, "{operation:?}");
    assert!(ending != OperationOutcome::Cancelled || operation.cancel.is_some(), "{operation:?}");
    assert_eq!(operation.pending_signal, None, "{operation:?}");
}

/// Plays the history of a seed, and says how often what happened in it.
fn play(seed: u64) -> BTreeMap<&'static str, u64> {
    let world = World::new(seed);
    for (id, deploy) in [("svc_1", None), ("svc_2", Some(DeployTarget::Job(ci::JOB.parse().unwrap())))] {
        let mut service = service(id);
        // `short` is looked at although it does not live for long.
        service.spec.environments[2].drift_hours = Some(1);
        if world.executor.once_in(2) {
            service.spec.environments[0].drift_hours = Some(1);
            world.provision_dev(&service);
        }
        service.spec.deploy = deploy.or(service.spec.deploy);
        let set = service.drift_schedules(world.executor.now());
        let mut items = world.memory.items();
        items.reschedule(&service.id, &DriftScheduleEdits { set, ended: Vec::new() });
        items.services.insert(service.id.clone(), service);
    }
    world.executor.spawn(world.clone().live());
    world.executor.spawn(world.clone().keep_sweeping());
    world.executor.run();
    world.check();
    let mut happened = std::mem::take(&mut world.notes().seen);
    for operation in world.memory.items().operations.values() {
        *happened.entry(operation.ending().map_or("open", OperationOutcome::as_str)).or_default() += 1;
    }
    happened
}

/// Plays these histories on as many threads as there are processors, and says how often what happened.
fn play_all(seeds: &[u64]) -> BTreeMap<&'static str, u64> {
    let next = AtomicUsize::new(0);
    let play_some = || {
        let mut seen: BTreeMap<&'static str, u64> = BTreeMap::new();
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Ok(played) = catch_unwind(|| play(*seed)) else {
                panic!(
                    "to repeat this: GATEHOUSE_SIMULATION_SEED={seed} cargo test -p gatehouse-domain simulation"
                );
            };
            for (what, times) in played {
                *seen.entry(what).or_default() += times;
            }
        }
        seen
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let mut seen: BTreeMap<&'static str, u64> = BTreeMap::new();
    std::thread::scope(|scope| {
        let players: Vec<_> = (0..threads).map(|_| scope.spawn(play_some)).collect();
        for player in players {
            for (what, times) in player.join().expect("a history failed; its seed is above") {
                *seen.entry(what).or_default() += times;
            }
        }
    });
    seen
}

/// A number that whoever runs the tests gives.
#[expect(clippy::disallowed_methods, reason = "tests are configured where they are run")]
fn given(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn whatever_happens_nothing_is_lost_and_nothing_is_done_twice() {
    if let Some(seed) = given("GATEHOUSE_SIMULATION_SEED") {
        play(seed);
        return;
    }
    let seeds: Vec<_> = (0..given("GATEHOUSE_SIMULATION_SEEDS").unwrap_or(SEEDS)).collect();
    let seen = play_all(&seeds);
    let met = |what| assert!(seen.contains_key(what), "it never happened that {what}: {seen:?}");
    HAPPENS.iter().for_each(met);
}

#[test]
fn what_once_went_wrong_does_not_again() {
    play_all(&KEPT);
}
