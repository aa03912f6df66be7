//! Which sessions somebody has, and ending them.

use jiff::Timestamp;

use super::{Account, FindAccount, SaveSession, Session};
use crate::{
    audit::{Action, AuditContext, AuditTarget, Outcome},
    caller::{Caller, Grant},
    clock::System,
    grants::{self, BeyondOwnRights},
    id::SessionId,
    name::UserName,
    revocation::{self, Effective, FlushAuthorizer, FlushError, PendingFlush},
    store::StoreError,
};

/// Why sessions were not shown, or not ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    /// Nobody is logged in.
    #[error("only people have sessions")]
    NotAPerson,
    #[error("there is no such session of yours")]
    NotFound,
    #[error("there is no such user")]
    NoSuchUser,
    /// The user is worth more than whoever ends their sessions.
    #[error(transparent)]
    Beyond(#[from] BeyondOwnRights),
    #[error("could not read or end the sessions")]
    Store(#[from] StoreError),
}

/// Sessions were ended.
#[derive(Debug)]
pub struct EndedSessions {
    /// How many.
    pub count: usize,
    /// When that holds everywhere.
    pub effective: Effective,
    /// Why API Gateway's memory could not be flushed, for the log.
    pub flush_error: Option<FlushError>,
}

/// A session of whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSession {
    pub id: SessionId,
    pub session: Session,
    /// Whether it is the one that they ask in.
    pub is_current: bool,
}

/// The caller's sessions that count, the newest first.
pub async fn list_sessions<S: FindAccount>(
    store: &S,
    caller: &Caller,
    now: Timestamp,
) -> Result<Vec<OwnSession>, SessionsError> {
    let (user, current) = oneself(caller)?;
    let account = store.find_account(&user).await?;
    let open = account.into_iter().flat_map(|account| account.sessions);
    let open = open.filter(|(_, session)| session.is_open(now));
    let mut own: Vec<_> =
        open.map(|(id, session)| OwnSession { is_current: id.as_str() == current, id, session }).collect();
    own.sort_by_key(|own| std::cmp::Reverse(own.session.started_at));
    Ok(own)
}

/// Ends the session that the caller is in. Ending it again succeeds.
pub async fn log_out<S: SaveSession + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
) -> Result<EndedSessions, SessionsError> {
    let (user, current) = oneself(audit.caller)?;
    let current = current.parse::<SessionId>().map_err(|_| SessionsError::NotAPerson)?;
    let ending = Ending { user: &user, sessions: vec![current], action: Action::Logout, detail: None };
    end(store, flush, system, audit, ending).await
}

/// Ends one of the caller's sessions, possibly the one that they are in.
pub async fn end_session<S: FindAccount + SaveSession + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    session: &SessionId,
) -> Result<EndedSessions, SessionsError> {
    let (user, _) = oneself(audit.caller)?;
    let account = store.find_account(&user).await?;
    let found = account.as_ref().and_then(|account| account.sessions.get(session));
    let found = found.filter(|found| found.is_open(system.now())).ok_or(SessionsError::NotFound)?;
    let detail = Some(format!("the one that began at {}", found.started_at));
    let ending = Ending { user: &user, sessions: vec![session.clone()], action: Action::EndSessions, detail };
    end(store, flush, system, audit, ending).await
}

/// Ends the caller's sessions but the one that they are in.
pub async fn end_other_sessions<S: FindAccount + SaveSession + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
) -> Result<EndedSessions, SessionsError> {
    let (user, current) = oneself(audit.caller)?;
    let account = store.find_account(&user).await?;
    let others = account.iter().flat_map(|account| account.sessions.keys());
    let others: Vec<_> = others.filter(|id| id.as_str() != current).cloned().collect();
    end_all(store, flush, system, audit, &user, others).await
}

/// Ends all sessions of a user, who holds no more than the caller does.
pub async fn end_sessions_of<S: FindAccount + SaveSession + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    user: &UserName,
) -> Result<EndedSessions, SessionsError> {
    let Account { roles, sessions, .. } = store.find_account(user).await?.ok_or(SessionsError::NoSuchUser)?;
    grants::check_target(audit.caller, &roles)?;
    end_all(store, flush, system, audit, user, sessions.into_keys().collect()).await
}

async fn end_all<S: SaveSession + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    user: &UserName,
    sessions: Vec<SessionId>,
) -> Result<EndedSessions, SessionsError> {
    let detail = Some(format!("{} of them", sessions.len()));
    end(store, flush, system, audit, Ending { user, sessions, action: Action::EndSessions, detail }).await
}

/// What is to be ended, and what the trail says of it.
struct Ending<'a> {
    user: &'a UserName,
    sessions: Vec<SessionId>,
    action: Action,
    detail: Option<String>,
}

async fn end<S: SaveSession + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    ending: Ending<'_>,
) -> Result<EndedSessions, SessionsError> {
    let Ending { user, sessions, action, detail } = ending;
    let audit_target = AuditTarget { target: format!("user:{user}"), tenant: None, detail };
    let entry = audit.entry(system, action, Outcome::Done, audit_target);
    store.end_sessions(user, &sessions, &entry).await?;
    let (effective, flush_error) = revocation::flush(store, flush, system, entry.at).await;
    Ok(EndedSessions { count: sessions.len(), effective, flush_error })
}

/// Who the caller is, and the id of the session that they are in.
fn oneself(caller: &Caller) -> Result<(UserName, &str), SessionsError> {
    let Grant::User { session, .. } = &caller.grant else { return Err(SessionsError::NotAPerson) };
    let user = caller.subject.parse().map_err(|_| SessionsError::NotAPerson)?;
    Ok((user, session))
}
