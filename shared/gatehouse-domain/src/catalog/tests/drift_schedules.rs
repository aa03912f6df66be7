//! What edits of a service do to the schedules of its environments.

use std::{collections::BTreeMap, time::Duration};

use super::*;

/// The service of every test, whose environments of these names are looked at so often.
fn looked_at(hours: &[(&str, u32)]) -> ServiceSpec {
    let hours: BTreeMap<_, _> = hours.iter().copied().collect();
    let mut spec = spec();
    for environment in &mut spec.environments {
        environment.drift_hours = hours.get(environment.name.as_str()).copied();
    }
    spec
}

impl Site {
    /// The schedules by environment.
    fn schedules(&self) -> BTreeMap<String, DriftSchedule> {
        let items = self.memory.items();
        let named = |schedule: &DriftSchedule| (schedule.environment.to_string(), schedule.clone());
        items.drift_schedules.values().map(named).collect()
    }

    /// A service that is created so, as it stands.
    fn with_service(spec: ServiceSpec) -> Self {
        let mut site = Self::empty();
        site.service = site.creates(&developer(), draft(spec), None).unwrap().service.id;
        site
    }

    fn becomes(&self, spec: ServiceSpec) {
        let seen = self.memory.items().services[&self.service].revision.clone();
        self.replaces(&person("eve", "acme=admin"), draft(spec), seen.as_str()).unwrap();
    }
}

#[test]
fn a_new_service_has_the_schedules_that_it_names() {
    let site = Site::with_service(looked_at(&[("dev", 24), ("prod", 1)]));
    let schedules = site.schedules();
    assert_eq!(schedules.keys().collect::<Vec<_>>(), ["dev", "prod"]);
    for (name, hours) in [("dev", 24), ("prod", 1)] {
        let expected = DriftSchedule::new(&site.service, &name.parse().unwrap(), hours, after(0));
        assert_eq!(schedules[name], expected);
    }
}

#[test]
fn an_edit_begins_changes_and_ends_schedules_and_leaves_alone_what_it_does_not_change() {
    let site = Site::with_service(looked_at(&[("dev", 1), ("short", 1), ("prod", 1)]));
    let before = site.schedules();
    // Long enough for all of them to be due.
    site.hand.advance(Duration::from_hours(2));
    let mut spec = looked_at(&[("dev", 1), ("short", 12)]);
    spec.environments.push(EnvironmentSpec { drift_hours: Some(5), ..environment("new") });
    site.becomes(spec.clone());
    let after_edit = site.schedules();
    assert_eq!(after_edit.keys().collect::<Vec<_>>(), ["dev", "new", "short"]);
    assert_eq!(after_edit["dev"], before["dev"], "what is due stays due");
    for (name, hours) in [("short", 12), ("new", 5)] {
        let expected = DriftSchedule::new(&site.service, &name.parse().unwrap(), hours, after(2 * 3600));
        assert_eq!(after_edit[name], expected);
    }
    spec.environments.retain(|environment| environment.name.as_str() != "short");
    site.becomes(spec);
    assert_eq!(site.schedules().keys().collect::<Vec<_>>(), ["dev", "new"]);
    site.becomes(looked_at(&[]));
    assert_eq!(site.schedules(), BTreeMap::new());
}

#[test]
fn a_refused_edit_changes_no_schedule() {
    let site = Site::with_service(looked_at(&[("dev", 1)]));
    let before = site.schedules();
    let refused = site.replaces(&developer(), draft(looked_at(&[("dev", 2)])), "another");
    assert!(matches!(refused, Err(EditServiceError::Precondition(PreconditionError::Failed))));
    assert_eq!(site.schedules(), before);
}

#[test]
fn a_deleted_service_has_no_schedules_also_by_force() {
    for force in [Force::No, Force::Yes] {
        let site = if force == Force::Yes { Site::with_provisioned() } else { Site::default() };
        let id = site.service.clone();
        let set = vec![DriftSchedule::new(&id, &"dev".parse().unwrap(), 1, after(0))];
        site.memory.items().reschedule(&id, &DriftScheduleEdits { set, ended: Vec::new() });
        site.deletes(&person("eve", "acme=admin"), force).unwrap();
        assert_eq!(site.schedules(), BTreeMap::new(), "{force:?}");
    }
}

#[test]
fn the_trail_says_how_often_an_environment_is_looked_at() {
    let site = Site::with_service(looked_at(&[("dev", 1)]));
    site.becomes(looked_at(&[("dev", 24)]));
    let details: Vec<_> = site.memory.items().trail.iter().filter_map(|entry| entry.detail.clone()).collect();
    assert_eq!(details, ["dev.drift_hours: 1 -> 24"]);
}
