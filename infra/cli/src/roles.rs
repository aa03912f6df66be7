//! Roles and tenants as they are written on a command line.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The roles of a user: `acme=developer,beta=viewer`, or `*=admin` for all tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles(BTreeMap<String, String>);

impl Roles {
    /// Reads them; an empty text means none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut roles = BTreeMap::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (tenant, role) = pair.split_once('=').ok_or("write tenant=role, such as acme=developer")?;
            let (tenant, role) = (tenant.trim(), role.trim());
            if tenant.is_empty() || role.is_empty() {
                return Err("write tenant=role, such as acme=developer".to_owned());
            }
            if roles.insert(tenant.to_owned(), role.to_owned()).is_some() {
                return Err(format!("{tenant} has two roles"));
            }
        }
        Ok(Self(roles))
    }

    /// As the API takes them.
    pub(crate) fn to_json(&self) -> Value {
        json!(self.0)
    }
}

/// Tenants: `acme,beta`, or `*` for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantList(Vec<String>);

impl TenantList {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let names: Vec<String> =
            text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        match names.as_slice() {
            [] => Err("name at least one tenant, or `*` for all".to_owned()),
            [_] => Ok(Self(names)),
            many if many.iter().any(|name| name == "*") => {
                Err("`*` means all tenants and stands alone".to_owned())
            }
            _ => Ok(Self(names)),
        }
    }

    /// As the API takes them.
    pub(crate) fn to_json(&self) -> Value {
        if self.0 == ["*"] { json!("*") } else { json!(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_pairs() {
        let roles = Roles::parse("acme=developer, beta=viewer").unwrap();
        assert_eq!(roles.to_json(), json!({ "acme": "developer", "beta": "viewer" }));
        assert_eq!(Roles::parse("*=admin").unwrap().to_json(), json!({ "*": "admin" }));
        assert_eq!(Roles::parse("").unwrap().to_json(), json!({}));
        for bad in ["acme", "acme=", "=viewer", "acme=viewer,acme=admin"] {
            assert!(Roles::parse(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn all_tenants_stand_alone() {
        assert_eq!(TenantList::parse("*").unwrap().to_json(), json!("*"));
        assert_eq!(TenantList::parse("acme, beta").unwrap().to_json(), json!(["acme", "beta"]));
        for bad in ["", ",", "acme,*"] {
            assert!(TenantList::parse(bad).is_err(), "{bad} was taken");
        }
    }
}
