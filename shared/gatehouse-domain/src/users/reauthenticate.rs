//! Proving again, within a session, who one is: what a stolen session cannot do.

use secrecy::SecretString;

use super::{
    FindUser, HashPassword, OwnPasswordError, SaveSession, Throttle,
    own_password::{self, own_session},
    store::Reauthenticated,
};
use crate::{
    audit::{Action, AppendAudit, AuditContext, AuditTarget, CountAudit, Outcome},
    clock::System,
    revocation::{self, Effective, FlushAuthorizer, FlushError, PendingFlush},
};

/// Records that whoever is logged in has just said their password. API Gateway's memory is flushed, since it holds when
/// they said it before. The permit is given back, so that only wrong passwords are counted.
pub async fn reauthenticate<S>(
    store: &S,
    passwords: &(impl HashPassword + ?Sized),
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    password: &SecretString,
) -> Result<(Effective, Option<FlushError>), OwnPasswordError>
where
    S: FindUser + SaveSession + Throttle + PendingFlush + AppendAudit + CountAudit,
{
    let session = own_session(audit.caller).ok_or(OwnPasswordError::NotAPerson)?;
    let (user, permit) =
        own_password::prove(store, passwords, system, audit, Action::Reauthenticate, password).await?;
    let audit_target = AuditTarget { target: audit.caller.actor(), ..AuditTarget::default() };
    let entry = audit.entry(system, Action::Reauthenticate, Outcome::Done, audit_target);
    let reauthenticated = Reauthenticated { user: &user, session: &session, at: entry.at };
    if !store.save_reauthentication(&reauthenticated, &permit, &entry).await? {
        return Err(OwnPasswordError::Changed);
    }
    Ok(revocation::flush(store, flush, system, entry.at).await)
}
