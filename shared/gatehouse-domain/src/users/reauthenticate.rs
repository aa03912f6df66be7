//! Proving again, within a session, who one is: what a stolen session cannot do.

use secrecy::SecretString;

use super::{
    FindUser, HashPassword, OneTimeCodes, OwnPasswordError, SaveSession, SpentCode, Throttle, User,
    edit::user_target,
    own_password::{self, own_session},
    store::Reauthenticated,
};
use crate::{
    audit::{Action, AppendAudit, AuditContext, CountAudit, Outcome},
    clock::System,
    revocation::{self, Effective, FlushAuthorizer, FlushError, PendingFlush},
};

/// What somebody proves it with.
#[derive(Debug)]
pub struct Proof<'a> {
    pub password: &'a SecretString,
    /// The code of their device, or a recovery code; wanted where they have a second factor.
    pub code: Option<&'a SecretString>,
}

/// Records that whoever is logged in has just said their password, and code. API Gateway's memory is flushed, since it
/// holds when they said it before. The permit is given back, so that only wrong attempts are counted.
pub async fn reauthenticate<S>(
    store: &S,
    passwords: &(impl HashPassword + ?Sized),
    codes: &dyn OneTimeCodes,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    proof: &Proof<'_>,
) -> Result<(Effective, Option<FlushError>), OwnPasswordError>
where
    S: FindUser + SaveSession + Throttle + PendingFlush + AppendAudit + CountAudit,
{
    let session = own_session(audit.caller).ok_or(OwnPasswordError::NotAPerson)?;
    let action = Action::Reauthenticate;
    let (user, permit) = own_password::prove(store, passwords, system, audit, action, proof.password).await?;
    let spent = match second_factor(codes, system, &user, proof.code).await {
        Ok(spent) => spent,
        Err(OwnPasswordError::CodeRequired) => {
            // Whoever is asked for a code has guessed nothing.
            store.give_permits_back(std::slice::from_ref(&permit)).await?;
            return Err(OwnPasswordError::CodeRequired);
        }
        Err(OwnPasswordError::WrongCode) => {
            let audit_target = user_target(&user.name, Some("wrong code".to_owned()));
            store.append_audit(&audit.entry(system, action, Outcome::Refused, audit_target)).await?;
            return Err(OwnPasswordError::WrongCode);
        }
        Err(error) => return Err(error),
    };
    let detail = spent.as_ref().map(|spent| spent.detail().to_owned());
    let entry = audit.entry(system, action, Outcome::Done, user_target(&user.name, detail));
    let reauthenticated =
        Reauthenticated { user: &user, session: &session, at: entry.at, spent: spent.as_ref() };
    if !store.save_reauthentication(&reauthenticated, &permit, &entry).await? {
        return Err(OwnPasswordError::Changed);
    }
    Ok(revocation::flush(store, flush, system, entry.at).await)
}

/// The code that is spent; none where the user has no second factor.
async fn second_factor(
    codes: &dyn OneTimeCodes,
    system: &dyn System,
    user: &User,
    code: Option<&SecretString>,
) -> Result<Option<SpentCode>, OwnPasswordError> {
    let Some(factor) = user.confirmed_factor() else { return Ok(None) };
    let code = code.ok_or(OwnPasswordError::CodeRequired)?;
    let spent = factor.check(codes, &user.name, code, system.now()).await?;
    spent.map(Some).ok_or(OwnPasswordError::WrongCode)
}
