//! Who is calling, as the authorizer found out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    access::{
        Admission, CHANGE_PASSWORD, CONFIRM_SECOND_FACTOR, ENROL_SECOND_FACTOR, Endpoint, LOG_OUT,
        REAUTHENTICATE, Reach, Role, SHOW_CALLER, Scope, UnknownRole,
    },
    name::{InvalidName, ProjectName, ServiceName, TenantId},
};

/// The tenants that a caller may act for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenants {
    All,
    /// These and no others; possibly none.
    Only(BTreeSet<TenantId>),
}

impl Tenants {
    /// Whether `tenant` is one of them.
    pub fn include(&self, tenant: &TenantId) -> bool {
        match self {
            Self::All => true,
            Self::Only(tenants) => tenants.contains(tenant),
        }
    }

    /// The tenant, when there is exactly one.
    pub fn sole(&self) -> Option<&TenantId> {
        match self {
            Self::Only(tenants) if tenants.len() == 1 => tenants.first(),
            Self::All | Self::Only(_) => None,
        }
    }
}

impl fmt::Display for Tenants {
    /// `*`, or the names separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Only(tenants) => {
                f.write_str(&tenants.iter().map(TenantId::as_str).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl FromStr for Tenants {
    type Err = InvalidName;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        if raw == "*" {
            return Ok(Self::All);
        }
        let names = raw.split(',').filter(|name| !name.is_empty());
        Ok(Self::Only(names.map(str::parse).collect::<Result<_, _>>()?))
    }
}

/// The roles of a person: one for each of their tenants, and possibly one for all tenants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Roles {
    /// In every tenant; `admin` here makes a platform admin.
    pub everywhere: Option<Role>,
    pub tenants: BTreeMap<TenantId, Role>,
}

impl Roles {
    /// The role in `tenant`: the greater one, where one is given for all tenants as well.
    pub fn in_tenant(&self, tenant: &TenantId) -> Option<Role> {
        self.everywhere.max(self.tenants.get(tenant).copied())
    }

    /// The greatest role anywhere.
    pub fn greatest(&self) -> Option<Role> {
        self.everywhere.max(self.tenants.values().max().copied())
    }

    /// Whether this is a platform admin.
    pub fn is_platform_admin(&self) -> bool {
        self.everywhere == Some(Role::Admin)
    }

    fn tenants(&self) -> Tenants {
        match self.everywhere {
            Some(_) => Tenants::All,
            None => Tenants::Only(self.tenants.keys().cloned().collect()),
        }
    }
}

impl fmt::Display for Roles {
    /// `*=admin`, or `acme=developer,beta=viewer`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let everywhere = self.everywhere.map(|role| format!("*={}", role.as_str()));
        let tenants = self.tenants.iter().map(|(tenant, role)| format!("{tenant}={}", role.as_str()));
        f.write_str(&everywhere.into_iter().chain(tenants).collect::<Vec<_>>().join(","))
    }
}

/// Roles that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoles {
    /// A part is not `<tenant>=<role>`.
    #[error("`{0}` is not <tenant>=<role>")]
    Form(String),
    /// The tenant cannot be one.
    #[error(transparent)]
    Tenant(#[from] InvalidName),
    /// The role does not exist.
    #[error(transparent)]
    Role(#[from] UnknownRole),
}

impl From<Roles> for String {
    fn from(roles: Roles) -> Self {
        roles.to_string()
    }
}

impl TryFrom<String> for Roles {
    type Error = InvalidRoles;

    fn try_from(raw: String) -> Result<Self, InvalidRoles> {
        raw.parse()
    }
}

impl FromStr for Roles {
    type Err = InvalidRoles;

    fn from_str(raw: &str) -> Result<Self, InvalidRoles> {
        let mut roles = Self::default();
        for part in raw.split(',').filter(|part| !part.is_empty()) {
            let (tenant, role) = part.split_once('=').ok_or_else(|| InvalidRoles::Form(part.to_owned()))?;
            let role = role.parse()?;
            match tenant {
                "*" => roles.everywhere = Some(role),
                tenant => {
                    roles.tenants.insert(tenant.parse()?, role);
                }
            }
        }
        Ok(roles)
    }
}

/// What lets a caller in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// A person: what they may do follows from their roles.
    User {
        roles: Roles,
        /// The session that they are calling in.
        session: String,
        /// When they last proved who they are.
        authenticated_at: Timestamp,
        /// What they have to do before anything else is open to them.
        required_action: Option<RequiredAction>,
    },
    /// An API key: what it may do follows from its scopes.
    ApiKey {
        /// What it may do.
        scopes: BTreeSet<Scope>,
        tenants: Tenants,
        /// When it ends, if ever.
        expires_at: Option<Timestamp>,
        /// The [`Caller::hand`] of whoever minted it; `None` of a key that came with the installation.
        minted_by: Option<String>,
    },
    /// A service of a project: it may reach the project's routes.
    Service {
        project: ProjectName,
        /// The tenant that the project belongs to.
        tenant: TenantId,
        /// The service that is calling.
        service: ServiceName,
    },
    /// An operation of the catalog, for whoever asked for it: what it may do was decided when it was asked
    /// for. No credential makes such a caller.
    Operation {
        /// The tenant that it belongs to.
        tenant: TenantId,
        /// Who asked for it: `user:ada`.
        requested_by: String,
        /// Their [`Caller::hand`].
        hand: String,
    },
}

impl Grant {
    /// A person who has to do nothing first.
    pub fn person(roles: Roles, session: impl Into<String>, authenticated_at: Timestamp) -> Self {
        Self::User { roles, session: session.into(), authenticated_at, required_action: None }
    }
}

/// What a person has to do before anything else is open to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequiredAction {
    /// Choose another password than the one that somebody else chose for them.
    ChangePassword,
    /// Enrol a second factor, which one of their tenants wants.
    EnrolSecondFactor,
}

/// An action that nobody requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not an action that is required of people")]
pub struct UnknownRequiredAction;

impl RequiredAction {
    pub const ALL: [Self; 2] = [Self::ChangePassword, Self::EnrolSecondFactor];

    /// `change_password` or `enrol_second_factor`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChangePassword => "change_password",
            Self::EnrolSecondFactor => "enrol_second_factor",
        }
    }

    /// Whether `endpoint` is open to whoever has not done it yet: what it takes, and what is about the own session.
    pub fn leaves_open(self, endpoint: &Endpoint) -> bool {
        let does_it: &[&Endpoint] = match self {
            Self::ChangePassword => &[&CHANGE_PASSWORD],
            Self::EnrolSecondFactor => &[&ENROL_SECOND_FACTOR, &CONFIRM_SECOND_FACTOR, &REAUTHENTICATE],
        };
        does_it.iter().chain([&&SHOW_CALLER, &&LOG_OUT]).any(|open| open.id == endpoint.id)
    }
}

impl FromStr for RequiredAction {
    type Err = UnknownRequiredAction;

    fn from_str(raw: &str) -> Result<Self, UnknownRequiredAction> {
        Self::ALL.into_iter().find(|action| action.as_str() == raw).ok_or(UnknownRequiredAction)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user's name, the key's id or the token's `jti`; safe to log.
    pub subject: String,
    /// What lets them in.
    pub grant: Grant,
}

impl Caller {
    /// The tenants whose things the caller may see. Other tenants' things do not exist for them.
    pub fn tenants(&self) -> Tenants {
        match &self.grant {
            Grant::User { roles, .. } => roles.tenants(),
            Grant::ApiKey { tenants, .. } => tenants.clone(),
            Grant::Service { tenant, .. } | Grant::Operation { tenant, .. } => {
                Tenants::Only(BTreeSet::from([tenant.clone()]))
            }
        }
    }

    /// Whether things of `tenant` exist for the caller.
    pub fn sees(&self, tenant: &TenantId) -> bool {
        match &self.grant {
            Grant::User { roles, .. } => roles.in_tenant(tenant).is_some(),
            Grant::ApiKey { tenants, .. } => tenants.include(tenant),
            Grant::Service { tenant: own, .. } | Grant::Operation { tenant: own, .. } => own == tenant,
        }
    }

    /// Whether this caller may use `endpoint` at all; for which things is decided by
    /// [`Caller::may_in`].
    pub fn may(&self, endpoint: &Endpoint) -> bool {
        if self.required_action().is_some_and(|action| !action.leaves_open(endpoint)) {
            return false;
        }
        let Admission::Granted { scope, role, reach } = endpoint.admission else {
            let person = matches!(self.grant, Grant::User { .. });
            return person || endpoint.admission == Admission::Known;
        };
        match &self.grant {
            Grant::User { roles, .. } => match reach {
                Reach::Tenant => roles.greatest() >= Some(role),
                Reach::Platform => roles.everywhere >= Some(role),
            },
            Grant::ApiKey { scopes, tenants, .. } => {
                let scoped = scopes.contains(&Scope::All) || scopes.contains(&scope);
                scoped && (reach == Reach::Tenant || *tenants == Tenants::All)
            }
            Grant::Service { .. } => false,
            Grant::Operation { .. } => reach == Reach::Tenant && role <= Role::Developer,
        }
    }

    /// What the caller has to do before anything else is open to them.
    pub fn required_action(&self) -> Option<RequiredAction> {
        match &self.grant {
            Grant::User { required_action, .. } => *required_action,
            Grant::ApiKey { .. } | Grant::Service { .. } | Grant::Operation { .. } => None,
        }
    }

    /// Whether this caller may use `endpoint` on things of `tenant`.
    pub fn may_in(&self, endpoint: &Endpoint, tenant: &TenantId) -> bool {
        let enough = match (&self.grant, endpoint.admission) {
            (Grant::User { roles, .. }, Admission::Granted { role, .. }) => {
                roles.in_tenant(tenant) >= Some(role)
            }
            _ => self.sees(tenant),
        };
        enough && self.may(endpoint)
    }

    /// Whether this caller may do what is left to the admins of `tenant` in the catalog, beyond what an endpoint asks
    /// for.
    pub fn is_admin_in(&self, tenant: &TenantId) -> bool {
        match &self.grant {
            Grant::User { roles, .. } => roles.in_tenant(tenant) >= Some(Role::Admin),
            Grant::ApiKey { scopes, tenants, .. } => {
                let scoped = scopes.contains(&Scope::All) || scopes.contains(&Scope::CatalogAdmin);
                scoped && tenants.include(tenant)
            }
            Grant::Service { .. } | Grant::Operation { .. } => false,
        }
    }

    /// Of the caller's tenants, those in which they may use `endpoint`.
    pub fn tenants_for(&self, endpoint: &Endpoint) -> Tenants {
        match (&self.grant, endpoint.admission) {
            (Grant::User { roles, .. }, Admission::Granted { role, .. }) => {
                if roles.everywhere >= Some(role) {
                    return Tenants::All;
                }
                let enough = roles.tenants.iter().filter(|(_, own)| **own >= role);
                Tenants::Only(enough.map(|(tenant, _)| tenant.clone()).collect())
            }
            _ => self.tenants(),
        }
    }

    /// `user:ada`, `api_key:key_1` or `service:payments/worker`: who did something, for records.
    pub fn actor(&self) -> String {
        match &self.grant {
            Grant::User { .. } => format!("user:{}", self.subject),
            Grant::ApiKey { .. } => format!("api_key:{}", self.subject),
            Grant::Service { project, service, .. } => format!("service:{project}/{service}"),
            Grant::Operation { requested_by, .. } => requested_by.clone(),
        }
    }

    /// Who is behind it: `user:ada` for a session of hers, and for a key that she minted, or that was minted with such
    /// a key. Where two people are needed, two callers of one hand are one.
    pub fn hand(&self) -> String {
        match &self.grant {
            Grant::ApiKey { minted_by: Some(hand), .. } | Grant::Operation { hand, .. } => hand.clone(),
            Grant::User { .. } | Grant::ApiKey { minted_by: None, .. } | Grant::Service { .. } => {
                self.actor()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{ENDPOINTS, LIST_AUDIT, LIST_JOBS, MINT_TOKEN, PUT_PROVIDER, TRIGGER_RUN};

    fn person(roles: &str) -> Caller {
        let roles = roles.parse().unwrap();
        Caller { subject: "ada".into(), grant: Grant::person(roles, "s", Timestamp::UNIX_EPOCH) }
    }

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    #[test]
    fn a_role_counts_in_its_tenant_only() {
        let ada = person("acme=developer,beta=viewer");
        assert!(ada.may_in(&TRIGGER_RUN, &tenant("acme")));
        assert!(!ada.may_in(&TRIGGER_RUN, &tenant("beta")));
        assert!(ada.may_in(&LIST_JOBS, &tenant("beta")) && ada.sees(&tenant("beta")));
        assert!(!ada.may_in(&LIST_JOBS, &tenant("other")) && !ada.sees(&tenant("other")));
        assert_eq!(ada.tenants_for(&TRIGGER_RUN).to_string(), "acme");
        assert!(!ada.may(&MINT_TOKEN) && !ada.may(&LIST_AUDIT));
    }

    #[test]
    fn only_a_platform_admin_reaches_the_platform() {
        assert!(!person("acme=admin").may(&PUT_PROVIDER));
        assert!(!person("*=developer").may(&PUT_PROVIDER));
        assert!(person("*=admin").may_in(&PUT_PROVIDER, &tenant("any")));
        assert!(person("*=viewer,acme=admin").may_in(&MINT_TOKEN, &tenant("acme")));
        assert!(!person("*=viewer,acme=admin").may_in(&MINT_TOKEN, &tenant("beta")));
    }

    #[test]
    fn a_person_without_roles_may_still_log_out() {
        let nobody = person("");
        assert!(nobody.may(&LOG_OUT) && nobody.may(&SHOW_CALLER));
        assert!(!nobody.may(&LIST_JOBS));
    }

    #[test]
    fn who_has_to_do_something_first_may_do_that_and_log_out_and_nothing_else() {
        let change: &[&str] = &["show_caller", "log_out", "change_password"];
        let enrol: &[&str] =
            &["show_caller", "log_out", "reauthenticate", "enrol_second_factor", "confirm_second_factor"];
        let actions = [(RequiredAction::ChangePassword, change), (RequiredAction::EnrolSecondFactor, enrol)];
        for (roles, (action, expected)) in
            ["", "acme=viewer", "*=admin"].into_iter().flat_map(|roles| actions.map(|it| (roles, it)))
        {
            let Caller { subject, grant } = person(roles);
            let Grant::User { roles, session, authenticated_at, .. } = grant else { panic!("a person") };
            let required_action = Some(action);
            let grant = Grant::User { roles, session, authenticated_at, required_action };
            let grace = Caller { subject, grant };
            let open: Vec<_> = ENDPOINTS.iter().filter(|it| grace.may(it)).map(|it| it.id).collect();
            assert_eq!(open, expected);
            let acme = tenant("acme");
            assert!(ENDPOINTS.iter().all(|it| !grace.may_in(it, &acme) || open.contains(&it.id)));
        }
    }

    #[test]
    fn a_service_may_ask_who_it_is_and_nothing_else_here() {
        let grant = Grant::Service {
            project: "payments".parse().unwrap(),
            tenant: tenant("acme"),
            service: "worker".parse().unwrap(),
        };
        let service = Caller { subject: "tok_1".into(), grant };
        let allowed: Vec<_> = ENDPOINTS.iter().filter(|op| service.may(op)).map(|op| op.id).collect();
        assert_eq!(allowed, ["show_caller"]);
        assert_eq!(service.actor(), "service:payments/worker");
    }

    #[test]
    fn roles_are_read_as_they_are_written() {
        for text in ["", "*=admin", "acme=developer,beta=viewer", "*=viewer,acme=admin"] {
            assert_eq!(text.parse::<Roles>().unwrap().to_string(), text);
        }
        for bad in ["acme", "acme=owner", "Acme=viewer", "=viewer", "acme=viewer=admin"] {
            assert!(bad.parse::<Roles>().is_err(), "{bad:?} was accepted");
        }
    }
}
