//! What a sweep does for operations.

use super::*;
use crate::{
    catalog::Infrastructure,
    operations::{
        OperationKind, OperationOutcome, Work,
        tests::support::{after, service},
        workflow::Execution,
    },
    test_support::START,
};

const HOUR: Duration = Duration::from_hours(1);

impl World {
    /// So many services, each with an operation whose workflow could not be begun.
    fn with_unbegun(count: usize) -> Self {
        let mut world = Self::default();
        world.state().now = START;
        world.1.engine.state().is_down = true;
        for number in 0..count {
            let service = service(&format!("svc_{number:03}"));
            world.1.service = service.id.clone();
            world.1.memory.items().services.insert(service.id.clone(), service);
            world.1.provisioning("dev");
        }
        world.1.engine.heard();
        world
    }

    /// An environment that came to be two hours ago and was to live for two hours.
    fn with_ended_environment() -> Self {
        let world = Self::default();
        let id = world.1.provisioning("short");
        let operation = world.1.memory.operation(&id);
        let Work::Provision(given) = operation.work else { panic!("{operation:?}") };
        let provisioned = crate::catalog::Provisioned {
            operation: id.clone(),
            at: after(0),
            module: given.module,
            artifact: given.artifact,
            secret_inputs: crate::catalog::SecretInputs::default(),
            inputs: given.inputs,
            outputs: operation.outputs,
            expires_at: Some(after(2 * 3600)),
        };
        let mut items = world.1.memory.items();
        items.operations.remove(&id);
        let state = items.environments.values_mut().next().unwrap();
        state.running = None;
        state.infrastructure = Infrastructure::Present(provisioned);
        drop(items);
        world.state().now = START;
        world.wait(2 * HOUR);
        world.1.engine.heard();
        world
    }

    fn wait(&self, time: Duration) {
        self.state().now += i64::try_from(time.as_secs()).unwrap();
        self.1.hand.advance(time);
    }

    fn endings(&self) -> Vec<Option<OperationOutcome>> {
        self.1.memory.items().operations.values().map(crate::operations::Operation::ending).collect()
    }

    /// The operation that is open in the environment whose time was over.
    fn running(&self) -> Option<OperationId> {
        self.1.memory.environment(&self.1.service, "short").running
    }

    /// Ends that operation, as its workflow would.
    fn fail_running(&self) {
        let id = self.running().unwrap();
        let Site { memory, hand, .. } = &self.1;
        let failed = crate::operations::steer::fail(memory, hand, &id, "Broken", "no plan");
        failed.now_or_never().unwrap().unwrap();
    }
}

#[test]
fn a_workflow_that_could_not_be_begun_is_begun() {
    let world = World::with_unbegun(60);
    world.1.engine.state().is_down = false;
    let report = world.sweep();
    assert_eq!((report.operations, report.told, report.ended), (60, 60, 0));
    assert!(report.finished && report.failures.is_empty(), "{:?}", report.failures);
    let heard = world.1.engine.heard();
    assert_eq!(heard.len(), 60);
    assert!(heard.iter().all(|told| told.starts_with("start op_")), "{heard:?}");
    assert_eq!(world.sweep().told, 0, "what was told is crossed out");
}

#[test]
fn an_engine_that_is_down_is_noted_once_and_keeps_nothing_overdue_open() {
    let world = World::with_unbegun(60);
    world.wait(9 * HOUR);
    let report = world.sweep();
    assert!(matches!(report.failures.as_slice(), [SweepError::Operations(_)]), "{:?}", report.failures);
    assert_eq!(world.1.engine.heard().len(), 3, "it was asked again and again");
    assert_eq!(world.endings(), [Some(OperationOutcome::TimedOut); 60]);
    world.1.engine.state().is_down = false;
    let report = world.sweep();
    assert_eq!((report.operations, report.told), (60, 60));
    assert!(world.1.engine.heard().iter().all(|told| told.starts_with("stop op_")));
    assert_eq!(world.sweep().operations, 0);
}

#[test]
fn an_engine_that_refuses_is_noted_for_each_operation() {
    let world = World::with_unbegun(5);
    world.1.engine.state().is_down = false;
    world.1.engine.state().refuses = true;
    let report = world.sweep();
    assert_eq!((report.operations, report.failures.len()), (5, 5));
    assert!(report.finished);
}

#[test]
fn an_operation_whose_workflow_failed_without_a_word_is_ended() {
    let world = World::with_unbegun(2);
    world.1.engine.state().is_down = false;
    world.sweep();
    world.1.engine.heard();
    world.1.engine.state().execution =
        Some(Execution::Failed { error: "OutcomeNotRecorded".into(), cause: "the janitor does it".into() });
    assert_eq!(world.sweep().ended, 0, "it was changed a moment ago");
    assert_eq!(world.1.engine.heard(), [""; 0]);
    world.wait(Duration::from_mins(5));
    assert_eq!(world.sweep().ended, 2);
    assert_eq!(world.endings(), [Some(OperationOutcome::Failed); 2]);
    assert_eq!(world.sweep().operations, 0);
}

#[test]
fn operations_are_looked_after_until_the_deadline() {
    let world = World::with_unbegun(60);
    world.1.engine.state().is_down = false;
    world.state().tick = 1;
    let report = world.sweep_until(after(110));
    assert_eq!((report.operations, report.told, report.finished), (36, 36, false));
    assert_eq!((report.tokens, report.failures.len()), (0, 0));
    let now = world.state().now;
    let report = world.sweep_until(at(now + 200));
    assert_eq!((report.operations, report.told, report.finished), (60, 24, true));
}

#[test]
fn an_environment_whose_time_is_over_is_deprovisioned_without_approval() {
    let world = World::with_ended_environment();
    let name: EnvironmentName = "short".parse().unwrap();
    let mut items = world.1.memory.items();
    let service = items.services.values_mut().next().unwrap();
    let spec = service.spec.environments.iter_mut().find(|spec| spec.name == name).unwrap();
    spec.approval_required = true;
    drop(items);
    let report = world.sweep();
    assert_eq!((report.expired, report.failures.len()), (1, 0));
    let operation = world.1.memory.operation(&world.running().unwrap());
    assert_eq!(operation.work.kind(), OperationKind::Deprovision);
    assert!(!operation.approval_required);
    assert_eq!(operation.requested.by, "gatehouse:janitor");
    assert_eq!(world.1.engine.heard(), [format!("start {}", operation.id)]);
    let actors: Vec<_> = world.1.memory.items().trail.iter().map(|entry| entry.actor.clone()).collect();
    assert_eq!(actors, ["user:ada", "gatehouse:janitor"]);
    assert_eq!(world.sweep().expired, 0, "it is being deprovisioned");
}

#[test]
fn an_environment_lives_to_the_second() {
    let world = World::with_ended_environment();
    world.1.memory.items().environments.values_mut().for_each(|state| {
        if let Infrastructure::Present(provisioned) = &mut state.infrastructure {
            provisioned.expires_at = Some(after(2 * 3600 + 1));
        }
    });
    assert_eq!(world.sweep().expired, 0);
    world.wait(Duration::from_secs(1));
    assert_eq!(world.sweep().expired, 1);
}

#[test]
fn a_deprovisioning_that_failed_is_tried_again_an_hour_later() {
    let world = World::with_ended_environment();
    assert_eq!(world.sweep().expired, 1);
    world.wait(Duration::from_mins(1));
    world.fail_running();
    assert_eq!(world.sweep().expired, 0, "at once");
    world.wait(Duration::from_mins(59));
    assert_eq!(world.sweep().expired, 0, "too early");
    world.wait(Duration::from_mins(1));
    assert_eq!(world.sweep().expired, 1);
}

#[test]
fn where_nothing_can_be_deprovisioned_that_is_noted_once() {
    let world = World::with_ended_environment();
    world.1.engine.state().not_ready = true;
    let mut items = world.1.memory.items();
    let state = items.environments.values().next().unwrap().clone();
    let other = service("svc_2");
    let other_state = crate::catalog::EnvironmentState { service: other.id.clone(), ..state };
    items.environments.insert((other.id.clone(), other_state.name.clone()), other_state);
    items.services.insert(other.id.clone(), other);
    drop(items);
    let report = world.sweep();
    assert!(matches!(report.failures.as_slice(), [SweepError::Operations(_)]), "{:?}", report.failures);
    assert!(!report.finished);
    world.1.engine.state().not_ready = false;
    assert_eq!(world.sweep().expired, 2);
}

#[test]
fn an_environment_that_is_extended_while_it_is_to_expire_stays() {
    let world = World::with_ended_environment();
    world.state().extends_meanwhile = true;
    let report = world.sweep();
    assert_eq!((report.expired, report.failures.len(), world.running()), (0, 0, None));
    world.state().extends_meanwhile = false;
    world.wait(HOUR);
    assert_eq!(world.sweep().expired, 1);
}

#[test]
fn an_environment_that_cannot_be_announced_keeps_none_from_being_deprovisioned() {
    let world = World::with_ended_environment();
    world.state().decisions_until_failure = Some(0);
    let report = world.sweep();
    assert!(matches!(report.failures.as_slice(), [SweepError::Store(_)]), "{:?}", report.failures);
    assert_eq!((report.expired, report.announced, report.finished), (1, 0, false));
    world.state().decisions_until_failure = None;
    assert_eq!(world.sweep().announced, 1, "it is being deprovisioned, and announced nevertheless");
}

#[test]
fn an_environment_whose_time_to_live_was_taken_away_stays() {
    let world = World::with_ended_environment();
    for service in world.1.memory.items().services.values_mut() {
        service.spec.environments.iter_mut().for_each(|environment| environment.ttl_hours = None);
    }
    assert_eq!(world.sweep().expired, 0);
    assert_eq!(world.running(), None);
}

impl World {
    /// Gives the environment that many hours to live, of which none has passed.
    fn live_for(&self, hours: i64) {
        self.state().now = START;
        for state in self.1.memory.items().environments.values_mut() {
            if let Infrastructure::Present(provisioned) = &mut state.infrastructure {
                provisioned.at = after(0);
                provisioned.expires_at = Some(after(hours * 3600));
            }
        }
    }

    /// What a sweep publishes so many hours after the beginning.
    fn after_hours(&self, hours: i64) -> Vec<(News, Option<u16>)> {
        self.state().now = START + hours * 3600;
        let before = self.state().bus.len();
        self.sweep();
        self.state().bus[before..].iter().map(|told| (told.news, told.hours)).collect()
    }
}

#[test]
fn an_environment_that_ends_is_announced_at_each_threshold_and_when_it_has_ended() {
    let world = World::with_ended_environment();
    world.live_for(72);
    let ending = |hours| vec![(News::EnvironmentEnding, Some(hours))];
    assert_eq!(world.after_hours(47), []);
    assert_eq!(world.after_hours(48), ending(24));
    assert_eq!(world.after_hours(60), [], "that was said");
    assert_eq!(world.after_hours(68), ending(4));
    assert_eq!(world.after_hours(71), ending(1));
    assert_eq!(world.after_hours(72), [(News::EnvironmentEnded, None)]);
    assert!(world.running().is_some(), "it is being deprovisioned");
    assert_eq!(world.after_hours(73), []);
    let told = world.state().bus[0].clone();
    assert_eq!(
        told.id,
        "svc_1/short:ending:1970-01-04T00:00:00Z:24".replace("1970-01-04T00:00:00Z", &end(72))
    );
    assert_eq!(told.tenant.unwrap().as_str(), "acme");
    assert_eq!((told.service.unwrap().as_str(), told.environment.unwrap().as_str()), ("shop", "short"));
}

fn end(hours: i64) -> String {
    after(hours * 3600).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[test]
fn a_short_life_is_announced_no_earlier_than_after_half_of_it() {
    for (life, thresholds) in [(1, &[][..]), (2, &[1]), (8, &[4, 1]), (47, &[4, 1]), (48, &[24, 4, 1])] {
        let world = World::with_ended_environment();
        world.live_for(life);
        let told: Vec<_> = (0..life).flat_map(|hour| world.after_hours(hour)).collect();
        let expected: Vec<_> =
            thresholds.iter().map(|hours| (News::EnvironmentEnding, Some(*hours))).collect();
        assert_eq!(told, expected, "{life} hours");
    }
}

#[test]
fn another_end_is_announced_anew() {
    let world = World::with_ended_environment();
    world.live_for(8);
    assert_eq!(world.after_hours(4), [(News::EnvironmentEnding, Some(4))]);
    world.live_for(12);
    assert_eq!(world.after_hours(5), []);
    assert_eq!(world.after_hours(8), [(News::EnvironmentEnding, Some(4))]);
}

#[test]
fn the_end_of_an_environment_whose_time_to_live_was_taken_away_is_not_announced() {
    let world = World::with_ended_environment();
    for service in world.1.memory.items().services.values_mut() {
        service.spec.environments.iter_mut().for_each(|environment| environment.ttl_hours = None);
    }
    assert_eq!(world.after_hours(2), []);
}
