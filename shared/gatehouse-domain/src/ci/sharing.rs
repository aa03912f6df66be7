//! Which tenants may use which scopes of a provider.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    name::{InvalidName, TenantId},
    validation::FieldError,
};

/// In place of a tenant: every tenant. In place of a scope: every scope, and what is in none.
const EVERY: &str = "*";

/// The longest name of a scope, in bytes.
const MAX_SCOPE: usize = 255;

/// The most that tenants and scopes may measure as JSON, in bytes. An item of the table holds 400 KB.
const MAX_SCOPES: usize = 64 * 1024;

/// What a provider says of who may use it, as it is stored too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// Of a provider that was stored before this was asked, until the janitor fills it in: what jobs use goes on,
    /// and nothing is added.
    #[default]
    NotAsked,
    /// Nobody has said. A tenant may use everything while it is the only one, and nothing otherwise.
    Unsaid,
    /// Every tenant may use everything: for small installations.
    OpenToAll,
    /// These tenants may use these scopes, and nobody anything else.
    Scopes(Scopes),
}

impl Sharing {
    /// Whether it has the form of a provider that was stored before this was asked.
    pub(crate) fn is_not_asked(&self) -> bool {
        *self == Self::NotAsked
    }
}

/// Scopes by tenant: whatever a CI system grants roles in, such as a team of Concourse. Written as
/// `{"acme": ["main", "team-a"], "*": ["public"]}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "BTreeMap<String, BTreeSet<String>>", try_from = "BTreeMap<String, BTreeSet<String>>")]
pub struct Scopes {
    /// Those that every tenant may use.
    everyone: BTreeSet<String>,
    tenants: BTreeMap<TenantId, BTreeSet<String>>,
}

impl Scopes {
    /// Lets `tenant` use a scope, or everything where a target is in none.
    pub fn add(&mut self, tenant: TenantId, scope: Option<&str>) {
        self.tenants.entry(tenant).or_default().insert(scope.unwrap_or(EVERY).to_owned());
    }

    /// Whether `tenant` may use a scope; what is in none takes every scope.
    pub fn include(&self, tenant: &TenantId, scope: Option<&str>) -> bool {
        let mut given = self.given_to(tenant);
        given.any(|name| name == EVERY || Some(name) == scope)
    }

    /// Whether `tenant` may use anything.
    pub fn include_any(&self, tenant: &TenantId) -> bool {
        self.given_to(tenant).next().is_some()
    }

    /// The tenants that are named.
    pub fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.tenants.keys()
    }

    /// What of it may be shown to whoever sees the tenants that `sees` takes: the names of others' teams say who they
    /// are.
    #[must_use]
    pub fn seen_by(mut self, sees: impl Fn(&TenantId) -> bool) -> Self {
        self.tenants.retain(|tenant, _| sees(tenant));
        self
    }

    fn given_to(&self, tenant: &TenantId) -> impl Iterator<Item = &str> {
        self.tenants.get(tenant).into_iter().chain([&self.everyone]).flatten().map(String::as_str)
    }

    /// What is wrong with it; nothing when all is well. Pointers start at the body of the request.
    pub(crate) fn check(&self) -> Vec<FieldError> {
        let bad = |scope: &String| {
            scope.is_empty() || scope.len() > MAX_SCOPE || scope.chars().any(char::is_control)
        };
        let written: BTreeMap<String, BTreeSet<String>> = self.clone().into();
        let refused = written.iter().filter(|(_, scopes)| scopes.iter().any(bad));
        let detail = format!("each must be 1 to {MAX_SCOPE} bytes without control characters");
        let mut errors: Vec<_> =
            refused.map(|(tenant, _)| FieldError::new(format!("/scopes/{tenant}"), detail.clone())).collect();
        if serde_json::to_string(&written).is_ok_and(|text| text.len() > MAX_SCOPES) {
            errors.push(FieldError::new("/scopes", format!("must be at most {MAX_SCOPES} bytes of JSON")));
        }
        errors
    }
}

impl From<Scopes> for BTreeMap<String, BTreeSet<String>> {
    fn from(scopes: Scopes) -> Self {
        let tenants = scopes.tenants.into_iter().map(|(tenant, scopes)| (tenant.to_string(), scopes));
        let everyone = (!scopes.everyone.is_empty()).then(|| (EVERY.to_owned(), scopes.everyone));
        tenants.chain(everyone).collect()
    }
}

impl TryFrom<BTreeMap<String, BTreeSet<String>>> for Scopes {
    type Error = InvalidName;

    fn try_from(mut written: BTreeMap<String, BTreeSet<String>>) -> Result<Self, InvalidName> {
        let everyone = written.remove(EVERY).unwrap_or_default();
        let tenants = written.into_iter().map(|(tenant, scopes)| Ok((tenant.parse()?, scopes)));
        Ok(Self { everyone, tenants: tenants.collect::<Result<_, InvalidName>>()? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scopes(written: serde_json::Value) -> Scopes {
        serde_json::from_value(written).unwrap()
    }

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    #[test]
    fn a_tenant_may_use_its_own_scopes_and_those_of_all() {
        let scopes = scopes(json!({ "acme": ["main", "team-a"], "beta": ["*"], "*": ["public"] }));
        for (name, scope, may) in [
            ("acme", Some("main"), true),
            ("acme", Some("public"), true),
            ("acme", Some("ops"), false),
            ("acme", Some("Main"), false),
            ("acme", None, false),
            ("beta", Some("ops"), true),
            ("beta", None, true),
            ("zeta", Some("public"), true),
            ("zeta", Some("main"), false),
        ] {
            assert_eq!(scopes.include(&tenant(name), scope), may, "{name} {scope:?}");
        }
    }

    #[test]
    fn nobody_may_use_what_is_not_said() {
        assert!(!Scopes::default().include(&tenant("acme"), Some("main")));
        assert!(!scopes(json!({ "acme": [] })).include_any(&tenant("acme")));
    }

    #[test]
    fn they_are_read_as_they_are_written() {
        for written in [json!({}), json!({ "acme": ["main"], "*": ["public"] }), json!({ "acme": [] })] {
            assert_eq!(serde_json::to_value(scopes(written.clone())).unwrap(), written);
        }
        assert!(serde_json::from_value::<Scopes>(json!({ "Acme": ["main"] })).is_err());
    }

    #[test]
    fn others_see_neither_tenants_nor_their_scopes() {
        let all = scopes(json!({ "acme": ["main"], "beta": ["secret"], "*": ["public"] }));
        let seen = all.seen_by(|name| *name == tenant("acme"));
        assert_eq!(serde_json::to_value(seen).unwrap(), json!({ "acme": ["main"], "*": ["public"] }));
    }

    #[test]
    fn names_that_no_scope_has_are_refused_with_their_place() {
        for bad in ["", "a\nb", &"x".repeat(256)] {
            let errors = scopes(json!({ "acme": ["main", bad] })).check();
            assert_eq!(errors[0].pointer, "/scopes/acme", "{bad:?}");
        }
        let many: Vec<_> = (0..10_000).map(|n| format!("team-{n}")).collect();
        assert_eq!(scopes(json!({ "acme": many })).check()[0].pointer, "/scopes");
    }
}
