//! Showing the record of a token.

use crate::{
    caller::Caller,
    id::TokenId,
    name::TenantId,
    store::StoreError,
    tokens::token::{FindToken, ServiceToken},
};

/// Why a token cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowTokenError {
    /// There is none, or it belongs to a tenant that the caller is not in.
    #[error("there is no such token")]
    NotFound,
    /// The caller's role in this tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    /// The store failed.
    #[error("could not read the token")]
    Store(#[from] StoreError),
}

/// Shows the record of one token to those who may use `operation` on it.
pub async fn show<S: FindToken>(
    store: &S,
    caller: &Caller,
    operation: &crate::access::Endpoint,
    jti: &TokenId,
) -> Result<ServiceToken, ShowTokenError> {
    let token = store.find_token(jti).await?.ok_or(ShowTokenError::NotFound)?;
    if !caller.sees(&token.tenant) {
        return Err(ShowTokenError::NotFound);
    }
    if caller.may_in(operation, &token.tenant) {
        Ok(token)
    } else {
        Err(ShowTokenError::Forbidden(token.tenant))
    }
}
