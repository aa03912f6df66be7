//! Authenticating sessions, and ending them.

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

/// The caller of a session whose signature was verified. `None` when the session was ended or has expired, or its user
/// is disabled.
///
/// # Errors
///
/// When the user could not be read.
pub async fn authenticate<S: FindAccount>(
    store: &S,
    claims: &SessionClaims,
    now: Timestamp,
) -> Result<Option<Caller>, StoreError> {
    in_session(store, &claims.user, &claims.id, now).await
}

/// The caller of a session of this user. `None` when it was ended or has expired, or the user is disabled.
///
/// # Errors
///
/// When the user could not be read.
pub async fn in_session<S: FindAccount>(
    store: &S,
    user: &UserName,
    session: &SessionId,
    now: Timestamp,
) -> Result<Option<Caller>, StoreError> {
    let Some(account) = store.find_account(user).await? else { return Ok(None) };
    let is_open = account.sessions.get(session).is_some_and(|session| session.expires_at > now);
    if !is_open || account.state != UserState::Active {
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
///
/// # Errors
///
/// When the caller is no person, or the store failed. A flush that failed is no error: it is returned beside the time by
/// which the session is denied everywhere.
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
