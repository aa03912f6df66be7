//! Sessions that go on, and ending them.

use jiff::Timestamp;

use super::{FindAccount, SaveSession, UserState};
use crate::{
    audit::{Action, AuditContext, AuditTarget, Outcome},
    caller::{Caller, Grant},
    claims::SessionClaims,
    clock::System,
    id::SessionId,
    name::UserName,
    revocation::{self, Effective, FlushAuthorizer, FlushError, PendingFlush},
    store::StoreError,
};

/// Finds out who presents a session whose signature was found to be ours: `None` when it does not count.
pub async fn authenticate<S: FindAccount>(
    store: &S,
    claims: &SessionClaims,
    now: Timestamp,
) -> Result<Option<Caller>, StoreError> {
    in_session(store, &claims.user, &claims.id, now).await
}

/// Who calls in a session of this user: `None` when it does not count, or not any more.
pub async fn in_session<S: FindAccount>(
    store: &S,
    user: &UserName,
    session: &SessionId,
    now: Timestamp,
) -> Result<Option<Caller>, StoreError> {
    let Some(account) = store.find_account(user).await? else { return Ok(None) };
    let goes_on = account.sessions.get(session).is_some_and(|session| session.expires_at > now);
    if !goes_on || account.state != UserState::Active {
        return Ok(None);
    }
    let grant = Grant::User { roles: account.roles, session: session.as_str().to_owned() };
    Ok(Some(Caller { subject: user.to_string(), grant }))
}

/// Why a session was not ended.
#[derive(Debug, thiserror::Error)]
pub enum LogOutError {
    /// Nobody is logged in.
    #[error("only people log out")]
    NotAPerson,
    #[error("could not end the session")]
    Store(#[from] StoreError),
}

/// Ends the caller's session.
pub async fn log_out<S: SaveSession + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
) -> Result<(Effective, Option<FlushError>), LogOutError> {
    let Grant::User { session, .. } = &audit.caller.grant else { return Err(LogOutError::NotAPerson) };
    let session = session.parse::<SessionId>().map_err(|_| LogOutError::NotAPerson)?;
    let user = audit.caller.subject.parse().map_err(|_| LogOutError::NotAPerson)?;
    let audit_target = AuditTarget { target: audit.caller.actor(), ..AuditTarget::default() };
    let entry = audit.entry(system, Action::Logout, Outcome::Done, audit_target);
    store.end_session(&user, &session, &entry).await?;
    Ok(revocation::flush(store, flush, system, entry.at).await)
}
