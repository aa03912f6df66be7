//! Revoking service tokens.

use super::{FindToken, SaveToken, ServiceToken, ShowTokenError, TokenId, TokenState, mint, show};
use crate::{
    access::REVOKE_TOKEN,
    audit::{Act, Action, Outcome},
    clock::{Clock, IdSource},
    name::TenantId,
    parameter::FieldError,
    providers::EditOutcome,
    revocation::{Effective, FlushAuthorizer, FlushError, OwedFlush, check_reason, flush},
    store::StoreError,
};

/// What revoking needs.
pub struct RevokePorts<'a> {
    /// Reads records.
    pub find: &'a dyn FindToken,
    /// Writes them.
    pub save: &'a dyn SaveToken,
    /// Makes API Gateway forget.
    pub flush: &'a dyn FlushAuthorizer,
    /// Keeps that it has to.
    pub owed: &'a dyn OwedFlush,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Makes ids.
    pub ids: &'a dyn IdSource,
}

/// A token is revoked.
#[derive(Debug)]
pub struct Revoked {
    /// Its record.
    pub token: ServiceToken,
    /// When that holds everywhere.
    pub effective: Effective,
    /// Why API Gateway's memory could not be flushed, for the log.
    pub flush_error: Option<FlushError>,
}

/// Why a token was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeTokenError {
    /// There is none.
    #[error("there is no such token")]
    NotFound,
    /// The caller's role in this tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    /// Fields were refused.
    #[error("the revocation is not valid")]
    Invalid(Vec<FieldError>),
    /// The store failed.
    #[error("could not revoke the token")]
    Store(#[from] StoreError),
}

impl From<ShowTokenError> for RevokeTokenError {
    fn from(error: ShowTokenError) -> Self {
        match error {
            ShowTokenError::NotFound => Self::NotFound,
            ShowTokenError::Forbidden(tenant) => Self::Forbidden(tenant),
            ShowTokenError::Store(error) => Self::Store(error),
        }
    }
}

/// Revokes a token. Revoking a revoked one changes nothing in its record and flushes again.
pub async fn revoke(
    ports: &RevokePorts<'_>,
    act: &Act<'_>,
    jti: &TokenId,
    reason: Option<String>,
) -> Result<Revoked, RevokeTokenError> {
    check_reason(reason.as_deref()).map_err(RevokeTokenError::Invalid)?;
    let mut token = show(ports.find, act.caller, &REVOKE_TOKEN, jti).await?;
    let now = ports.clock.now();
    if !matches!(token.state, TokenState::Revoked { .. }) {
        let mut deed = mint::deed(&token);
        deed.detail = reason.clone().or(deed.detail);
        let entry = act.entry(ports.clock, ports.ids, Action::RevokeToken, Outcome::Done, deed);
        token.state = TokenState::Revoked { at: now, by: act.caller.actor(), reason };
        match ports.save.save_revocation(&token, &entry).await? {
            EditOutcome::Done => {}
            // Somebody else revoked it at the same moment, which is as good.
            EditOutcome::Conflict => token = show(ports.find, act.caller, &REVOKE_TOKEN, jti).await?,
        }
    }
    let (effective, flush_error) = flush(ports.flush, ports.owed, ports.clock, now).await;
    Ok(Revoked { token, effective, flush_error })
}
