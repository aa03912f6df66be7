//! What entities are called, and how one names another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    name::{InvalidName, UserName},
    text::checked_text,
};

/// The longest name, namespace and kind, in characters.
const MAX_NAME: usize = 63;

checked_text!(
    /// Name of an entity, unique in its kind and namespace, whatever its case: `payment-service`.
    EntityName,
    InvalidName,
    |raw| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = raw.as_bytes();
        let valid = bytes.len() <= MAX_NAME
            && bytes.iter().copied().all(inner)
            && outer(bytes.first())
            && outer(bytes.last());
        let allowed = "A-Z, a-z, 0-9, '-', '_' and '.', starting and ending with a letter or digit";
        if valid { Ok(()) } else { Err(InvalidName { what: "a name", max: MAX_NAME, allowed }) }
    }
);

checked_text!(
    /// Namespace of an entity: `default`.
    Namespace,
    InvalidName,
    |raw| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let outer = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b'-');
        let bytes = raw.as_bytes();
        let valid = bytes.len() <= MAX_NAME
            && bytes.iter().copied().all(inner)
            && outer(bytes.first())
            && outer(bytes.last());
        let allowed = "a-z, 0-9 and '-', starting and ending with a letter or digit";
        if valid { Ok(()) } else { Err(InvalidName { what: "a namespace", max: MAX_NAME, allowed }) }
    }
);

impl Default for Namespace {
    /// `default`, in which everything is that names no other.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl Namespace {
    pub fn is_default(&self) -> bool {
        self.0 == "default"
    }
}

/// The kinds of entities that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EntityKind {
    Component,
    System,
    #[serde(rename = "API")]
    Api,
    Resource,
    Group,
}

/// A kind that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of Component, System, API, Resource and Group")]
pub struct UnknownKind;

impl EntityKind {
    pub const ALL: [Self; 5] = [Self::Component, Self::System, Self::Api, Self::Resource, Self::Group];

    /// As files have it: `Component`.
    pub fn as_written(self) -> &'static str {
        match self {
            Self::Component => "Component",
            Self::System => "System",
            Self::Api => "API",
            Self::Resource => "Resource",
            Self::Group => "Group",
        }
    }

    /// As references have it: `component`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::System => "system",
            Self::Api => "api",
            Self::Resource => "resource",
            Self::Group => "group",
        }
    }
}

impl FromStr for EntityKind {
    type Err = UnknownKind;

    /// Whatever its case.
    fn from_str(raw: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(raw)).ok_or(UnknownKind)
    }
}

/// What people are called in references.
const USER: &str = "user";

/// The name of an entity with its kind and namespace, in lower case: `component:default/shop`. The kind may be one that
/// is not kept here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntityRef {
    kind: String,
    namespace: Namespace,
    /// In lower case.
    name: String,
}

/// A reference that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRef {
    #[error("must be `[<kind>:][<namespace>/]<name>`")]
    Form,
    /// It names no kind, and nothing says which one is meant.
    #[error("must say of which kind it is: `component:{0}`, `resource:{0}`")]
    KindUnclear(String),
    #[error(transparent)]
    Name(#[from] InvalidName),
}

impl EntityRef {
    pub fn new(kind: EntityKind, namespace: Namespace, name: &EntityName) -> Self {
        Self { kind: kind.as_str().to_owned(), namespace, name: name.as_str().to_ascii_lowercase() }
    }

    /// A user of Gatehouse: `user:default/ada`.
    pub fn person(name: &UserName) -> Self {
        Self { kind: USER.to_owned(), namespace: Namespace::default(), name: name.as_str().to_owned() }
    }

    /// Reads a reference that may leave out its namespace, and its kind where `kind` says which one is meant.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str, kind: Option<&str>, namespace: &Namespace) -> Result<Self, InvalidRef> {
        let (written_kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (Some(kind), rest),
            None => (None, text),
        };
        let (namespace, name) = match rest.split_once('/') {
            Some((namespace, name)) => (namespace.to_ascii_lowercase().parse()?, name),
            None => (namespace.clone(), rest),
        };
        let kind = written_kind.or(kind).ok_or_else(|| InvalidRef::KindUnclear(rest.to_owned()))?;
        let is_kind = (1..=MAX_NAME).contains(&kind.len())
            && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && kind.as_bytes()[0].is_ascii_alphabetic();
        if !is_kind {
            return Err(InvalidRef::Form);
        }
        let kind = kind.to_ascii_lowercase();
        let name = name.to_ascii_lowercase();
        // People log in by names that entities cannot have: `ada@example.com`.
        if kind == USER {
            name.parse::<UserName>()?;
        } else {
            name.parse::<EntityName>()?;
        }
        Ok(Self { kind, namespace, name })
    }

    /// `component`, …
    pub fn kind(&self) -> &str {
        &self.kind
    }

    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// In lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it names a person. People are users of Gatehouse, and no entities.
    pub fn is_person(&self) -> bool {
        self.kind == USER
    }

    /// Without the namespace that everything is in which names no other: `group:platform`.
    pub fn short(&self) -> String {
        if self.namespace.is_default() { format!("{}:{}", self.kind, self.name) } else { self.to_string() }
    }
}

impl fmt::Display for EntityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.kind, self.namespace, self.name)
    }
}

impl FromStr for EntityRef {
    type Err = InvalidRef;

    fn from_str(raw: &str) -> Result<Self, InvalidRef> {
        Self::parse(raw, None, &Namespace::default())
    }
}

impl TryFrom<String> for EntityRef {
    type Error = InvalidRef;

    fn try_from(raw: String) -> Result<Self, InvalidRef> {
        raw.parse()
    }
}

impl From<EntityRef> for String {
    fn from(reference: EntityRef) -> Self {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, kind: Option<&str>) -> Result<String, String> {
        let namespace = "payments".parse().unwrap();
        EntityRef::parse(text, kind, &namespace).map(|it| it.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_reference_is_read_as_backstage_reads_it() {
        for (text, kind, expected) in [
            ("platform", Some("group"), "group:payments/platform"),
            ("default/platform", Some("group"), "group:default/platform"),
            ("Component:Shop", Some("group"), "component:payments/shop"),
            ("API:Default/Orders.V1", None, "api:default/orders.v1"),
            ("user:ada@example.com", Some("group"), "user:payments/ada@example.com"),
            ("location:x", None, "location:payments/x"),
        ] {
            assert_eq!(parsed(text, kind).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_and_none_holds_a_separator_of_keys() {
        for bad in [
            "", ":", "a:", ":a", "a/", "/a", "a:b/c/d", "a b", "a#b", "a:b#c", "a:ä", "a:-b", "4:a", "a/B_/c",
        ] {
            assert!(parsed(bad, Some("component")).is_err(), "{bad:?} was accepted");
        }
        let long = "x".repeat(64);
        assert!(parsed(&long, Some("component")).is_err() && parsed(&format!("{long}:a"), None).is_err());
        assert!(parsed("shop", None).unwrap_err().contains("component:shop"));
    }

    #[test]
    fn the_short_form_leaves_out_the_default_namespace() {
        let short = |text: &str| text.parse::<EntityRef>().unwrap().short();
        assert_eq!(short("group:Platform"), "group:platform");
        assert_eq!(short("group:payments/platform"), "group:payments/platform");
    }
}
