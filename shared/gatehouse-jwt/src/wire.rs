//! The claims of the tokens, and the headers that distinguish the two kinds.

use std::{fmt, marker::PhantomData, time::Duration};

use gatehouse_domain::{
    claims::MAX_LIFETIME,
    id::TokenId,
    name::{ProjectName, ServiceName, UserName},
    users::SESSION,
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

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

/// What is read from a JSON object. `serde` takes a list of the values for a struct as well, which neither
/// a header (RFC 7515, 4) nor claims (RFC 7519, 4) can be.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}
