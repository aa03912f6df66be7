//! Enrolling a second factor, its recovery codes, and removing it.

use secrecy::SecretString;

use super::{
    Attempt, EditUserError, Edited, FindUser, OwnPasswordError, SaveUser, Throttle, User,
    edit::{save, user_target},
    own_password::{oneself, own_session},
    second_factor::{self, CodesError, OneTimeCodes, SecondFactor},
    store::UserEdit,
    throttle::{self, COUNTED_IN},
};
use crate::{
    audit::{Action, AppendAudit, AuditContext, CountAudit, Outcome},
    clock::System,
    grants,
    name::UserName,
    revocation::{FlushAuthorizer, PendingFlush},
    store::StoreError,
};

/// Why a second factor was not enrolled, or not removed.
#[derive(Debug, thiserror::Error)]
pub enum SecondFactorError {
    /// It is confirmed already.
    #[error("there is a second factor already; remove it first")]
    Enrolled,
    #[error("there is no second factor")]
    NotEnrolled,
    #[error("the code is wrong, or was used already")]
    WrongCode,
    /// The caller is no person, or has tried too often.
    #[error(transparent)]
    Own(#[from] OwnPasswordError),
    #[error(transparent)]
    Edit(#[from] EditUserError),
    #[error(transparent)]
    Codes(#[from] CodesError),
    #[error("could not look the user up")]
    Store(#[from] StoreError),
}

/// What somebody's device is told, once.
#[derive(Debug)]
pub struct Enrolment {
    /// In base32, to be typed.
    pub secret: SecretString,
    /// `otpauth://totp/…`, to be shown as an image.
    pub uri: SecretString,
}

/// New recovery codes, in the place of any there were.
#[derive(Debug)]
pub struct RecoveryCodes {
    /// For when the device is lost; shown once.
    pub codes: Vec<SecretString>,
    pub edited: Edited,
}

/// Makes a secret for the caller's device. It counts once a code of it is confirmed; until then another one can be made.
pub async fn enrol_second_factor<S: FindUser + SaveUser + PendingFlush>(
    store: &S,
    codes: &dyn OneTimeCodes,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
) -> Result<Enrolment, SecondFactorError> {
    let previous = find_oneself(store, audit).await?;
    if previous.second_factor_since.is_some() {
        return Err(SecondFactorError::Enrolled);
    }
    let (sealed, secret) = codes.new_secret(&previous.name).await?;
    let uri = second_factor::uri(&previous.name, &secret);
    let user = User { second_factor: Some(SecondFactor::new(sealed)), ..previous.clone() };
    let edit = UserEdit { previous, user, keep_sessions: None };
    save(store, flush, system, audit, edit, Action::EnrolSecondFactor, None).await?;
    Ok(Enrolment { secret, uri })
}

/// Confirms that the caller's device makes the right codes. Their other sessions, which began without one, end.
pub async fn confirm_second_factor<S>(
    store: &S,
    codes: &dyn OneTimeCodes,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    code: &SecretString,
) -> Result<RecoveryCodes, SecondFactorError>
where
    S: FindUser + SaveUser + Throttle + PendingFlush + AppendAudit + CountAudit,
{
    let name = oneself(audit.caller)?;
    let (action, now) = (Action::ConfirmSecondFactor, system.now());
    let refused = |detail: &str| {
        audit.entry(system, action, Outcome::Refused, user_target(&name, Some(detail.to_owned())))
    };
    let permit = throttle::own(&name, now);
    if store.take_permits(std::slice::from_ref(&permit)).await? != Attempt::Permitted {
        store.count_audit(&refused("too many attempts").counted(COUNTED_IN, name.as_str())).await?;
        return Err(OwnPasswordError::Throttled { retry_after: permit.wait(now) }.into());
    }
    let previous = find_oneself(store, audit).await?;
    if previous.second_factor_since.is_some() {
        return Err(SecondFactorError::Enrolled);
    }
    let factor = previous.second_factor.clone().ok_or(SecondFactorError::NotEnrolled)?;
    let Some(step) = codes.step_of(&name, &factor.secret, code, now).await? else {
        store.append_audit(&refused("wrong code")).await?;
        return Err(SecondFactorError::WrongCode);
    };
    let (codes, kept) = second_factor::recovery_codes(system, &name, now);
    let factor = SecondFactor { last_step: Some(step), recovery_codes: kept, ..factor };
    let user = User { second_factor: Some(factor), second_factor_since: Some(now), ..previous.clone() };
    let keep_sessions = Some(own_session(audit.caller).into_iter().collect());
    let edit = UserEdit { previous, user, keep_sessions };
    let edited = save(store, flush, system, audit, edit, action, None).await?;
    Ok(RecoveryCodes { codes, edited })
}

/// Makes new recovery codes in the place of the caller's, used or not. The device and the sessions stay.
pub async fn renew_recovery_codes<S: FindUser + SaveUser + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
) -> Result<RecoveryCodes, SecondFactorError> {
    let previous = find_oneself(store, audit).await?;
    // Confirming a device makes its first ones.
    let confirmed = previous.second_factor.clone().filter(|_| previous.second_factor_since.is_some());
    let factor = confirmed.ok_or(SecondFactorError::NotEnrolled)?;
    let (codes, kept) = second_factor::recovery_codes(system, &previous.name, system.now());
    let factor = SecondFactor { recovery_codes: kept, ..factor };
    let user = User { second_factor: Some(factor), ..previous.clone() };
    let edit = UserEdit { previous, user, keep_sessions: None };
    let edited = save(store, flush, system, audit, edit, Action::RenewRecoveryCodes, None).await?;
    Ok(RecoveryCodes { codes, edited })
}

/// Removes the caller's second factor, confirmed or not.
pub async fn remove_second_factor<S: FindUser + SaveUser + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
) -> Result<Edited, SecondFactorError> {
    let previous = find_oneself(store, audit).await?;
    let edit = UserEdit { keep_sessions: None, ..without(previous)? };
    Ok(save(store, flush, system, audit, edit, Action::RemoveSecondFactor, None).await?)
}

/// Removes the second factor of a user who holds no more than the caller, and ends their sessions.
pub async fn reset_second_factor<S: FindUser + SaveUser + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    name: &UserName,
) -> Result<Edited, SecondFactorError> {
    let previous = store.find_user(name).await?.ok_or(EditUserError::NotFound)?;
    grants::check_target(audit.caller, &previous.roles).map_err(EditUserError::from)?;
    let edit = UserEdit { keep_sessions: Some(Vec::new()), ..without(previous)? };
    Ok(save(store, flush, system, audit, edit, Action::ResetSecondFactor, None).await?)
}

async fn find_oneself<S: FindUser>(store: &S, audit: &AuditContext<'_>) -> Result<User, SecondFactorError> {
    let name = oneself(audit.caller)?;
    Ok(store.find_user(&name).await?.ok_or(EditUserError::NotFound)?)
}

fn without(previous: User) -> Result<UserEdit, SecondFactorError> {
    if previous.second_factor.is_none() {
        return Err(SecondFactorError::NotEnrolled);
    }
    let user = User { second_factor: None, second_factor_since: None, ..previous.clone() };
    Ok(UserEdit { previous, user, keep_sessions: None })
}
