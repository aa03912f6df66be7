//! What stands in the tokens, and what tells the two kinds apart.

use std::time::Duration;

use gatehouse_domain::{
    name::{ProjectName, ServiceName, UserName},
    tokens::{MAX_LIFETIME, TokenId},
    users::SESSION,
};
use serde::{Deserialize, Serialize};

/// The one algorithm, exactly as it is written (RFC 8037, 3.1).
pub(crate) const ALGORITHM: &str = "EdDSA";

/// What the claim `typ` of a service token says.
pub(crate) const SERVICE: &str = "service";

/// Who makes the tokens: the claim `iss` (RFC 7519, 4.1.1). Every installation has its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// The issuer with this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A kind of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Session,
    Service,
}

impl Kind {
    /// The kind with this header `typ`, which must be written exactly so (RFC 8725, 3.11).
    pub(crate) fn from_typ(typ: &str) -> Option<Self> {
        [Self::Session, Self::Service].into_iter().find(|kind| kind.typ() == typ)
    }

    pub(crate) fn typ(self) -> &'static str {
        match self {
            Self::Session => "session+jwt",
            Self::Service => "service+jwt",
        }
    }

    /// For whom it is: the claim `aud` (RFC 7519, 4.1.3).
    pub(crate) fn audience(self) -> &'static str {
        match self {
            Self::Session => "gatehouse-session",
            Self::Service => "gatehouse-service",
        }
    }

    pub(crate) fn longest_life(self) -> Duration {
        match self {
            Self::Session => SESSION,
            Self::Service => MAX_LIFETIME,
        }
    }
}

/// The claims of a session. Unknown and repeated members are refused (RFC 8259, 4).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionMembers {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) sub: UserName,
    pub(crate) jti: String,
    pub(crate) iat: u64,
    pub(crate) exp: u64,
}

/// The claims of a service token. Unknown and repeated members are refused (RFC 8259, 4).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceMembers {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) jti: TokenId,
    pub(crate) project: ProjectName,
    pub(crate) service: ServiceName,
    pub(crate) iat: u64,
    pub(crate) exp: u64,
    pub(crate) typ: String,
}
