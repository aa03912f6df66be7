//! What a sweep does for environments that are looked at for drift by a schedule.

use super::{super::drift_checks::DRIFT_CHECKS, *};
use crate::{
    catalog::{Infrastructure, Provisioned},
    operations::{
        Asked, OperationKind, OperationOutcome, Work,
        drift_check::check_when_due,
        request::Ask,
        tests::support::{after, environment, service},
    },
    test_support::START,
};

const HOUR: i64 = 60 * 60;

/// Something was provisioned, by nobody in particular.
fn provisioned() -> Provisioned {
    Provisioned {
        operation: "op_1".parse().unwrap(),
        at: after(0),
        module: "example".parse().unwrap(),
        artifact: None,
        inputs: environment("dev").inputs,
        outputs: BTreeMap::new(),
        expires_at: None,
    }
}

fn edit(site: &Site, edit: impl Fn(&mut crate::catalog::EnvironmentSpec)) {
    for service in site.memory.items().services.values_mut() {
        service.spec.environments.iter_mut().for_each(&edit);
        service.revision = Revision::unverified(format!("{}'", service.revision.as_str()));
    }
}

impl World {
    /// So many services, in each of which `dev` is provisioned and looked at every hour.
    fn with_scheduled(count: i64) -> Self {
        let mut world = Self::default();
        world.state().now = START;
        for number in 0..count {
            let mut service = service(&format!("svc_{number:03}"));
            service.spec.environments[0].drift_hours = Some(1);
            let schedule = service.drift_schedules(after(0)).remove(0);
            let place = (service.id.clone(), schedule.environment.clone());
            let state = EnvironmentState {
                infrastructure: Infrastructure::Present(provisioned()),
                ..EnvironmentState::new(place.0.clone(), place.1.clone())
            };
            world.1.service = service.id.clone();
            let mut items = world.1.memory.items();
            items.services.insert(place.0.clone(), service);
            items.environments.insert(place.clone(), state);
            items.drift_schedules.insert(place, schedule);
        }
        world
    }

    /// The schedule of the only environment that has one.
    fn schedule(&self) -> DriftSchedule {
        self.1.memory.items().drift_schedules.values().next().unwrap().clone()
    }

    fn dev(&self) -> EnvironmentState {
        self.1.memory.environment(&self.1.service, "dev")
    }

    fn set_dev(&self, change: impl Fn(&mut EnvironmentState)) {
        let mut items = self.1.memory.items();
        items.environments.values_mut().filter(|state| state.name.as_str() == "dev").for_each(change);
    }

    /// Lets time pass until then.
    fn wait_until(&self, then: Timestamp) {
        let passed = then.as_second() - self.state().now;
        self.state().now += passed;
        self.1.hand.advance(Duration::from_secs(passed.try_into().unwrap()));
    }

    fn pass(&self, seconds: i64) {
        let now = self.state().now;
        self.wait_until(at(now + seconds));
    }

    /// Ends the operation that is open, as its workflow would.
    fn fail_in_dev(&self) {
        let id = self.dev().running.unwrap();
        let Site { memory, hand, .. } = &self.1;
        let failed = crate::operations::steer::fail(memory, hand, &id, "Broken", "no plan");
        failed.now_or_never().unwrap().unwrap();
    }

    /// The operations that were begun, the oldest first.
    fn begun(&self) -> Vec<Operation> {
        let mut begun: Vec<_> = self.1.memory.items().operations.values().cloned().collect();
        begun.sort_by_key(|operation| operation.requested.at);
        begun
    }
}

#[test]
fn an_environment_is_looked_at_when_it_is_due_and_then_at_the_next_slot() {
    let world = World::with_scheduled(1);
    edit(&world.1, |environment| environment.approval_required = true);
    let due = world.schedule().due;
    world.wait_until(at(due.as_second() - 1));
    assert_eq!((world.sweep().drift_checks, world.begun().len()), (0, 0), "a second early");
    world.pass(1);
    let report = world.sweep();
    assert_eq!((report.drift_checks, report.failures.len(), report.finished), (1, 0, true));
    let [operation] = &world.begun()[..] else { panic!("{:?}", world.begun()) };
    assert!(matches!(&operation.work, Work::Drift(given) if given.module == provisioned().module));
    assert_eq!(operation.requested, Asked::by("gatehouse:janitor", due));
    assert!(!operation.approval_required, "it changes nothing");
    assert_eq!(world.1.engine.heard(), [format!("start {}", operation.id)]);
    let trail = world.1.memory.items().trail.clone();
    assert_eq!(trail.iter().map(|entry| entry.actor.as_str()).collect::<Vec<_>>(), ["gatehouse:janitor"]);
    assert_eq!(trail[0].target, format!("operation:{}", operation.id));
    assert_eq!(world.schedule().due, at(due.as_second() + HOUR));
    world.fail_in_dev();
    world.pass(HOUR - 1);
    assert_eq!(world.sweep().drift_checks, 0, "that it failed brings it no sooner");
    world.pass(1);
    assert_eq!(world.sweep().drift_checks, 1);
}

#[test]
fn a_janitor_that_stood_still_for_a_week_looks_once() {
    let world = World::with_scheduled(1);
    let due = world.schedule().due;
    world.wait_until(at(due.as_second() + 7 * DAY + 100));
    assert_eq!(world.sweep().drift_checks, 1);
    assert_eq!(world.schedule().due, at(due.as_second() + 7 * DAY + HOUR));
    world.fail_in_dev();
    assert_eq!(world.sweep().drift_checks, 0);
}

#[test]
fn a_sweep_begins_so_many_looks_and_the_next_ones_go_on_with_what_was_due_first() {
    let world = World::with_scheduled(50);
    let mut order: Vec<_> = world.1.memory.items().drift_schedules.values().cloned().collect();
    order.sort_by_key(|schedule| schedule.due);
    let last = order.last().unwrap().due;
    // By then some would be due again, if what is due last did not come first.
    world.wait_until(last);
    let began: Vec<_> = (0..3)
        .map(|_| {
            world.pass(1);
            world.sweep().drift_checks
        })
        .collect();
    assert_eq!((began, DRIFT_CHECKS), (vec![20, 20, 10], 20));
    for (place, schedules) in order.chunks(20).enumerate() {
        let second = i64::try_from(place).unwrap() + 1;
        for schedule in schedules {
            let operation = world.1.memory.operation(&schedule.operation());
            assert_eq!(operation.requested.at, at(last.as_second() + second), "{schedule:?}");
        }
    }
}

#[test]
fn a_sweep_that_dies_behind_the_beginning_leads_to_one_look() {
    for ends_meanwhile in [false, true] {
        let world = World::with_scheduled(1);
        let schedule = world.schedule();
        world.wait_until(schedule.due);
        world.state().dies_before_moving = true;
        let report = world.sweep();
        assert!(matches!(report.failures.as_slice(), [SweepError::DriftCheck(_)]), "{report:?}");
        assert!(!report.finished);
        assert_eq!((world.begun().len(), world.schedule()), (1, schedule.clone()));
        if ends_meanwhile {
            world.fail_in_dev();
        }
        world.state().dies_before_moving = false;
        world.pass(300);
        let report = world.sweep();
        assert_eq!((report.drift_checks, report.failures.len(), report.finished), (0, 0, true));
        assert_eq!(world.begun().len(), 1, "it was looked at twice");
        assert_eq!(world.schedule().due, at(schedule.due.as_second() + HOUR));
    }
}

#[test]
fn two_sweeps_at_once_begin_one_look() {
    let world = World::with_scheduled(1);
    let due = world.schedule().due;
    world.wait_until(due);
    world.state().meanwhile = Some(|site| {
        let schedule = site.memory.items().drift_schedules.values().next().unwrap().clone();
        let other = check_when_due(&site.memory, &site.engine, &site.hand, &schedule);
        assert!(other.now_or_never().unwrap().unwrap().is_some());
    });
    let report = world.sweep();
    assert_eq!((report.drift_checks, report.failures.len()), (0, 0));
    assert_eq!(world.begun().len(), 1);
    assert_eq!(world.schedule().due, at(due.as_second() + HOUR));
}

#[test]
fn an_environment_in_which_something_goes_on_is_looked_at_behind_it() {
    let world = World::with_scheduled(1);
    let schedule = world.schedule();
    world.1.requested("dev", &Ask::Drift);
    world.wait_until(at(schedule.due.as_second() + 3 * HOUR));
    let report = world.sweep();
    assert_eq!((report.drift_checks, report.failures.len(), report.finished), (0, 0, true));
    assert_eq!(world.schedule(), schedule, "a look by hand moves nothing");
    assert_eq!(world.begun().len(), 1);
    world.fail_in_dev();
    assert_eq!(world.sweep().drift_checks, 1);
    assert_eq!(world.schedule().due, at(schedule.due.as_second() + 4 * HOUR));
}

#[test]
fn what_begins_right_before_the_look_is_in_no_ones_way() {
    let world = World::with_scheduled(1);
    let schedule = world.schedule();
    world.wait_until(schedule.due);
    world.state().meanwhile = Some(|site| drop(site.provisioning("dev")));
    let report = world.sweep();
    assert_eq!((report.drift_checks, report.failures.len(), report.finished), (0, 0, true));
    assert_eq!(world.schedule(), schedule);
    let kinds: Vec<_> = world.begun().iter().map(|operation| operation.work.kind()).collect();
    assert_eq!(kinds, [OperationKind::Provision], "nothing failed, nothing was begun beside it");
}

#[test]
fn a_service_that_is_edited_right_before_the_look_is_looked_at_by_the_next_sweep() {
    let world = World::with_scheduled(1);
    let schedule = world.schedule();
    world.wait_until(schedule.due);
    world.state().meanwhile = Some(|site| edit(site, |environment| environment.approval_required = true));
    assert_eq!((world.sweep().drift_checks, world.schedule()), (0, schedule));
    assert_eq!(world.sweep().drift_checks, 1);
}

/// In words, and what makes it so.
type Case = (&'static str, fn(&World));

#[test]
fn what_cannot_be_compared_waits_for_its_next_slot_without_an_operation() {
    let cases: [Case; 7] = [
        ("absent", |world| world.set_dev(|state| state.infrastructure = Infrastructure::Absent)),
        ("partial", |world| {
            world.set_dev(|state| state.infrastructure = Infrastructure::Partial(provisioned()));
        }),
        ("never provisioned", |world| world.1.memory.items().environments.clear()),
        ("of no service", |world| world.1.memory.items().services.clear()),
        ("not in its service", |world| {
            world.1.memory.items().services.values_mut().for_each(|it| it.spec.environments.clear());
        }),
        ("without a schedule", |world| edit(&world.1, |environment| environment.drift_hours = None)),
        ("of another schedule", |world| edit(&world.1, |environment| environment.drift_hours = Some(2))),
    ];
    for (what, change) in cases {
        let world = World::with_scheduled(1);
        let due = world.schedule().due;
        world.wait_until(due);
        change(&world);
        let report = world.sweep();
        assert_eq!((report.drift_checks, report.failures.len(), report.finished), (0, 0, true), "{what}");
        assert_eq!(world.begun().len(), 0, "{what}");
        assert_eq!(world.schedule().due, at(due.as_second() + HOUR), "{what}");
        assert!(world.1.memory.items().trail.is_empty(), "{what}");
    }
}

#[test]
fn an_environment_whose_time_is_over_is_deprovisioned_and_not_looked_at() {
    let world = World::with_scheduled(1);
    let due = world.schedule().due;
    world.set_dev(|state| {
        state.infrastructure =
            Infrastructure::Present(Provisioned { expires_at: Some(after(60)), ..provisioned() });
    });
    edit(&world.1, |environment| environment.ttl_hours = Some(1));
    world.wait_until(due);
    // The deprovisioning fails, and is not tried again at once.
    assert_eq!((world.sweep().expired, world.begun().len()), (1, 1));
    world.fail_in_dev();
    assert_eq!((world.sweep().drift_checks, world.begun().len()), (0, 1));
    // An end that an operation has set behind the back of an edit ends nothing.
    edit(&world.1, |environment| environment.ttl_hours = None);
    world.pass(HOUR);
    assert_eq!(world.sweep().drift_checks, 1);
}

#[test]
fn a_look_that_failed_does_not_put_off_a_deprovisioning() {
    let world = World::with_scheduled(1);
    let due = world.schedule().due;
    world.wait_until(due);
    assert_eq!(world.sweep().drift_checks, 1);
    world.fail_in_dev();
    edit(&world.1, |environment| environment.ttl_hours = Some(1));
    world.set_dev(|state| {
        state.infrastructure =
            Infrastructure::Present(Provisioned { expires_at: Some(after(60)), ..provisioned() });
    });
    assert_eq!(world.sweep().expired, 1);
}

#[test]
fn where_nothing_can_be_looked_at_that_is_noted_once() {
    let world = World::with_scheduled(3);
    world.wait_until(after(HOUR));
    world.1.engine.state().not_ready = true;
    let report = world.sweep();
    assert!(matches!(report.failures.as_slice(), [SweepError::DriftCheck(_)]), "{report:?}");
    assert!(!report.finished);
    world.1.engine.state().not_ready = false;
    assert_eq!(world.sweep().drift_checks, 3);
}

#[test]
fn a_store_that_fails_is_noted_a_few_times() {
    let world = World::with_scheduled(8);
    world.wait_until(after(HOUR));
    world.state().dies_before_moving = true;
    let report = world.sweep();
    assert_eq!((report.failures.len(), report.drift_checks, report.finished), (3, 0, false));
    world.state().dies_before_moving = false;
    assert_eq!(world.sweep().drift_checks, 5, "three were begun before");
    assert_eq!(world.begun().len(), 8);
}

#[test]
fn an_engine_that_is_down_is_given_no_more_than_a_few() {
    let world = World::with_scheduled(8);
    world.wait_until(after(HOUR));
    world.1.engine.state().is_down = true;
    let report = world.sweep();
    assert_eq!((report.drift_checks, report.finished), (3, false));
    world.1.engine.state().is_down = false;
    let report = world.sweep();
    assert_eq!((report.told, report.drift_checks, report.finished), (3, 5, true));
    assert_eq!(world.begun().iter().filter(|it| it.ending() == Some(OperationOutcome::Failed)).count(), 0);
}
