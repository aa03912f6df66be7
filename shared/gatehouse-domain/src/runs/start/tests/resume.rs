//! Requests whose earlier invocation left its lease behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    ci::{Ci, RESOURCE, fields},
    executor::run,
    left_behind,
    people::janitor,
    table::job,
    world::{Pin, World},
};
use crate::{
    ci::{Checkpoint, ResourceVersion, StartKind, WantedVersion},
    clock::Clock,
    idempotency::{Fingerprint, RequestKey},
    jobs::Job,
    runs::{
        pins::PinLease,
        start::{
            RunRequest,
            attempt::{Attempt, Recovering},
            versions::NotStarted,
        },
    },
};

/// The request that a lease of [`left_behind`] is of.
fn request(world: &World, attempt: &Attempt<'_, World>) -> RunRequest {
    let Job { id, spec, .. } = job();
    let version = ResourceVersion { id: "v0".to_owned(), fields: fields("v0") };
    let wanted = WantedVersion {
        resource: RESOURCE.to_owned(),
        version,
        inputs: BTreeSet::from(["source".to_owned()]),
        parameters: BTreeSet::new(),
    };
    RunRequest {
        key: RequestKey::of("test", &attempt.key),
        id: "run_0".to_owned(),
        fingerprint: Fingerprint::of(&["test"]),
        job_id: id,
        kind: StartKind::Trigger,
        rerun_of: None,
        target: spec.target,
        parameters: BTreeMap::new(),
        undelivered: BTreeMap::new(),
        versions: vec![wanted],
        environment: BTreeMap::new(),
        checkpoint: Checkpoint("0".to_owned()),
        actor: "test".to_owned(),
        created_at: world.now(),
        state: attempt.open(world.now(), Recovering::No),
    }
}

fn scope() -> String {
    let spec = job().spec;
    PinLease::scope_of(&spec.provider, &spec.target).unwrap()
}

/// Starts a run for which an earlier invocation has pinned, and lets the janitor do the rest.
fn resume(seed: u64, is_held: bool) -> Arc<World> {
    let world = Arc::new(World::new(seed));
    let pin = Pin { version: "v0".to_owned(), comment: String::new(), is_a_persons: false };
    world.state().pin = Some(pin);
    let lease = left_behind(&world, &scope());
    world.state().leases.insert(scope(), lease);
    let caller = {
        let world = world.clone();
        async move {
            let (ci, job) = (Ci(world.clone()), job());
            let attempt = Attempt::new(&*world, &*world, &ci, &job, None, None);
            let mut request = request(&world, &attempt);
            if is_held {
                world.state().items.put(request.clone());
            }
            let outcome = attempt.start(&mut request).await;
            assert!(is_held || matches!(outcome, Err(NotStarted::Ci(_))), "seed {seed}: {outcome:?}");
        }
    };
    run(&world, vec![Box::pin(caller)], Box::pin(janitor(world.clone())));
    world
}

#[test]
fn what_was_pinned_before_is_taken_away_whatever_becomes_of_the_start() {
    for seed in 0..500 {
        let world = resume(seed, true);
        assert!(world.state().pin.is_none(), "seed {seed}");
    }
}

#[test]
fn nothing_is_called_for_a_request_that_is_somebody_elses_by_then() {
    for seed in 0..100 {
        let world = resume(seed, false);
        assert!(world.state().builds.is_empty(), "seed {seed}");
        assert!(world.state().pin.is_none(), "seed {seed}");
    }
}

#[test]
fn a_lease_that_is_being_settled_is_not_resumed() {
    let world = Arc::new(World::new(0));
    let caller = {
        let world = world.clone();
        async move {
            let (ci, job) = (Ci(world.clone()), job());
            let attempt = Attempt::new(&*world, &*world, &ci, &job, None, None);
            let mut request = request(&world, &attempt);
            let held_until = world.now() + Duration::from_mins(1);
            let lease = PinLease { settling: true, held_until, ..left_behind(&world, &scope()) };
            world.state().leases.insert(scope(), lease.clone());
            let outcome = attempt.start(&mut request).await;
            assert!(matches!(outcome, Err(NotStarted::PipelineBusy)), "{outcome:?}");
            assert_eq!(world.state().leases.get(&scope()), Some(&lease));
        }
    };
    run(&world, vec![Box::pin(caller)], Box::pin(janitor(world.clone())));
}
