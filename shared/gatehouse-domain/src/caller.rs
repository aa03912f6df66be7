//! Who is calling, as the authorizer found out.

use std::{collections::BTreeSet, fmt};

use crate::{
    access::{Operation, Reach, Role, Scope},
    name::TenantId,
};

/// The tenants that a caller may act for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenants {
    /// Every tenant: a platform admin.
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

impl std::str::FromStr for Tenants {
    type Err = crate::name::InvalidName;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        if raw == "*" {
            return Ok(Self::All);
        }
        let names = raw.split(',').filter(|name| !name.is_empty());
        Ok(Self::Only(names.map(str::parse).collect::<Result<_, _>>()?))
    }
}

/// What lets a caller in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// A person: what they may do follows from their role.
    User(Role),
    /// An API key: what it may do follows from its scopes.
    ApiKey(BTreeSet<Scope>),
}

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user's name or the key's id; safe to log.
    pub subject: String,
    /// What lets them in.
    pub grant: Grant,
    /// For which tenants.
    pub tenants: Tenants,
}

impl Caller {
    /// Whether this caller may use `operation` at all; for which things is decided by tenant.
    pub fn may(&self, operation: &Operation) -> bool {
        let admitted = match &self.grant {
            Grant::User(role) => *role >= operation.role,
            Grant::ApiKey(scopes) => scopes.contains(&Scope::All) || scopes.contains(&operation.scope),
        };
        admitted && (operation.reach == Reach::Tenant || self.tenants == Tenants::All)
    }

    /// `user:ada` or `api_key:key_1`: who did something, for records.
    pub fn actor(&self) -> String {
        match self.grant {
            Grant::User(_) => format!("user:{}", self.subject),
            Grant::ApiKey(_) => format!("api_key:{}", self.subject),
        }
    }
}
