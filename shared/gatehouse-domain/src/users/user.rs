//! People, and what decides on their sessions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    caller::Roles,
    clock::IdSource,
    id::SessionId,
    name::UserName,
    revision::Revision,
    users::{second_factor::SecondFactor, session::Session},
};

/// The shortest password, in characters (ASVS 5.0, 6.2.1).
pub const MIN_PASSWORD: usize = 8;

/// The longest password, in bytes: hashing more is work for nothing.
pub const MAX_PASSWORD: usize = 1024;

/// A hash of a password in PHC string format, with its parameters and salt.
#[derive(Clone)]
pub struct PasswordHash(SecretString);

impl PasswordHash {
    /// Takes text of the store, or of who hashes, for a hash.
    pub fn unverified(text: String) -> Self {
        Self(text.into())
    }

    /// The hash as text, for the store and for who compares.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Whether a user may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    Active,
    /// They may not, and their sessions are not valid.
    Disabled,
}

impl UserState {
    /// `active` or `disabled`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

#[derive(Debug, Clone)]
pub struct User {
    /// Unique in the installation.
    pub name: UserName,
    /// A name for people.
    pub display_name: Option<String>,
    /// What they may do.
    pub roles: Roles,
    /// Whether they may log in.
    pub state: UserState,
    /// The hash of their password.
    pub password: PasswordHash,
    /// Whether somebody else chose the password, so that it is to be changed before anything else.
    pub must_change_password: bool,
    /// What their device and recovery codes are checked with; it counts once it is confirmed.
    pub second_factor: Option<SecondFactor>,
    /// When their second factor was confirmed.
    pub second_factor_since: Option<Timestamp>,
    pub sessions: BTreeMap<SessionId, Session>,
    /// From where they logged in, with when they last did: an address, or the /64 of an IPv6 one.
    pub known_networks: BTreeMap<String, Timestamp>,
    /// Changes with every edit. Beginning or ending a session is not one.
    pub revision: Revision,
    /// When they were created.
    pub created_at: Timestamp,
    /// When they were last edited.
    pub updated_at: Timestamp,
    pub updated_by: String,
}

impl User {
    /// A user who was just created, without a session.
    pub fn new(
        ids: &dyn IdSource,
        name: UserName,
        roles: Roles,
        password: PasswordHash,
        now: Timestamp,
        by: String,
    ) -> Self {
        Self {
            name,
            display_name: None,
            roles,
            state: UserState::Active,
            password,
            must_change_password: false,
            second_factor: None,
            second_factor_since: None,
            sessions: BTreeMap::new(),
            known_networks: BTreeMap::new(),
            revision: Revision::new(ids),
            created_at: now,
            updated_at: now,
            updated_by: by,
        }
    }

    /// Their second factor, where it counts.
    pub fn confirmed_factor(&self) -> Option<&SecondFactor> {
        self.second_factor.as_ref().filter(|_| self.second_factor_since.is_some())
    }

    /// Whether this is an active platform admin, of whom at least one must remain.
    pub fn is_acting_platform_admin(&self) -> bool {
        self.state == UserState::Active && self.roles.is_platform_admin()
    }
}

/// What of a user decides on their sessions: everything but the password.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// What they may do.
    pub roles: Roles,
    /// Whether they may log in.
    pub state: UserState,
    /// Whether somebody else chose the password, so that it is to be changed before anything else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub must_change_password: bool,
    /// When their second factor was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor_since: Option<Timestamp>,
    pub sessions: BTreeMap<SessionId, Session>,
}
