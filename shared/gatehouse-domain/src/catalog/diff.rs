//! What an edit of a service changed, for the trail: of each member that differs what it was and what it is, but for
//! what may hold a secret, of which only that it differs.

use std::collections::BTreeSet;

use super::{DeployTarget, EnvironmentSpec, ServiceSpec};
use crate::entities::EntityRef;

/// How much of it is kept, in bytes.
const MAX: usize = 2000;

/// What differs, in one line; `None` where nothing does.
pub(super) fn diff(before: &ServiceSpec, after: &ServiceSpec) -> Option<String> {
    let mut changes = Changes(Vec::new());
    changes.value("project", Some(before.project.as_str()), Some(after.project.as_str()));
    changes.value("owner", Some(&before.owner), Some(&after.owner));
    changes.whether("description", before.description != after.description);
    changes.whether("repository", before.repository != after.repository);
    changes.value("lifecycle", Some(before.lifecycle.as_str()), Some(after.lifecycle.as_str()));
    changes.whether("links", before.links != after.links);
    let job = |spec: &ServiceSpec| spec.build_job.as_ref().map(ToString::to_string);
    changes.value("build_job", job(before).as_deref(), job(after).as_deref());
    changes.target("deploy", before.deploy.as_ref(), after.deploy.as_ref());
    let find = |spec: &ServiceSpec, name| spec.environments.iter().find(|it| it.name == name).cloned();
    let names = before.environments.iter().chain(&after.environments).map(|environment| &environment.name);
    for name in names.collect::<BTreeSet<_>>() {
        match (find(before, name.clone()), find(after, name.clone())) {
            (Some(old), Some(new)) => changes.environment(&old, &new),
            (Some(_), None) => changes.0.push(format!("{name}: taken away")),
            (None, _) => changes.0.push(format!("{name}: added")),
        }
    }
    let text = changes.0.join("; ");
    (!text.is_empty()).then(|| text[..text.floor_char_boundary(MAX)].to_owned())
}

struct Changes(Vec<String>);

impl Changes {
    fn value(&mut self, what: &str, before: Option<&str>, after: Option<&str>) {
        if before != after {
            self.0.push(format!("{what}: {} -> {}", before.unwrap_or("none"), after.unwrap_or("none")));
        }
    }

    /// Of what may hold a secret, or is long.
    fn whether(&mut self, what: &str, differs: bool) {
        if differs {
            self.0.push(format!("{what}: changed"));
        }
    }

    fn target(&mut self, what: &str, before: Option<&DeployTarget>, after: Option<&DeployTarget>) {
        let (old, new) = (before.map(shown), after.map(shown));
        if old == new {
            self.whether(what, before != after);
        } else {
            self.value(what, old.as_deref(), new.as_deref());
        }
    }

    fn environment(&mut self, old: &EnvironmentSpec, new: &EnvironmentSpec) {
        let of = |member: &str| format!("{}.{member}", old.name);
        self.value(&of("category"), Some(old.category.as_str()), Some(new.category.as_str()));
        let flag = |flag: bool| Some(if flag { "true" } else { "false" });
        self.value(&of("approval_required"), flag(old.approval_required), flag(new.approval_required));
        let group = |spec: &EnvironmentSpec| spec.approval_group.as_ref().map(EntityRef::short);
        self.value(&of("approval_group"), group(old).as_deref(), group(new).as_deref());
        let module = |spec: &EnvironmentSpec| spec.module.as_ref().map(ToString::to_string);
        self.value(&of("module"), module(old).as_deref(), module(new).as_deref());
        let hours = |spec: &EnvironmentSpec| spec.ttl_hours.map(|hours| hours.to_string());
        self.value(&of("ttl_hours"), hours(old).as_deref(), hours(new).as_deref());
        let hours = |spec: &EnvironmentSpec| spec.drift_hours.map(|hours| hours.to_string());
        self.value(&of("drift_hours"), hours(old).as_deref(), hours(new).as_deref());
        self.target(&of("deploy"), old.deploy.as_ref(), new.deploy.as_ref());
        self.whether(&of("inputs"), old.inputs != new.inputs);
    }
}

/// A target without what may be a secret: a webhook's path and query often are.
fn shown(target: &DeployTarget) -> String {
    match target {
        DeployTarget::Job(job) => format!("job `{job}`"),
        DeployTarget::Webhook(url) => {
            let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            format!("webhook at {scheme}://{host}")
        }
    }
}
