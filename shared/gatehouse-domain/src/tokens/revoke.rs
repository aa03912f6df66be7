//! Revoking service tokens.

use super::{FindToken, SaveToken, ServiceToken, ShowTokenError, TokenState, mint, show};
use crate::{
    access::REVOKE_TOKEN,
    audit::{Action, AuditContext, Outcome},
    clock::System,
    id::TokenId,
    name::TenantId,
    revision::EditOutcome,
    revocation::{self, Effective, FlushAuthorizer, FlushError, PendingFlush, check_reason},
    store::StoreError,
    validation::FieldError,
};

/// A token is revoked.
#[derive(Debug)]
pub struct Revoked {
    pub token: ServiceToken,
    /// When that holds everywhere.
    pub effective: Effective,
    /// Why API Gateway's memory could not be flushed, for the log.
    pub flush_error: Option<FlushError>,
}

/// Why a token was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeTokenError {
    #[error("there is no such token")]
    NotFound,
    /// The caller's role in this tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    #[error("the revocation is not valid")]
    Invalid(Vec<FieldError>),
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
pub async fn revoke<S: FindToken + SaveToken + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    jti: &TokenId,
    reason: Option<String>,
) -> Result<Revoked, RevokeTokenError> {
    check_reason(reason.as_deref()).map_err(RevokeTokenError::Invalid)?;
    let mut token = show(store, audit.caller, &REVOKE_TOKEN, jti).await?;
    let now = system.now();
    if !matches!(token.state, TokenState::Revoked { .. }) {
        let mut audit_target = mint::audit_target(&token);
        audit_target.detail = reason.clone().or(audit_target.detail);
        let entry = audit.entry(system, Action::RevokeToken, Outcome::Done, audit_target);
        token.state = TokenState::Revoked { at: now, by: audit.caller.actor(), reason };
        match store.save_revocation(&token, &entry).await? {
            EditOutcome::Done => {}
            // Somebody else revoked it at the same moment, which is as good.
            EditOutcome::Conflict => token = show(store, audit.caller, &REVOKE_TOKEN, jti).await?,
        }
    }
    let (effective, flush_error) = revocation::flush(store, flush, system, now).await;
    Ok(Revoked { token, effective, flush_error })
}
