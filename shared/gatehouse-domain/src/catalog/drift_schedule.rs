//! When an environment is looked at for drift without anybody asking.
//!
//! The hours between two looks divide time into slots, from a beginning that follows from the environment: so the looks
//! at many environments that were given the same hours at the same moment are spread over those hours, and stay so.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Service, ServiceSpec};
use crate::{
    id::{OperationId, ServiceId},
    idempotency::Fingerprint,
    name::EnvironmentName,
};

/// When an environment is looked at next. It is kept from when its service says so until it does not any more, whether
/// something is provisioned or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftSchedule {
    pub service: ServiceId,
    pub environment: EnvironmentName,
    /// How many hours are between two slots.
    pub hours: u32,
    /// The slot that is looked at next, a whole second.
    pub due: Timestamp,
}

impl DriftSchedule {
    /// One whose first slot is within those hours from `now`.
    pub fn new(service: &ServiceId, environment: &EnvironmentName, hours: u32, now: Timestamp) -> Self {
        let due = slot_behind(beginning(service, environment), hours, now);
        Self { service: service.clone(), environment: environment.clone(), hours, due }
    }

    /// The first slot after `now`. Those that have passed meanwhile are not made up for.
    pub fn due_after(&self, now: Timestamp) -> Timestamp {
        slot_behind(self.due.as_second(), self.hours, now)
    }

    /// The operation that looks at this slot: the same whoever begins it, so that there is one.
    pub fn operation(&self) -> OperationId {
        let slot = self.due.as_second().to_string();
        OperationId::of_slot(&Fingerprint::of(&[
            "drift",
            self.service.as_str(),
            self.environment.as_str(),
            &slot,
        ]))
    }
}

/// A second in which slots of the environment begin, whatever the hours are.
fn beginning(service: &ServiceId, environment: &EnvironmentName) -> i64 {
    // Neither of the two can hold a slash.
    let digest = Sha256::digest(format!("{service}/{environment}").as_bytes());
    digest.iter().take(7).fold(0, |number, byte| number << 8 | i64::from(*byte))
}

/// The first second behind `now` that is a multiple of the hours away from `slot`.
fn slot_behind(slot: i64, hours: u32, now: Timestamp) -> Timestamp {
    let interval = i64::from(hours.max(1)) * 60 * 60;
    let now = now.as_second();
    let next = now - (now - slot).rem_euclid(interval) + interval;
    Timestamp::from_second(next).unwrap_or(Timestamp::MAX)
}

impl Service {
    /// The schedules of a service that is new at `now`.
    pub fn drift_schedules(&self, now: Timestamp) -> Vec<DriftSchedule> {
        let new = |(name, hours)| DriftSchedule::new(&self.id, name, hours, now);
        hours(&self.spec).into_iter().map(new).collect()
    }
}

/// What an edit does to the schedules of a service's environments. One with the same hours as before keeps its slots, and
/// what is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriftScheduleEdits {
    /// Those that begin, or get other hours.
    pub set: Vec<DriftSchedule>,
    /// The environments that are not looked at any more.
    pub ended: Vec<EnvironmentName>,
}

impl DriftScheduleEdits {
    pub(crate) fn between(before: &ServiceSpec, after: &Service, now: Timestamp) -> Self {
        let (before, after_hours) = (hours(before), hours(&after.spec));
        let ended = before.keys().filter(|name| !after_hours.contains_key(*name));
        let set = after_hours.iter().filter(|(name, hours)| before.get(*name) != Some(hours));
        Self {
            ended: ended.map(|name| (*name).clone()).collect(),
            set: set.map(|(name, hours)| DriftSchedule::new(&after.id, name, *hours, now)).collect(),
        }
    }
}

/// How often the environments are looked at that are.
fn hours(spec: &ServiceSpec) -> BTreeMap<&EnvironmentName, u32> {
    let environments = spec.environments.iter();
    environments.filter_map(|environment| Some((&environment.name, environment.drift_hours?))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::spec::MAX_DRIFT_HOURS, *};
    use crate::test_support::START;

    const HOUR: i64 = 60 * 60;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn schedule(number: i64, hours: u32, now: Timestamp) -> DriftSchedule {
        let service = format!("svc_{number}").parse().unwrap();
        DriftSchedule::new(&service, &"dev".parse().unwrap(), hours, now)
    }

    /// Hours, and times up to some weeks later, without a pattern in common with any hours.
    fn every_hours_and_time() -> impl Iterator<Item = (u32, Timestamp)> {
        let times = (0..40_i64).map(|number| at(START + number * number * 2_711));
        times.flat_map(|now| (1..=MAX_DRIFT_HOURS).map(move |hours| (hours, now)))
    }

    #[test]
    fn the_first_slot_is_within_the_hours_and_every_other_one_whole_intervals_behind() {
        for (hours, now) in every_hours_and_time() {
            let interval = i64::from(hours) * HOUR;
            let schedule = schedule(now.as_second() % 97, hours, now);
            let first = schedule.due.as_second();
            assert!((1..=interval).contains(&(first - now.as_second())), "{schedule:?} at {now}");
            for late in [0, 1, interval - 1, interval, interval + 1, 7 * interval, 9 * interval + 17] {
                let looked_at = at(first + late);
                let next = schedule.due_after(looked_at).as_second();
                assert_eq!((next - first) % interval, 0, "{schedule:?} does not stay spread");
                assert!((1..=interval).contains(&(next - looked_at.as_second())), "{schedule:?}: {late}");
            }
        }
    }

    #[test]
    fn a_part_of_a_second_makes_no_slot_come_twice() {
        let schedule = schedule(1, 1, at(START));
        let just_behind = schedule.due + std::time::Duration::from_millis(999);
        assert_eq!(schedule.due_after(just_behind).as_second(), schedule.due.as_second() + HOUR);
    }

    #[test]
    fn slots_follow_from_the_environment_and_not_from_when_its_schedule_was_set() {
        for (hours, now) in every_hours_and_time() {
            let other = schedule(5, hours, at(START)).due_after(now);
            assert_eq!(schedule(5, hours, now).due, other);
        }
    }

    #[test]
    fn environments_that_came_at_the_same_moment_are_looked_at_one_after_another() {
        let slots: Vec<_> = (0..2400).map(|number| schedule(number, 24, at(START)).due.as_second()).collect();
        let mut in_hour = [0; 24];
        for slot in &slots {
            in_hour[usize::try_from((slot - START - 1) / HOUR).unwrap()] += 1;
        }
        assert!(in_hour.iter().all(|count| (60..=140).contains(count)), "{in_hour:?}");
        let distinct: BTreeSet<_> = slots.iter().collect();
        assert!(distinct.len() > 2300, "many of them in the same second: {}", distinct.len());
        let service = "svc_1".parse().unwrap();
        let of = |name: &str| DriftSchedule::new(&service, &name.parse().unwrap(), 24, at(START)).due;
        assert_ne!(of("dev"), of("prod"));
    }

    #[test]
    fn a_slot_has_one_operation_and_no_other_slot_has_it() {
        let schedule = schedule(1, 1, at(START));
        let next = DriftSchedule { due: schedule.due_after(schedule.due), ..schedule.clone() };
        let elsewhere = DriftSchedule { environment: "prod".parse().unwrap(), ..schedule.clone() };
        let of_day = DriftSchedule { hours: 24, ..schedule.clone() };
        assert_eq!(schedule.operation(), of_day.operation());
        assert!(schedule.operation().as_str().parse::<OperationId>().is_ok());
        let all: BTreeSet<_> = [&schedule, &next, &elsewhere].map(DriftSchedule::operation).into();
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn hours_that_nobody_may_give_do_no_harm() {
        let schedule = DriftSchedule { hours: 0, ..schedule(1, 1, at(START)) };
        assert_eq!(schedule.due_after(schedule.due).as_second(), schedule.due.as_second() + HOUR);
        assert_eq!(schedule.due_after(Timestamp::MAX), Timestamp::MAX);
    }
}
