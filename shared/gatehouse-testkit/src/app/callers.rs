//! Who calls, and from where.

use gatehouse_domain::{
    access::Scope,
    audit::Origin,
    caller::{Caller, Grant, Tenants},
};
use jiff::Timestamp;

/// What every request of a test says of itself.
pub(super) const REQUEST_ID: &str = "req_test";
pub(super) const SOURCE_IP: &str = "192.0.2.1";
pub(super) const USER_AGENT: &str = "tests";

/// A person with these roles, such as `acme=developer`, in this session, who has just proved who they are, whatever
/// the time.
pub fn person(name: &str, roles: &str, session: &str) -> Caller {
    person_since(name, roles, session, Timestamp::MAX)
}

/// A person who last proved then who they are.
pub fn person_since(name: &str, roles: &str, session: &str, authenticated_at: Timestamp) -> Caller {
    let grant = Grant::person(roles.parse().expect("roles"), session, authenticated_at);
    Caller { subject: name.to_owned(), grant }
}

/// An API key with these scopes for these tenants.
pub fn api_key(scopes: &[Scope], tenants: Tenants) -> Caller {
    let grant = Grant::ApiKey {
        scopes: scopes.iter().copied().collect(),
        tenants,
        expires_at: None,
        minted_by: None,
    };
    Caller { subject: "key_test".to_owned(), grant }
}

/// An API key that may do everything in one tenant.
pub fn tenant_key(tenant: &str) -> Caller {
    api_key(&[Scope::All], tenant.parse().expect("a tenant"))
}

/// A service of a project, with its token.
pub fn service(tenant: &str, project: &str, service: &str) -> Caller {
    let grant = Grant::Service {
        project: project.parse().expect("a project"),
        tenant: tenant.parse().expect("a tenant"),
        service: service.parse().expect("a service"),
    };
    Caller { subject: "tok_00000000000000000000000000".to_owned(), grant }
}

pub fn origin() -> Origin {
    Origin {
        request_id: REQUEST_ID.into(),
        source_ip: Some(SOURCE_IP.into()),
        user_agent: Some(USER_AGENT.into()),
    }
}
