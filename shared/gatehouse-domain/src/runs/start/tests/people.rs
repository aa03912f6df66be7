//! Who acts: callers that repeat their start until it succeeds, a person who pins by hand, and the janitor.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::json;

use super::{
    ci::Ci,
    executor::dying,
    table::{JOB, job},
    world::{Pin, World},
};
use crate::{
    access::Scope,
    audit::{AuditContext, Origin},
    caller::{Caller, Grant, Tenants},
    ci::CiErrorKind,
    clock::Clock,
    idempotency::IdempotencyKey,
    runs::{
        pins::{observe, settle_all},
        start::{StartError, Started, trigger},
    },
};

/// The version that a starter wants.
fn wanted_by(number: usize) -> String {
    format!("v{}", number % 2)
}

/// Asks once for a run with a starter's version.
pub(super) async fn start(world: &Arc<World>, number: usize) -> Result<Started, StartError> {
    let grant = Grant::ApiKey {
        scopes: [Scope::All].into(),
        tenants: Tenants::All,
        expires_at: None,
        minted_by: None,
    };
    let (caller, origin) = (Caller { subject: "test".into(), grant }, Origin::default());
    let audit = AuditContext { caller: &caller, origin: &origin };
    let key: IdempotencyKey = format!("k{number}").parse().unwrap();
    let given = BTreeMap::from([("ref".to_owned(), json!(wanted_by(number)))]);
    let (ci, job) = (Ci(world.clone()), job().id);
    trigger(&**world, &ci, &**world, &audit, &job, &given, Some(&key)).await
}

/// Starts a run with a version of its own, and repeats the request with the same key until it is answered with it.
pub(super) async fn starter(world: Arc<World>, number: usize) {
    let wanted = wanted_by(number);
    world.sleep(world.seconds(20)).await;
    loop {
        let turns = world.chance(3).then(|| world.below(120));
        match dying(start(&world, number), turns).await {
            Some(Ok(started)) => {
                check_answer(&world, &started, &wanted);
                world.state().answers.push((wanted, started.run.id));
                return;
            }
            Some(Err(StartError::PipelineBusy)) => world.note("the pipeline was busy"),
            Some(Err(StartError::Ci(error))) => assert_ne!(error.kind, CiErrorKind::OutcomeUnknown),
            Some(Err(StartError::InProgress | StartError::OutcomeUnknown { .. })) => {}
            Some(Err(other)) => panic!("{JOB}: {other:?}"),
            None => world.note("a request died"),
        }
        world.sleep(Duration::from_secs(3) + world.seconds(10)).await;
    }
}

/// What is said to be delivered was: a build that has taken a version never takes another.
fn check_answer(world: &World, started: &Started, wanted: &str) {
    let place: usize = started.run.build.0.parse().unwrap();
    let delivered = started.run.undelivered.is_empty();
    assert!(
        !delivered || world.state().builds[place - 1].took.as_deref() == Some(wanted),
        "said to be delivered: {:?}",
        started.run
    );
    world.note(if delivered { "a version was delivered" } else { "a version was not delivered" });
}

/// Pins a version by hand now and then, for a while.
pub(super) async fn person(world: Arc<World>) {
    for _ in 0..world.below(3) {
        world.sleep(world.seconds(90)).await;
        if !pin_by_hand(&world) {
            continue;
        }
        world.note("somebody pinned");
        world.sleep(world.seconds(60)).await;
        let mut state = world.state();
        if state.pin.as_ref().is_some_and(|pin| pin.is_a_persons) {
            state.pin = None;
        } else {
            state.touched = Some("gone");
        }
    }
}

/// Whether it was free of calls that are under way: what is carried out after a person's act, and was asked for before
/// it, nobody can call back.
fn pin_by_hand(world: &World) -> bool {
    let version = format!("v{}", world.below(3));
    let mut state = world.state();
    let is_free = state.looking.is_empty() && state.late.is_empty();
    if is_free {
        state.pin = Some(Pin { version, comment: "by hand".to_owned(), is_a_persons: true });
    }
    is_free
}

/// Sweeps again and again, and now and then dies over it. Somebody looks at the runs, too.
pub(super) async fn janitor(world: Arc<World>) {
    let ci = Ci(world.clone());
    loop {
        world.sleep(Duration::from_mins(1) + world.seconds(240)).await;
        let turns = world.chance(4).then(|| world.below(30));
        if dying(sweep(&world, &ci), turns).await.is_none() {
            world.note("a sweep died");
        }
    }
}

async fn sweep(world: &World, ci: &Ci) {
    let (settled, _) = settle_all(world, ci, world, Timestamp::MAX).await.unwrap();
    if settled > 0 {
        world.note("the janitor settled a lease");
    }
    let runs: Vec<_> = world.state().items.runs.values().cloned().collect();
    for run in runs {
        // What cannot be seen now is seen the next time.
        drop(observe(world, ci, world, run).await);
    }
}
