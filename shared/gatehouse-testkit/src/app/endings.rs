//! Callers whose credentials are in the table, and every way in which such a caller is admitted no longer.

use std::{collections::BTreeMap, time::Duration};

use gatehouse_domain::{
    access::Scope,
    api_key::{ApiKey, FindApiKey, Revocation, SaveApiKey},
    caller::{Caller, Grant, Roles},
    clock::{Clock, IdSource},
    id::SessionId,
    name::UserName,
    revision::Revision,
    users::{FindUser, PasswordHash, SaveSession, SaveUser, Session, User, UserEdit, UserState},
};

use super::{callers, client::TestApp};

/// How a caller comes to be admitted no longer, to things of tenant `acme`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    LoggedOut,
    SessionOver,
    Disabled,
    PasswordReset,
    /// Of all roles, the one in another tenant is left.
    RoleTaken,
    KeyRevoked,
    KeyExpired,
}

/// When a credential ends by itself that does.
const LIFE: Duration = Duration::from_secs(42);

/// A life that is longer than any test.
const LONG: Duration = Duration::from_hours(12);

impl Ending {
    pub const ALL: [Self; 7] = [
        Self::LoggedOut,
        Self::SessionOver,
        Self::Disabled,
        Self::PasswordReset,
        Self::RoleTaken,
        Self::KeyRevoked,
        Self::KeyExpired,
    ];

    /// Somebody who may read in tenant `acme`, and to whom this can happen.
    pub async fn caller(self, app: &TestApp) -> Caller {
        match self {
            Self::SessionOver => app.person_on_record("vera", LIFE).await,
            Self::KeyExpired => app.key_on_record(LIFE).await,
            Self::KeyRevoked => app.key_on_record(LONG).await,
            Self::LoggedOut | Self::Disabled | Self::PasswordReset | Self::RoleTaken => {
                app.person_on_record("vera", LONG).await
            }
        }
    }

    /// Lets it happen, as far as time alone does not.
    pub async fn happen(self, app: &TestApp, caller: &Caller) {
        match self {
            Self::SessionOver | Self::KeyExpired => {}
            Self::LoggedOut => {
                let Grant::User { session, .. } = &caller.grant else { panic!("{caller:?} is no person") };
                let (user, session) = (caller.subject.parse(), session.parse());
                let (user, session) = (user.expect("a name"), session.expect("an id"));
                let entry = app.table.entry("user:vera", "user:vera", None);
                app.table.table.end_sessions(&user, &[session], &entry).await.expect("the session ends");
            }
            Self::Disabled => app.edit_on_record(caller, |user| user.state = UserState::Disabled).await,
            Self::PasswordReset => {
                let another = || PasswordHash::unverified("another".into());
                app.edit_on_record(caller, |user| user.password = another()).await;
            }
            Self::RoleTaken => {
                let rest: Roles = "beta=admin".parse().expect("roles");
                app.edit_on_record(caller, |user| user.roles = rest).await;
            }
            Self::KeyRevoked => app.revoke_on_record(caller).await,
        }
    }

    /// When it is so: the moment in which it happens, or the end of a life that began at `begun`.
    pub fn at(self, begun: jiff::Timestamp, happened: jiff::Timestamp) -> jiff::Timestamp {
        match self {
            Self::SessionOver | Self::KeyExpired => begun + LIFE,
            _ => happened,
        }
    }

    /// What a stream of events gives as the reason of its end.
    pub fn reason(self) -> &'static str {
        if self == Self::RoleTaken { "role_lost" } else { "credential_ended" }
    }
}

impl TestApp {
    /// Creates a user who reads in tenant `acme` and administers `beta`, in a session that lasts this long.
    pub async fn person_on_record(&self, name: &str, life: Duration) -> Caller {
        let roles = "acme=viewer,beta=admin";
        let name: UserName = name.parse().expect("a user's name");
        let (system, now) = (&*self.system, self.system.now());
        let password = PasswordHash::unverified("hash".into());
        let user = User::new(system, name, roles.parse().expect("roles"), password, now, "user:root".into());
        let id = SessionId::generate(system);
        let session = Session::new(now, now + life);
        let user = User { sessions: BTreeMap::from([(id.clone(), session)]), ..user };
        let entry = self.table.entry("user:root", "user:vera", None);
        self.table.table.create_user(&user, &entry).await.expect("the user is created");
        callers::person(user.name.as_str(), roles, id.as_str())
    }

    /// Mints a key that reads everything in tenant `acme`, and lasts this long.
    pub async fn key_on_record(&self, life: Duration) -> Caller {
        let scopes = [Scope::RunsRead, Scope::CatalogRead];
        let tenants = "acme".parse().expect("a tenant");
        let ids: &dyn IdSource = &*self.system;
        let now = self.system.now();
        let (key, _) = ApiKey::generate(ids, "test".into(), scopes.into(), tenants, now);
        let key = ApiKey { expires_at: Some(now + life), ..key };
        self.table.table.save_api_key(&key, None).await.expect("the key is saved");
        Caller { subject: key.id.as_str().to_owned(), ..callers::api_key(&scopes, key.tenants) }
    }

    /// Edits the user whom `caller` is, and ends their sessions where they have another password.
    pub async fn edit_on_record(&self, caller: &Caller, change: impl FnOnce(&mut User)) {
        let name = caller.subject.parse().expect("a user's name");
        let previous = self.table.table.find_user(&name).await.expect("an answer").expect("a user");
        let mut user = User { revision: Revision::new(&*self.system), ..previous.clone() };
        change(&mut user);
        let is_new = user.password.expose() != previous.password.expose();
        let edit = UserEdit { previous, user, keep_sessions: is_new.then(Vec::new) };
        let entry = self.table.entry("user:root", &caller.actor(), None);
        self.table.table.edit_user(&edit, &entry).await.expect("the user is edited");
    }

    async fn revoke_on_record(&self, caller: &Caller) {
        let table = &*self.table.table;
        let id = caller.subject.parse().expect("a key's id");
        let key = table.find_api_key(&id).await.expect("an answer").expect("a key");
        let revocation = Revocation { at: self.system.now(), by: "user:root".into(), reason: None };
        let key = ApiKey { revoked: Some(revocation), ..key };
        let entry = self.table.entry("user:root", &caller.actor(), None);
        table.save_key_revocation(&key, &entry).await.expect("the key is revoked");
    }
}
