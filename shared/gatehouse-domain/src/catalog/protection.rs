//! What protects an environment, and which edits take some of that away.
//!
//! Approval, who may give it, category, what deploys, the module and the time to live decide what may happen in an environment, and who
//! sees it first. Whoever works with an environment every day does not weaken them: a tenant's admins do.

use super::{Category, DeployTarget, EnvironmentSpec, ServiceSpec};

impl EnvironmentSpec {
    /// Whether what is done in it, and by what, is the admins' to decide.
    pub fn is_protected(&self) -> bool {
        self.approval_required || self.category == Category::Prod
    }
}

impl ServiceSpec {
    /// What deploys to the environment: its own target, or the service's.
    pub fn target_of<'a>(&'a self, environment: &'a EnvironmentSpec) -> Option<&'a DeployTarget> {
        environment.deploy.as_ref().or(self.deploy.as_ref())
    }
}

/// What of the protection of its environments a service would lose: `approval_required of prod`, …
pub(super) fn weakened(before: &ServiceSpec, after: &ServiceSpec) -> Vec<String> {
    let mut lost = Vec::new();
    for old in &before.environments {
        match after.environments.iter().find(|new| new.name == old.name) {
            Some(new) => {
                let fields = weakened_fields((before, old), (after, new));
                lost.extend(fields.into_iter().map(|field| format!("`{field}` of `{}`", old.name)));
            }
            // Taken away and brought back, it would be another environment of its name.
            None if old.is_protected() => lost.push(format!("`{}` itself", old.name)),
            None => {}
        }
    }
    lost
}

/// The protected environments of a service that is to go.
pub(super) fn protected(service: &ServiceSpec) -> Vec<String> {
    let protected = service.environments.iter().filter(|environment| environment.is_protected());
    protected.map(|environment| format!("`{}` itself", environment.name)).collect()
}

fn weakened_fields(
    (before, old): (&ServiceSpec, &EnvironmentSpec),
    (after, new): (&ServiceSpec, &EnvironmentSpec),
) -> Vec<&'static str> {
    let protected = old.is_protected();
    let ends_earlier = match (old.ttl_hours, new.ttl_hours) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(after)) => after < before,
    };
    let fields = [
        ("approval_required", old.approval_required && !new.approval_required),
        ("approval_group", old.approval_group.is_some() && old.approval_group != new.approval_group),
        ("category", new.category < old.category),
        ("deploy", protected && before.target_of(old) != after.target_of(new)),
        ("module", protected && old.module != new.module),
        // It is deprovisioned by itself then, and nobody is asked.
        ("ttl_hours", protected && ends_earlier),
    ];
    fields.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect()
}
