//! Minting, listing and revoking API keys.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use secrecy::SecretString;

use super::{ApiKey, ApiKeyId, FindApiKey, Revocation};
use crate::{
    access::Scope,
    audit::{Action, AuditContext, AuditTarget, Entry, Outcome},
    caller::Tenants,
    clock::System,
    grants::{self, BeyondOwnRights},
    paging::{ListError, Page, PageRequest},
    revision::EditOutcome,
    revocation::{self, Effective, FlushAuthorizer, FlushError, PendingFlush, check_reason},
    store::StoreError,
    validation::FieldError,
};

/// The longest name, in bytes.
const MAX_NAME: usize = 200;

/// The longest life of a key that has an end, in days.
const MAX_DAYS: u16 = 3650;

/// Lists API keys. Needs `dynamodb:Query`.
#[async_trait]
pub trait ListApiKeys: Send + Sync {
    /// A page of keys, the newest first.
    async fn list_api_keys(&self, page: &PageRequest) -> Result<Page<ApiKey>, ListError>;
}

/// Keeps API keys. Needs `dynamodb:PutItem` and `dynamodb:UpdateItem`.
#[async_trait]
pub trait SaveApiKey: Send + Sync {
    /// Writes the key; writing it again changes nothing. Without an entry where the local stack or the
    /// command line makes it, who have no caller.
    async fn save_api_key(&self, key: &ApiKey, entry: Option<&Entry>) -> Result<(), StoreError>;

    /// Revokes the key as `key` says, where it is not revoked yet, and marks a flush as pending since then; with the
    /// entry of the trail.
    async fn save_key_revocation(&self, key: &ApiKey, entry: &Entry) -> Result<EditOutcome, StoreError>;
}

/// What a caller wants minted.
#[derive(Debug, Clone)]
pub struct KeyDraft {
    /// What it is for, for people.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    pub tenants: Tenants,
    /// How long it is to live, in days; for ever without it.
    pub days: Option<u16>,
}

/// Why no key was minted.
#[derive(Debug, thiserror::Error)]
pub enum MintKeyError {
    #[error("the key is not valid")]
    Invalid(Vec<FieldError>),
    /// The key would be worth more than whoever mints it.
    #[error(transparent)]
    Beyond(#[from] BeyondOwnRights),
    #[error("could not record the key")]
    Store(#[from] StoreError),
}

/// Mints a key: its record, and the key itself, to be shown once. It may do nothing that the caller may not.
pub async fn mint<S: SaveApiKey>(
    store: &S,
    system: &dyn System,
    audit: &AuditContext<'_>,
    draft: KeyDraft,
) -> Result<(ApiKey, SecretString), MintKeyError> {
    let errors = check(&draft);
    if !errors.is_empty() {
        return Err(MintKeyError::Invalid(errors));
    }
    let now = system.now();
    let expires_at = draft.days.map(|days| now + Duration::from_hours(u64::from(days) * 24));
    let (key, text) = ApiKey::generate(system, draft.name, draft.scopes, draft.tenants, now);
    let (created_by, minted_by) = (audit.caller.actor(), Some(audit.caller.hand()));
    let key = ApiKey { created_by, minted_by, expires_at, ..key };
    grants::check_key(audit.caller, key.rights())?;
    let entry = audit.entry(system, Action::MintApiKey, Outcome::Done, audit_target(&key));
    store.save_api_key(&key, Some(&entry)).await?;
    Ok((key, text))
}

fn check(draft: &KeyDraft) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if draft.name.trim().is_empty() || draft.name.len() > MAX_NAME {
        errors.push(FieldError::new("/name", "must be 1 to 200 bytes of text"));
    }
    if draft.scopes.is_empty() {
        errors.push(FieldError::new("/scopes", "name at least one scope, such as jobs:read"));
    }
    if matches!(&draft.tenants, Tenants::Only(tenants) if tenants.is_empty()) {
        errors.push(FieldError::new("/tenants", "name at least one tenant, or `*` for all"));
    }
    if draft.days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
        errors.push(FieldError::new("/expires_in_days", "must be 1 to 3650"));
    }
    errors
}

/// Why a key cannot be revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeKeyError {
    #[error("there is no such key")]
    NotFound,
    #[error("the revocation is not valid")]
    Invalid(Vec<FieldError>),
    /// The key is worth more than the caller.
    #[error(transparent)]
    Beyond(#[from] BeyondOwnRights),
    #[error("could not revoke the key")]
    Store(#[from] StoreError),
}

/// A key is revoked.
#[derive(Debug)]
pub struct RevokedKey {
    pub key: ApiKey,
    /// When that holds everywhere.
    pub effective: Effective,
    /// Why API Gateway's memory could not be flushed, for the log.
    pub flush_error: Option<FlushError>,
}

/// Revokes a key. Revoking a revoked one changes nothing in its record and flushes again.
pub async fn revoke<S: FindApiKey + SaveApiKey + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    id: &ApiKeyId,
    reason: Option<String>,
) -> Result<RevokedKey, RevokeKeyError> {
    check_reason(reason.as_deref()).map_err(RevokeKeyError::Invalid)?;
    let mut key = store.find_api_key(id).await?.ok_or(RevokeKeyError::NotFound)?;
    grants::check_target_key(audit.caller, key.rights())?;
    let now = system.now();
    if key.revoked.is_none() {
        let audit_target =
            AuditTarget { detail: reason.clone().or(Some(key.name.clone())), ..audit_target(&key) };
        let entry = audit.entry(system, Action::RevokeApiKey, Outcome::Done, audit_target);
        key.revoked = Some(Revocation { at: now, by: audit.caller.actor(), reason });
        match store.save_key_revocation(&key, &entry).await? {
            EditOutcome::Done => {}
            // Somebody else revoked it at the same moment, which is as good.
            EditOutcome::Conflict => {
                key = store.find_api_key(id).await?.ok_or(RevokeKeyError::NotFound)?;
            }
        }
    }
    let (effective, flush_error) = revocation::flush(store, flush, system, now).await;
    Ok(RevokedKey { key, effective, flush_error })
}

fn audit_target(key: &ApiKey) -> AuditTarget {
    AuditTarget {
        target: format!("api_key:{}", key.id.as_str()),
        tenant: key.tenants.sole().cloned(),
        detail: Some(key.name.clone()),
    }
}
