//! Who is calling in a session.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Account, FindAccount, UserState, required_action::required_action};
use crate::{
    caller::{Caller, Grant},
    claims::SessionClaims,
    id::SessionId,
    name::UserName,
    store::StoreError,
    tenant::ListTenants,
};

/// That a session is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionUse {
    pub user: UserName,
    pub session: SessionId,
    pub at: Timestamp,
}

/// Writes down that sessions are used. Needs `dynamodb:UpdateItem`.
#[async_trait]
pub trait RecordSessionUse: Send + Sync {
    /// Writes it down, unless a later use is known or the session was ended.
    async fn record_session_use(&self, used: &SessionUse) -> Result<(), StoreError>;
}

/// The caller of a session whose signature was verified, and its use, where that is to be written down: at most once
/// in [`SEEN_INTERVAL`](super::SEEN_INTERVAL). `None` when the session was ended, has expired or was not used for too
/// long, or its user is disabled.
///
/// # Errors
///
/// When the user could not be read.
pub async fn authenticate<S: FindAccount + ListTenants>(
    store: &S,
    claims: &SessionClaims,
    now: Timestamp,
) -> Result<Option<(Caller, Option<SessionUse>)>, StoreError> {
    admit(store, &claims.user, &claims.id, now).await
}

/// The caller of a session of this user, as [`authenticate`] has it. Asking is no use of the session.
///
/// # Errors
///
/// When the user could not be read.
pub async fn in_session<S: FindAccount + ListTenants>(
    store: &S,
    user: &UserName,
    session: &SessionId,
    now: Timestamp,
) -> Result<Option<Caller>, StoreError> {
    Ok(admit(store, user, session, now).await?.map(|(caller, _)| caller))
}

async fn admit<S: FindAccount + ListTenants>(
    store: &S,
    user: &UserName,
    id: &SessionId,
    now: Timestamp,
) -> Result<Option<(Caller, Option<SessionUse>)>, StoreError> {
    let Some(account) = store.find_account(user).await? else { return Ok(None) };
    let session = account.sessions.get(id).filter(|session| session.is_open(now));
    let Some(session) = session.filter(|_| account.state == UserState::Active) else { return Ok(None) };
    let news = SessionUse { user: user.clone(), session: id.clone(), at: now };
    let news = session.is_use_news(now).then_some(news);
    let authenticated_at = session.authenticated_at();
    let Account { roles, must_change_password, second_factor_since, .. } = account;
    let required_action =
        required_action(store, &roles, must_change_password, second_factor_since.is_some()).await?;
    let grant = Grant::User { roles, session: id.as_str().to_owned(), authenticated_at, required_action };
    Ok(Some((Caller { subject: user.to_string(), grant }, news)))
}
