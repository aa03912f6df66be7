//! Asking whoever is logged in for their password again.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{
    Attempt, FindUser, HashPassword, HashPasswordError, MAX_PASSWORD, Permit, Throttle, User,
    second_factor::CodesError,
    throttle::{self, COUNTED_IN},
};
use crate::{
    audit::{Action, AppendAudit, AuditContext, AuditTarget, CountAudit, Outcome},
    caller::{Caller, Grant},
    clock::System,
    id::SessionId,
    name::UserName,
    store::StoreError,
};

/// Why nobody has proved that they are who is logged in.
#[derive(Debug, thiserror::Error)]
pub enum OwnPasswordError {
    /// The caller is no person.
    #[error("only people have passwords of their own")]
    NotAPerson,
    #[error("there is no such user")]
    NotFound,
    #[error("the current password is wrong")]
    WrongPassword,
    /// Too many passwords were tried for this account.
    #[error("too many attempts failed; try again later")]
    Throttled {
        /// When the next one may be made.
        retry_after: Duration,
    },
    /// The password is right, and the user has a second factor.
    #[error("you have a second factor: send its code as well")]
    CodeRequired,
    #[error("the code is wrong, or was used already")]
    WrongCode,
    /// The code could not be checked.
    #[error(transparent)]
    Codes(#[from] CodesError),
    /// The user was changed, or the session ended, meanwhile.
    #[error("the user was changed at the same moment; try again")]
    Changed,
    /// The password could not be compared.
    #[error(transparent)]
    Hash(#[from] HashPasswordError),
    #[error("could not look the user up")]
    Store(#[from] StoreError),
}

/// Who is logged in.
pub(super) fn oneself(caller: &Caller) -> Result<UserName, OwnPasswordError> {
    let Grant::User { .. } = &caller.grant else { return Err(OwnPasswordError::NotAPerson) };
    caller.subject.parse().map_err(|_| OwnPasswordError::NotAPerson)
}

/// The session that the caller is in.
pub(super) fn own_session(caller: &Caller) -> Option<SessionId> {
    match &caller.grant {
        Grant::User { session, .. } => session.parse().ok(),
        _ => None,
    }
}

/// The user, where `password` is theirs, and the permit that it took to ask. Whoever has stolen a session may not guess
/// faster than anybody else. A refusal is an entry of `action` in the trail.
pub(super) async fn prove<S>(
    store: &S,
    passwords: &(impl HashPassword + ?Sized),
    system: &dyn System,
    audit: &AuditContext<'_>,
    action: Action,
    password: &SecretString,
) -> Result<(User, Permit), OwnPasswordError>
where
    S: FindUser + Throttle + AppendAudit + CountAudit,
{
    let name = oneself(audit.caller)?;
    let now = system.now();
    let permit = throttle::own(&name, now);
    let refused = |detail: &str| {
        let target = format!("user:{name}");
        let audit_target = AuditTarget { target, tenant: None, detail: Some(detail.to_owned()) };
        audit.entry(system, action, Outcome::Refused, audit_target)
    };
    if store.take_permits(std::slice::from_ref(&permit)).await? != Attempt::Permitted {
        let entry = refused("too many attempts").counted(COUNTED_IN, name.as_str());
        store.count_audit(&entry).await?;
        return Err(OwnPasswordError::Throttled { retry_after: permit.wait(now) });
    }
    let user = store.find_user(&name).await?.ok_or(OwnPasswordError::NotFound)?;
    let possible = password.expose_secret().len() <= MAX_PASSWORD;
    if !possible || !passwords.matches(password, Some(&user.password)).await? {
        store.append_audit(&refused("wrong password")).await?;
        return Err(OwnPasswordError::WrongPassword);
    }
    Ok((user, permit))
}
