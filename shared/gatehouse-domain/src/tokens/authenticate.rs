//! Deciding on a service token whose signature was found to be ours.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{FindToken, ServiceToken, USE_INTERVAL};
use crate::{
    caller::{Caller, Grant},
    claims::ServiceClaims,
    id::TokenId,
    store::StoreError,
};

/// What a use of a token changes in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The token that was used.
    pub jti: TokenId,
    pub at: Timestamp,
    /// The token that ends with this use, when the used one took over from it.
    pub ends: Option<TokenId>,
}

/// Writes down that tokens are used. Needs `dynamodb:UpdateItem`.
#[async_trait]
pub trait RecordUse: Send + Sync {
    /// Writes it down, unless a later use is known; ends the older token with it. Writing it again changes
    /// nothing.
    async fn record_use(&self, used: &Use) -> Result<(), StoreError>;
}

/// Finds out who presents a token: `None` when nobody does who may come in. The second part is what is to
/// be written down, at most once in [`USE_INTERVAL`].
pub async fn authenticate<S: FindToken>(
    store: &S,
    claims: &ServiceClaims,
    now: Timestamp,
) -> Result<Option<(Caller, Option<Use>)>, StoreError> {
    let Some(token) = store.find_token(&claims.jti).await? else { return Ok(None) };
    // The signature says that we made this token; the record says what for. Where the two differ, a key
    // has leaked.
    let same = token.project == claims.project
        && token.service == claims.service
        && token.expires_at == claims.expires_at
        && token.created_at == claims.issued_at;
    if !same {
        return Ok(None);
    }
    let used = used(&token, now);
    Ok(into_caller(token, now).map(|caller| (caller, used)))
}

/// Who calls with a token that was verified before: `None` when it does not count any more.
pub async fn with_token<S: FindToken>(
    store: &S,
    jti: &TokenId,
    now: Timestamp,
) -> Result<Option<Caller>, StoreError> {
    Ok(store.find_token(jti).await?.and_then(|token| into_caller(token, now)))
}

fn into_caller(token: ServiceToken, now: Timestamp) -> Option<Caller> {
    let valid = token.status(now).is_valid();
    let grant = Grant::Service { project: token.project, tenant: token.tenant, service: token.service };
    valid.then_some(Caller { subject: token.jti.to_string(), grant })
}

fn used(token: &ServiceToken, now: Timestamp) -> Option<Use> {
    let is_news = token.last_used_at.is_none_or(|last| last + USE_INTERVAL <= now);
    let first = token.last_used_at.is_none();
    let ends = token.replaces.as_ref().filter(|older| first && older.ends_it_when_used);
    is_news.then(|| Use { jti: token.jti.clone(), at: now, ends: ends.map(|older| older.jti.clone()) })
}
