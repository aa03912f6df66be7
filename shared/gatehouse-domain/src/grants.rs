//! Who may grant what: nobody gives, or changes in others, more than they hold themselves.
//!
//! A role is the scopes that its endpoints ask for, so that people and keys are measured alike: `admin` is
//! `*`, and a key holds a role where it has each of the role's scopes.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::{
    access::{Role, Scope},
    caller::{Caller, Grant, Roles, Tenants},
    name::TenantId,
};

/// How much of what is missing is named.
const MAX_NAMED: usize = 5;

/// More than the caller holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BeyondOwnRights {
    /// What was to be granted, as a list for people.
    #[error("nobody grants more than they hold, and you do not hold {0}")]
    Granted(String),
    /// What somebody or something that was to be changed holds.
    #[error("nobody changes what holds more than they do, and you do not hold {0}")]
    Changed(String),
    /// When the caller's own key ends.
    #[error("a key mints none that outlives it, and yours expires at {0}")]
    Outlives(Timestamp),
}

/// What an API key may do.
#[derive(Debug, Clone, Copy)]
pub struct KeyRights<'a> {
    pub scopes: &'a BTreeSet<Scope>,
    pub tenants: &'a Tenants,
    /// Until when, if not for ever.
    pub expires_at: Option<Timestamp>,
}

/// Where a right counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    /// In each tenant, those to come included, and on the platform.
    Everywhere,
    Tenant(&'a TenantId),
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Everywhere => f.write_str("in all tenants"),
            Self::Tenant(tenant) => write!(f, "in tenant `{tenant}`"),
        }
    }
}

impl Scope {
    /// The least role that includes it: the greatest that one of its endpoints asks for. What stands for more
    /// than endpoints is an admin's.
    pub fn role(self) -> Role {
        let roles = crate::access::ENDPOINTS.iter().filter_map(|endpoint| endpoint.role_for(self));
        roles.max().unwrap_or(Role::Admin)
    }
}

/// Refuses roles of which the caller does not hold each.
///
/// # Errors
///
/// What the caller does not hold.
pub fn check_roles(caller: &Caller, roles: &Roles) -> Result<(), BeyondOwnRights> {
    missing_of_roles(&caller.grant, roles).map_or(Ok(()), |missing| Err(BeyondOwnRights::Granted(missing)))
}

/// Refuses to touch somebody who holds these roles, where the caller does not hold each.
///
/// # Errors
///
/// What the caller does not hold.
pub fn check_target(caller: &Caller, roles: &Roles) -> Result<(), BeyondOwnRights> {
    missing_of_roles(&caller.grant, roles).map_or(Ok(()), |missing| Err(BeyondOwnRights::Changed(missing)))
}

/// Refuses a key that may do something that the caller may not, or for longer.
///
/// # Errors
///
/// What the caller does not hold, or when their own key ends.
pub fn check_key(caller: &Caller, key: KeyRights<'_>) -> Result<(), BeyondOwnRights> {
    if let Some(missing) = missing_of_key(&caller.grant, key) {
        return Err(BeyondOwnRights::Granted(missing));
    }
    match &caller.grant {
        Grant::ApiKey { expires_at: Some(end), .. } if key.expires_at.is_none_or(|key| key > *end) => {
            Err(BeyondOwnRights::Outlives(*end))
        }
        _ => Ok(()),
    }
}

/// Refuses to touch a key that may do something that the caller may not.
///
/// # Errors
///
/// What the caller does not hold.
pub fn check_target_key(caller: &Caller, key: KeyRights<'_>) -> Result<(), BeyondOwnRights> {
    missing_of_key(&caller.grant, key).map_or(Ok(()), |missing| Err(BeyondOwnRights::Changed(missing)))
}

/// Whether somebody with these roles could mint the key.
pub fn could_mint(roles: &Roles, key: KeyRights<'_>) -> bool {
    let grant = Grant::person(roles.clone(), "", Timestamp::UNIX_EPOCH);
    missing_of_key(&grant, key).is_none()
}

fn missing_of_roles(grant: &Grant, roles: &Roles) -> Option<String> {
    let everywhere = roles.everywhere.map(|role| (Place::Everywhere, role));
    let tenants = roles.tenants.iter().map(|(tenant, role)| (Place::Tenant(tenant), *role));
    let all = everywhere.into_iter().chain(tenants);
    let missing = all.filter(|(place, role)| !holds_role(grant, *role, *place));
    name(missing.map(|(place, role)| format!("`{}` {place}", role.as_str())))
}

fn missing_of_key(grant: &Grant, key: KeyRights<'_>) -> Option<String> {
    let places = match key.tenants {
        Tenants::All => vec![Place::Everywhere],
        Tenants::Only(tenants) => tenants.iter().map(Place::Tenant).collect(),
    };
    let all = places.into_iter().flat_map(|place| key.scopes.iter().map(move |scope| (place, *scope)));
    let missing = all.filter(|(place, scope)| !holds_scope(grant, *scope, *place));
    name(missing.map(|(place, scope)| format!("`{scope}` {place}")))
}

fn name(missing: impl Iterator<Item = String>) -> Option<String> {
    let mut missing = missing.peekable();
    missing.peek()?;
    let named: Vec<_> = missing.by_ref().take(MAX_NAMED).collect();
    let more = missing.count();
    let named = named.join(", ");
    Some(if more == 0 { named } else { format!("{named} and {more} more") })
}

fn holds_scope(grant: &Grant, scope: Scope, place: Place<'_>) -> bool {
    match grant {
        Grant::User { roles, .. } => role_at(roles, place) >= Some(scope.role()),
        Grant::ApiKey { scopes, tenants, .. } => {
            (scopes.contains(&Scope::All) || scopes.contains(&scope)) && reaches(tenants, place)
        }
        Grant::Service { .. } | Grant::Operation { .. } => false,
    }
}

fn holds_role(grant: &Grant, role: Role, place: Place<'_>) -> bool {
    match grant {
        Grant::User { roles, .. } => role_at(roles, place) >= Some(role),
        Grant::ApiKey { .. } | Grant::Service { .. } | Grant::Operation { .. } => {
            let mut scopes = Scope::ALL.iter().filter(|scope| scope.role() <= role);
            scopes.all(|scope| holds_scope(grant, *scope, place))
        }
    }
}

fn role_at(roles: &Roles, place: Place<'_>) -> Option<Role> {
    match place {
        Place::Everywhere => roles.everywhere,
        Place::Tenant(tenant) => roles.in_tenant(tenant),
    }
}

fn reaches(tenants: &Tenants, place: Place<'_>) -> bool {
    match place {
        Place::Everywhere => *tenants == Tenants::All,
        Place::Tenant(tenant) => tenants.include(tenant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Admission, ENDPOINTS};

    const PLACES: [&str; 4] = ["*", "acme", "beta", "acme,beta"];

    /// A key, whoever made it.
    #[derive(Debug)]
    struct Key {
        scopes: BTreeSet<Scope>,
        tenants: Tenants,
        expires_at: Option<Timestamp>,
    }

    impl Key {
        fn rights(&self) -> KeyRights<'_> {
            let Self { scopes, tenants, expires_at } = self;
            KeyRights { scopes, tenants, expires_at: *expires_at }
        }
    }

    /// A key with these scopes for these tenants.
    fn key(scopes: &[Scope], tenants: &str) -> Key {
        Key { scopes: scopes.iter().copied().collect(), tenants: tenants.parse().unwrap(), expires_at: None }
    }

    /// Whoever calls with it.
    fn bearer(key: &Key) -> Caller {
        let grant = Grant::ApiKey {
            scopes: key.scopes.clone(),
            tenants: key.tenants.clone(),
            expires_at: key.expires_at,
            minted_by: None,
        };
        Caller { subject: "key_1".into(), grant }
    }

    fn person(roles: &Roles) -> Caller {
        let grant = Grant::person(roles.clone(), "s", Timestamp::UNIX_EPOCH);
        Caller { subject: "ada".into(), grant }
    }

    /// Each set of scopes that a test tells apart: each scope, each without the others, and what a role has.
    fn scope_sets() -> Vec<Vec<Scope>> {
        let one = Scope::ALL.iter().map(|scope| vec![*scope]);
        let all_but_one = Scope::ALL
            .iter()
            .map(|left_out| {
                Scope::ALL.iter().copied().filter(move |scope| scope != left_out && *scope != Scope::All)
            })
            .map(Iterator::collect);
        let roles = Role::ALL
            .into_iter()
            .map(|role| Scope::ALL.iter().copied().filter(|scope| scope.role() <= role).collect());
        one.chain(all_but_one).chain(roles).collect()
    }

    fn all_keys() -> Vec<Key> {
        let sets = scope_sets();
        sets.iter().flat_map(|scopes| PLACES.map(|tenants| key(scopes, tenants))).collect()
    }

    fn all_roles() -> Vec<Roles> {
        let roles = [None, Some(Role::Viewer), Some(Role::Developer), Some(Role::Admin)];
        let mut all = Vec::new();
        for everywhere in roles {
            for acme in roles {
                for beta in roles {
                    let tenants = [("acme", acme), ("beta", beta)].into_iter();
                    let tenants =
                        tenants.filter_map(|(name, role)| Some((name.parse().unwrap(), role?))).collect();
                    all.push(Roles { everywhere, tenants });
                }
            }
        }
        all
    }

    /// What of the API somebody may use, by the table of endpoints alone: an endpoint in a tenant, also in one
    /// that does not exist yet, what is left to admins, and whatever is to come.
    fn power(caller: &Caller) -> BTreeSet<(&'static str, &'static str)> {
        let tenants = ["acme", "beta", "to-come"];
        let granted = ENDPOINTS.iter().filter(|it| matches!(it.admission, Admission::Granted { .. }));
        let mut power = BTreeSet::new();
        for endpoint in granted {
            for tenant in tenants {
                if caller.may_in(endpoint, &tenant.parse().unwrap()) {
                    power.insert((endpoint.id, tenant));
                }
            }
        }
        for tenant in tenants {
            let id = tenant.parse().unwrap();
            let everything = match &caller.grant {
                Grant::ApiKey { scopes, tenants, .. } => scopes.contains(&Scope::All) && tenants.include(&id),
                _ => caller.is_admin_in(&id),
            };
            power.extend(caller.is_admin_in(&id).then_some(("what is left to admins", tenant)));
            power.extend(everything.then_some(("what is to come", tenant)));
        }
        power
    }

    fn everybody() -> Vec<Caller> {
        all_keys().iter().map(bearer).chain(all_roles().iter().map(person)).collect()
    }

    #[test]
    fn nobody_grants_a_key_that_opens_what_they_cannot_open() {
        let keys: Vec<_> = all_keys().into_iter().map(|key| (power(&bearer(&key)), key)).collect();
        let (mut granted, mut refused) = (0, 0);
        for caller in everybody() {
            let own = power(&caller);
            for (opens, key) in &keys {
                let adds = !opens.is_subset(&own);
                let verdict = check_key(&caller, key.rights());
                assert!(verdict.is_err() || !adds, "{caller:?} granted {key:?}");
                assert_eq!(check_target_key(&caller, key.rights()).is_ok(), verdict.is_ok());
                *if verdict.is_ok() { &mut granted } else { &mut refused } += 1;
            }
        }
        assert!(granted > 1000 && refused > 1000, "{granted} {refused}");
    }

    #[test]
    fn nobody_grants_roles_that_open_what_they_cannot_open() {
        let all: Vec<_> = all_roles().into_iter().map(|roles| (power(&person(&roles)), roles)).collect();
        let (mut granted, mut refused) = (0, 0);
        for caller in everybody() {
            let own = power(&caller);
            for (opens, roles) in &all {
                let adds = !opens.is_subset(&own);
                let verdict = check_roles(&caller, roles);
                assert_eq!(verdict.is_err(), adds, "{caller:?} and {roles}: {verdict:?}");
                assert_eq!(check_target(&caller, roles).is_ok(), verdict.is_ok());
                *if verdict.is_ok() { &mut granted } else { &mut refused } += 1;
            }
        }
        assert!(granted > 100 && refused > 1000, "{granted} {refused}");
    }

    #[test]
    fn everybody_may_grant_what_they_hold() {
        for key in all_keys() {
            assert_eq!(check_key(&bearer(&key), key.rights()), Ok(()), "{key:?}");
        }
        for roles in all_roles() {
            assert_eq!(check_roles(&person(&roles), &roles), Ok(()), "{roles}");
        }
    }

    #[test]
    fn each_scope_is_of_one_role() {
        for scope in Scope::ALL {
            let roles: BTreeSet<_> = ENDPOINTS.iter().filter_map(|it| it.role_for(*scope)).collect();
            assert!(roles.len() <= 1, "{scope} is asked for together with {roles:?}");
        }
    }

    #[test]
    fn a_key_mints_none_that_outlives_it() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let minted = |expires_at| Key { expires_at, ..key(&[Scope::JobsRead], "acme") };
        let ends = bearer(&minted(at(100)));
        assert_eq!(check_key(&ends, minted(at(100)).rights()), Ok(()));
        for late in [at(101), None] {
            assert_eq!(
                check_key(&ends, minted(late).rights()),
                Err(BeyondOwnRights::Outlives(at(100).unwrap()))
            );
        }
        assert_eq!(check_key(&bearer(&minted(None)), minted(None).rights()), Ok(()));
    }

    #[test]
    fn what_is_missing_is_named_and_the_list_is_bounded() {
        let narrow = bearer(&key(&[Scope::KeysWrite], "*"));
        let refused =
            check_key(&narrow, key(&[Scope::KeysWrite, Scope::JobsRead], "acme").rights()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "nobody grants more than they hold, and you do not hold `jobs:read` in tenant `acme`"
        );
        let refused = check_roles(&narrow, &"*=admin".parse().unwrap()).unwrap_err();
        assert!(refused.to_string().ends_with("you do not hold `admin` in all tenants"), "{refused}");
        let refused = check_key(&narrow, key(&Scope::ALL[1..9], "acme").rights()).unwrap_err();
        assert!(refused.to_string().ends_with(" and 3 more"), "{refused}");
    }
}
