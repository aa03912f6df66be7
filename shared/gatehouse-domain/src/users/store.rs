//! Where users and sessions are kept.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    audit::Entry,
    id::SessionId,
    name::UserName,
    paging::{ListError, Page, PageRequest},
    store::StoreError,
    users::{
        second_factor::{RecoveryCodeHash, SpentCode},
        session::Session,
        throttle::Permit,
        user::{Account, User},
    },
};

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
    /// that make room, spends the code, and gives `permits` back; with the entry of the trail. `false` when the user was
    /// changed, or the code was spent, meanwhile.
    async fn begin_session(
        &self,
        begun: &Begun<'_>,
        permits: &[Permit],
        entry: &Entry,
    ) -> Result<bool, StoreError>;

    /// Ends sessions, with the entry of the trail, and marks a flush as pending since then. Ending one that has ended
    /// succeeds.
    async fn end_sessions(
        &self,
        user: &UserName,
        sessions: &[SessionId],
        entry: &Entry,
    ) -> Result<(), StoreError>;

    /// Records that the password was said again in a session of a user who is active and has still the password that
    /// was compared, gives the permit back, and marks a flush as pending; with the entry of the trail. `false` when the
    /// user was changed or the session ended meanwhile.
    async fn save_reauthentication(
        &self,
        reauthenticated: &Reauthenticated<'_>,
        permit: &Permit,
        entry: &Entry,
    ) -> Result<bool, StoreError>;
}

/// An edit, as the store makes it.
#[derive(Debug)]
pub struct UserEdit {
    /// As the editor saw the user.
    pub previous: User,
    /// As the user is to stand, but for the sessions.
    pub user: User,
    /// The sessions that stay; all of them without it.
    pub keep_sessions: Option<Vec<SessionId>>,
}

impl UserEdit {
    /// The recovery codes that take the place of others, where nothing else changes of the second factor. Which code of
    /// the device was used last is then left as it stands, since a later one may be spent meanwhile.
    pub fn renewed_recovery_codes(&self) -> Option<&BTreeMap<RecoveryCodeHash, Timestamp>> {
        let (before, factor) = (self.previous.second_factor.as_ref()?, self.user.second_factor.as_ref()?);
        let same_device = before.secret == factor.secret
            && before.last_step == factor.last_step
            && self.previous.second_factor_since == self.user.second_factor_since;
        let renewed = same_device && before.recovery_codes != factor.recovery_codes;
        renewed.then_some(&factor.recovery_codes)
    }
}

/// Whether an edit was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserEditOutcome {
    Done,
    /// Somebody else's edit came first, or the name is taken.
    Conflict,
    /// It would have removed the last platform admin.
    LastPlatformAdmin,
}

/// A session whose owner has said their password again.
#[derive(Debug)]
pub struct Reauthenticated<'a> {
    /// Whose it is, as they were when the password was compared.
    pub user: &'a User,
    pub session: &'a SessionId,
    pub at: Timestamp,
    /// The code that it takes, which is good no more.
    pub spent: Option<&'a SpentCode>,
}

/// A session that is to begin.
#[derive(Debug)]
pub struct Begun<'a> {
    /// Whose it is, as they were when the password was compared.
    pub user: &'a User,
    pub id: &'a SessionId,
    pub session: &'a Session,
    /// Those that it takes the place of: ended ones, and the oldest where there are too many.
    pub forgotten: Vec<SessionId>,
    /// From where the user has logged in by then.
    pub known_networks: BTreeMap<String, Timestamp>,
    /// The code that it takes, which is good no more.
    pub spent: Option<&'a SpentCode>,
}
