//! Logging in.
//!
//! An attempt takes its permits (`throttle`) before the password is looked at, and gives them back when it was right.
//! So no number of simultaneous guesses gets past the limit, and somebody who knows their password is not counted.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    audit::{Action, AppendAudit, AuditTarget, CountAudit, Entry, Origin, Outcome},
    caller::RequiredAction,
    claims::SessionClaims,
    clock::System,
    id::SessionId,
    name::UserName,
    sign::{SignError, SignToken},
    store::StoreError,
    tenant::ListTenants,
    users::{
        FindUser, MAX_PASSWORD, PasswordHash, Permit, SaveSession, Session, Throttle, User, UserState,
        required_action::required_action,
        second_factor::{CodesError, OneTimeCodes, SpentCode},
        store::Begun,
        throttle::{self, Attempted, COUNTED_IN, MAX_KNOWN_NETWORKS},
    },
};

#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct HashPasswordError;

/// Hashes and compares passwords, slowly.
#[async_trait]
pub trait HashPassword: Send + Sync {
    /// Hashes with a new salt.
    async fn hash_password(&self, password: &SecretString) -> Result<PasswordHash, HashPasswordError>;

    /// Whether `password` is the one that was hashed. Without a hash it does the same work, and answers
    /// `false`.
    async fn matches(
        &self,
        password: &SecretString,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, HashPasswordError>;
}

/// What somebody logs in with.
#[derive(Debug)]
pub struct LogIn<'a> {
    /// The name, as it was written.
    pub user: &'a str,
    pub password: &'a SecretString,
    /// The code of their device, or a recovery code.
    pub code: Option<&'a SecretString>,
}

/// Somebody is logged in.
#[derive(Debug)]
pub struct LoggedIn {
    pub token: SecretString,
    pub claims: SessionClaims,
    pub user: User,
    /// What they have to do before anything else is open to them.
    pub required_action: Option<RequiredAction>,
}

/// Why nobody is logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Unknown user, wrong password, or disabled: which, is not said.
    #[error("the user name or the password is wrong")]
    Refused,
    /// The password is right, and the user has a second factor.
    #[error("this user has a second factor: send its code as well")]
    CodeRequired,
    /// The code is wrong, or was used already.
    #[error("the code is wrong, or was used already")]
    WrongCode,
    /// Too many attempts failed.
    #[error("too many attempts failed; try again later")]
    Throttled {
        /// When the next one may be made.
        retry_after: Duration,
    },
    /// The user was changed while they logged in.
    #[error("the user was changed at the same moment; try again")]
    Changed,
    /// The password could not be compared.
    #[error(transparent)]
    Hash(#[from] HashPasswordError),
    /// The code could not be checked.
    #[error(transparent)]
    Codes(#[from] CodesError),
    /// The token could not be signed.
    #[error("could not sign the token")]
    Sign(#[from] SignError),
    #[error("could not record the login")]
    Store(#[from] StoreError),
}

/// Logs somebody in. An unknown user takes the same time and gets the same answer as a wrong password.
pub async fn log_in<S>(
    store: &S,
    passwords: &dyn HashPassword,
    codes: &dyn OneTimeCodes,
    sign: &dyn SignToken,
    system: &dyn System,
    origin: &Origin,
    wanted: &LogIn<'_>,
) -> Result<LoggedIn, LoginError>
where
    S: FindUser + SaveSession + ListTenants + Throttle + AppendAudit + CountAudit,
{
    let now = system.now();
    let name = wanted.user.parse::<UserName>().ok();
    let user = match &name {
        Some(name) => store.find_user(name).await?,
        None => None,
    };
    let network = throttle::network(origin);
    let is_known =
        user.as_ref().zip(network.as_ref()).is_some_and(|(user, it)| user.known_networks.contains_key(it));
    let attempted = Attempted { name: name.as_ref(), network: network.as_deref(), is_known };
    let permits = match throttle::take(store, &attempted, now).await? {
        Ok(permits) => permits,
        Err(missing) => {
            store.count_audit(&throttled(system, origin, name.as_ref(), &missing)).await?;
            return Err(LoginError::Throttled { retry_after: missing.wait(now) });
        }
    };
    let Some(user) = compare(passwords, user, wanted.password).await? else {
        let entry = entry(system, origin, wanted, name.as_ref(), "refused");
        store.append_audit(&entry).await?;
        return Err(LoginError::Refused);
    };
    let spent = match second_factor(codes, system, &user, wanted.code).await {
        Ok(spent) => spent,
        Err(LoginError::CodeRequired) => {
            // Whoever is asked for a code has guessed nothing.
            store.give_permits_back(&permits).await?;
            return Err(LoginError::CodeRequired);
        }
        Err(LoginError::WrongCode) => {
            let entry = entry(system, origin, wanted, name.as_ref(), "wrong code");
            store.append_audit(&entry).await?;
            return Err(LoginError::WrongCode);
        }
        Err(error) => return Err(error),
    };
    let proven = Proven { user, network, spent };
    begin(store, sign, system, origin, proven, &permits).await
}

/// Somebody whose password was right, and whose code, where they have a second factor.
struct Proven {
    user: User,
    network: Option<String>,
    spent: Option<SpentCode>,
}

/// The code that is spent by this login; none where the user has no second factor.
async fn second_factor(
    codes: &dyn OneTimeCodes,
    system: &dyn System,
    user: &User,
    code: Option<&SecretString>,
) -> Result<Option<SpentCode>, LoginError> {
    let Some(factor) = user.confirmed_factor() else { return Ok(None) };
    let code = code.ok_or(LoginError::CodeRequired)?;
    let spent = factor.check(codes, &user.name, code, system.now()).await?;
    spent.map(Some).ok_or(LoginError::WrongCode)
}

/// The user, when the password is theirs and they may log in. The same work is done for everybody.
async fn compare(
    passwords: &dyn HashPassword,
    user: Option<User>,
    password: &SecretString,
) -> Result<Option<User>, HashPasswordError> {
    let possible = password.expose_secret().len() <= MAX_PASSWORD;
    let cut = SecretString::from(if possible { password.expose_secret() } else { "" });
    let hash = user.as_ref().map(|user| &user.password);
    let matches = passwords.matches(&cut, hash).await? && possible;
    Ok(user.filter(|user| matches && user.state == UserState::Active))
}

async fn begin<S: SaveSession + ListTenants>(
    store: &S,
    sign: &dyn SignToken,
    system: &dyn System,
    origin: &Origin,
    proven: Proven,
    permits: &[Permit],
) -> Result<LoggedIn, LoginError> {
    let Proven { user, network, spent } = proven;
    let now = system.now();
    let session = Session::begin(now, origin);
    let id = SessionId::generate(system);
    let claims = SessionClaims {
        id: id.clone(),
        user: user.name.clone(),
        issued_at: session.started_at,
        expires_at: session.expires_at,
    };
    let token = sign.sign_session(&claims).await?;
    let actor = format!("user:{}", user.name);
    let detail = spent.as_ref().map(|spent| spent.detail().to_owned());
    let audit_target = AuditTarget { target: actor.clone(), tenant: None, detail };
    let entry = Entry::new(system, actor, origin, Action::Login, Outcome::Done, audit_target);
    let begun = Begun {
        user: &user,
        id: &id,
        session: &session,
        forgotten: forgotten(&user, now),
        known_networks: known_networks(&user, network, now),
        spent: spent.as_ref(),
    };
    if store.begin_session(&begun, permits, &entry).await? {
        let has_second_factor = user.confirmed_factor().is_some();
        let required_action =
            required_action(store, &user.roles, user.must_change_password, has_second_factor).await?;
        Ok(LoggedIn { token, claims, user, required_action })
    } else {
        Err(LoginError::Changed)
    }
}

/// The sessions that are over, and the oldest ones where there would be too many.
fn forgotten(user: &User, now: Timestamp) -> Vec<SessionId> {
    let (over, on): (Vec<_>, Vec<_>) = user.sessions.iter().partition(|(_, session)| !session.is_open(now));
    let mut on: Vec<_> = on.into_iter().collect();
    on.sort_by_key(|(_, session)| session.started_at);
    let too_many = (on.len() + 1).saturating_sub(super::MAX_SESSIONS);
    over.into_iter().chain(on.into_iter().take(too_many)).map(|(id, _)| id.clone()).collect()
}

/// From where the user has logged in with this login: the last few networks.
fn known_networks(user: &User, network: Option<String>, now: Timestamp) -> BTreeMap<String, Timestamp> {
    let mut known = user.known_networks.clone();
    known.extend(network.map(|network| (network, now)));
    while known.len() > MAX_KNOWN_NETWORKS {
        let oldest = known.iter().min_by_key(|(_, at)| **at).map(|(network, _)| network.clone());
        known.remove(&oldest.unwrap_or_default());
    }
    known
}

/// The entry in which attempts are counted that want this permit: of an account, or of an address that tries many.
fn throttled(system: &dyn System, origin: &Origin, name: Option<&UserName>, missing: &Permit) -> Entry {
    let (actor, target) = match name.filter(|_| !missing.is_of_address()) {
        Some(name) => (format!("user:{name}"), format!("user:{name}")),
        None => ("user:?".to_owned(), missing.of.clone()),
    };
    let audit_target =
        AuditTarget { target: target.clone(), tenant: None, detail: Some("too many attempts".into()) };
    let entry = Entry::new(system, actor, origin, Action::Login, Outcome::Refused, audit_target);
    entry.counted(COUNTED_IN, &target)
}

/// The entry for an attempt that came to nothing.
fn entry(
    system: &dyn System,
    origin: &Origin,
    wanted: &LogIn<'_>,
    name: Option<&UserName>,
    detail: &str,
) -> Entry {
    // What somebody wrote for a name may be their password, so it is kept only where it can be a name.
    let who = name.map_or("user:?".to_owned(), |name| format!("user:{name}"));
    let detail = match name {
        Some(_) => detail.to_owned(),
        None => format!("{detail}; {} bytes that are no user name", wanted.user.len()),
    };
    let audit_target = AuditTarget { target: who.clone(), tenant: None, detail: Some(detail) };
    Entry::new(system, who, origin, Action::Login, Outcome::Refused, audit_target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revision::Revision;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn session(id: &str) -> SessionId {
        format!("ses_{id:0>26}").parse::<SessionId>().unwrap()
    }

    fn user(sessions: impl IntoIterator<Item = (SessionId, Session)>) -> User {
        User {
            name: "ada".parse().unwrap(),
            display_name: None,
            roles: crate::caller::Roles::default(),
            state: UserState::Active,
            password: PasswordHash::unverified(String::new()),
            must_change_password: false,
            second_factor: None,
            second_factor_since: None,
            sessions: sessions.into_iter().collect(),
            known_networks: BTreeMap::new(),
            revision: Revision::unverified("r".into()),
            created_at: at(0),
            updated_at: at(0),
            updated_by: String::new(),
        }
    }

    #[test]
    fn sessions_that_are_over_are_forgotten_and_so_are_the_oldest_of_too_many() {
        let over = (session("0"), Session::new(at(0), at(10)));
        let on = (1..=20).map(|n| (session(&n.to_string()), Session::new(at(100 - n), at(1000))));
        let user = user(std::iter::once(over).chain(on));
        assert_eq!(forgotten(&user, at(10)), [session("0"), session("20")]);
    }

    #[test]
    fn the_networks_of_the_last_logins_are_known() {
        let mut ada = user([]);
        for (second, network) in ["a", "b", "c", "a", "d", "e", "f"].into_iter().enumerate() {
            ada.known_networks =
                known_networks(&ada, Some(network.into()), at(i64::try_from(second).unwrap()));
        }
        assert_eq!(ada.known_networks.keys().collect::<Vec<_>>(), ["a", "c", "d", "e", "f"]);
        assert_eq!(known_networks(&ada, None, at(9)), ada.known_networks);
    }
}
