//! Users: people, their roles, their passwords and their sessions.
//!
//! Everything that decides whether a session counts is in one record: the roles, whether the user is
//! disabled, and the sessions that were not ended. So one read answers who is calling, and a change of any
//! of it holds from the next read on.

mod edit;
mod login;
mod session;

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

pub use self::{
    edit::{
        CreateUserError, EditUserError, Edited, UserDraft, UserEdit, UserEditOutcome, UserPatch, UserPorts,
        change_password, check_password, create, edit, reset_password,
    },
    login::{
        Attempt, HashPassword, HashPasswordError, LogIn, LoggedIn, LoginError, LoginPorts, Permit, Throttle,
        WINDOW, log_in,
    },
    session::{LogOutError, SessionEnd, authenticate, log_out},
};
use crate::{
    audit::Entry,
    caller::Roles,
    clock::{IdSource, random_id},
    jobs::{ListError, Revision},
    name::UserName,
    paging::{Page, PageRequest},
    store::StoreError,
};

/// The shortest password, in characters (ASVS 5.0, 6.2.1).
pub const MIN_PASSWORD: usize = 8;

/// The longest password, in bytes: hashing more is work for nothing.
pub const MAX_PASSWORD: usize = 1024;

/// The most sessions that a user may have at once; the one that began first makes room.
pub const MAX_SESSIONS: usize = 20;

/// Id of a session: the `jti` of its token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(String);

impl SessionId {
    /// An id that nobody can guess.
    pub fn generate(ids: &dyn IdSource) -> Self {
        Self(random_id(ids, "ses"))
    }

    /// Takes text for an id, when it can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix("ses_")?;
        let valid = body.len() == 26 && body.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'v'));
        valid.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

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

/// What a session says, besides who made it and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionClaims {
    /// The session.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserName,
    /// When it began: whole seconds.
    pub issued_at: Timestamp,
    /// When it ends: whole seconds.
    pub ends_at: Timestamp,
}

/// A session that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ends by itself.
    pub ends_at: Timestamp,
}

/// Whether a user may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// They may.
    Active,
    /// They may not, and their sessions do not count.
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

/// A user.
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
    /// Their sessions.
    pub sessions: BTreeMap<SessionId, Session>,
    /// Changes with every edit; logging in is none.
    pub revision: Revision,
    /// When they were created.
    pub created_at: Timestamp,
    /// When they were last edited.
    pub updated_at: Timestamp,
    /// By whom.
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
            sessions: BTreeMap::new(),
            revision: Revision::new(ids),
            created_at: now,
            updated_at: now,
            updated_by: by,
        }
    }

    /// Whether they count among the platform admins, of whom one must stay.
    pub fn is_acting_platform_admin(&self) -> bool {
        self.state == UserState::Active && self.roles.is_platform_admin()
    }
}

/// What of a user decides on their sessions: everything but the password.
#[derive(Debug, Clone)]
pub struct Account {
    /// What they may do.
    pub roles: Roles,
    /// Whether they may log in.
    pub state: UserState,
    /// Their sessions.
    pub sessions: BTreeMap<SessionId, Session>,
}

/// Reads what decides on sessions. Needs `dynamodb:GetItem`.
#[async_trait]
pub trait FindAccount: Send + Sync {
    /// Returns `None` when there is no such user. Strongly consistent; the password is not read.
    async fn find_account(&self, name: &UserName) -> Result<Option<Account>, StoreError>;
}

/// Reads users. Needs `dynamodb:GetItem` and `dynamodb:Query`.
#[async_trait]
pub trait FindUser: Send + Sync {
    /// Returns `None` when there is no such user. Strongly consistent.
    async fn find_user(&self, name: &UserName) -> Result<Option<User>, StoreError>;

    /// A page of users, by name.
    async fn list_users(&self, page: &PageRequest) -> Result<Page<User>, ListError>;
}

/// Writes users. Needs `dynamodb:PutItem` and `dynamodb:UpdateItem`.
#[async_trait]
pub trait SaveUser: Send + Sync {
    /// Writes a new user, with the entry of the trail. `Conflict` when the name is taken.
    async fn create_user(&self, user: &User, entry: &Entry) -> Result<UserEditOutcome, StoreError>;

    /// Makes an edit, with its entry of the trail, where the revision that the editor saw still stands.
    async fn edit_user(&self, edit: &UserEdit, entry: &Entry) -> Result<UserEditOutcome, StoreError>;
}

/// Makes the first platform admin of an installation. Needs `dynamodb:PutItem`.
#[async_trait]
pub trait CreateFirstAdmin: Send + Sync {
    /// Writes a new user, who is a platform admin, where there has never been one; with the entry of the
    /// trail. `Conflict` otherwise.
    async fn create_first_admin(&self, user: &User, entry: &Entry) -> Result<UserEditOutcome, StoreError>;
}

/// Writes sessions. Needs `dynamodb:UpdateItem`.
#[async_trait]
pub trait SaveSession: Send + Sync {
    /// Begins a session of a user who is active and has still the password that was compared, ends those
    /// that make room, and gives `permits` back; with the entry of the trail. `false` when the user was
    /// changed meanwhile.
    async fn begin_session(
        &self,
        begun: &login::Begun<'_>,
        permits: &[Permit],
        entry: &Entry,
    ) -> Result<bool, StoreError>;

    /// Ends a session, with the entry of the trail, and writes that a flush is owed since then. One that
    /// has ended already is fine.
    async fn end_session(
        &self,
        user: &UserName,
        session: &SessionId,
        entry: &Entry,
    ) -> Result<(), StoreError>;
}

pub use login::{Begun, SESSION};
