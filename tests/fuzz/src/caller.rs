//! Callers made of bytes.

use gatehouse_domain::{
    access::{Role, Scope},
    caller::{Caller, Grant, Roles},
};
use jiff::Timestamp;

/// The caller whom six bytes describe: a person, an API key or a service, with any roles or scopes. Missing bytes are 0.
pub(crate) fn caller(input: &[u8]) -> Caller {
    let at = |index: usize| input.get(index).copied().unwrap_or_default();
    let grant = match at(0) % 3 {
        0 => {
            let roles = [("acme", at(2)), ("beta", at(3))];
            let tenants = roles.iter().filter_map(|(tenant, byte)| Some((name(tenant), role(*byte)?)));
            let roles = Roles { everywhere: role(at(1)), tenants: tenants.collect() };
            Grant::person(roles, "ses_00000000000000000000000000", Timestamp::UNIX_EPOCH)
        }
        1 => {
            let bits = u32::from_le_bytes([at(1), at(2), at(3), at(4)]);
            let scopes = Scope::ALL.iter().enumerate().filter(|(index, _)| bits >> index & 1 == 1);
            let tenants = ["*", "acme", "acme,beta"][usize::from(at(5)) % 3];
            Grant::ApiKey {
                scopes: scopes.map(|(_, scope)| *scope).collect(),
                tenants: tenants.parse().expect("these are tenants"),
                expires_at: None,
                minted_by: None,
            }
        }
        _ => Grant::Service { project: name("payments"), tenant: name("acme"), service: name("worker") },
    };
    Caller { subject: "somebody".to_owned(), grant }
}

/// How many bytes describe a caller.
pub(crate) const LENGTH: usize = 6;

fn role(byte: u8) -> Option<Role> {
    Role::ALL.get(usize::from(byte) % (Role::ALL.len() + 1)).copied()
}

fn name<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().expect("it is a name")
}
