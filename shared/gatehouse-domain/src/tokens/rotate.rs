//! Replacing a service token without a gap.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    FindToken, MAX_DAYS, Minted, Replaces, SaveToken, ServiceToken, ShowTokenError, TokenState, mint, show,
};
use crate::{
    access::ROTATE_TOKEN,
    audit::{Action, AuditContext, Outcome},
    claims::whole_seconds,
    clock::System,
    id::TokenId,
    idempotency::IdempotencyKey,
    name::TenantId,
    project::FindProject,
    revision::EditOutcome,
    sign::{SignError, SignToken},
    store::StoreError,
    validation::FieldError,
};

/// The longest grace period of a rotated token.
const MAX_GRACE: Duration = Duration::from_hours(30 * 24);

/// Why a token was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum RotateTokenError {
    #[error("there is no such token")]
    NotFound,
    /// The caller's role in this tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    #[error("the rotation is not valid")]
    Invalid(Vec<FieldError>),
    /// The project does not accept the service any more.
    #[error("the project does not exist any more, or does not accept this service any more")]
    NotAccepted,
    /// The key was used for another request.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// It is not active: it was rotated already, revoked, or has ended.
    #[error("only an active token can be rotated; this one is {0}")]
    NotActive(&'static str),
    /// It could not be signed.
    #[error("could not sign the token")]
    Sign(#[from] SignError),
    #[error("could not record the token")]
    Store(#[from] StoreError),
}

impl From<ShowTokenError> for RotateTokenError {
    fn from(error: ShowTokenError) -> Self {
        match error {
            ShowTokenError::NotFound => Self::NotFound,
            ShowTokenError::Forbidden(tenant) => Self::Forbidden(tenant),
            ShowTokenError::Store(error) => Self::Store(error),
        }
    }
}

/// How a token is to be replaced.
#[derive(Debug, Clone, Default)]
pub struct Rotation {
    /// For how long the older token stays valid; without it, until the newer one is first seen in use.
    pub grace: Option<Duration>,
    /// How long the newer token is to live, in days; as long as the older one was meant to without it.
    pub days: Option<u16>,
}

/// Makes a new token for the same project and service.
///
/// With `key`, the same request again answers with the same token, as for minting: who lost the answer would
/// otherwise have a token that was replaced by one that nobody knows.
pub async fn rotate<S: FindProject + FindToken + SaveToken>(
    store: &S,
    sign: &dyn SignToken,
    system: &dyn System,
    audit: &AuditContext<'_>,
    jti: &TokenId,
    rotation: &Rotation,
    key: Option<&IdempotencyKey>,
) -> Result<Minted, RotateTokenError> {
    let older = show(store, audit.caller, &ROTATE_TOKEN, jti).await?;
    let (grace, days) = (rotation.grace, rotation.days);
    check(grace, days)?;
    let next =
        key.map_or_else(|| TokenId::generate(system), |key| TokenId::of_request(&audit.caller.actor(), key));
    if key.is_some()
        && let Some(minted) = replay(store, sign, &older, &next, rotation).await?
    {
        return Ok(minted);
    }
    let status = older.status(system.now());
    if older.state != TokenState::Active || !status.is_valid() {
        return Err(RotateTokenError::NotActive(status.as_str()));
    }
    let project = store.find_project(&older.project).await?;
    if !project.is_some_and(|project| project.tenant == older.tenant && project.accepts(&older.service)) {
        return Err(RotateTokenError::NotAccepted);
    }
    let now = whole_seconds(system.now());
    let newer = successor(&older, next, audit, now, rotation);
    let older = rotated(older, &newer, now, grace);
    let token = sign.sign_service_token(&mint::claims(&newer)).await?;
    let mut audit_target = mint::audit_target(&older);
    audit_target.detail = Some(format!("replaced by {}", newer.jti));
    let entry = audit.entry(system, Action::RotateToken, Outcome::Done, audit_target);
    match store.save_rotation(&newer, &older, &entry).await? {
        EditOutcome::Done => Ok(Minted { record: newer, token, replayed: false }),
        // It was rotated or revoked at the same moment: by a twin of this request, or by somebody else.
        EditOutcome::Conflict => {
            let older = show(store, audit.caller, &ROTATE_TOKEN, jti).await?;
            let minted = replay(store, sign, &older, &newer.jti, rotation).await?;
            minted.ok_or(RotateTokenError::NotActive("rotated or revoked by somebody else"))
        }
    }
}

/// The token that an earlier request with the same key has made, if one has.
async fn replay<S: FindToken>(
    store: &S,
    sign: &dyn SignToken,
    older: &ServiceToken,
    next: &TokenId,
    rotation: &Rotation,
) -> Result<Option<Minted>, RotateTokenError> {
    let Some(record) = store.find_token(next).await? else { return Ok(None) };
    if !came_of(older, &record, rotation) {
        return Err(RotateTokenError::KeyReused);
    }
    let token = sign.sign_service_token(&mint::claims(&record)).await?;
    Ok(Some(Minted { record, token, replayed: true }))
}

/// Whether `newer` took over from `older` by a rotation that asked for the same.
fn came_of(older: &ServiceToken, newer: &ServiceToken, rotation: &Rotation) -> bool {
    let Some(replaced) = newer.replaces.as_ref().filter(|replaced| replaced.jti == older.jti) else {
        return false;
    };
    let same_grace = match (&older.state, rotation.grace) {
        (TokenState::Rotated { to, at, expires_at }, Some(grace)) if *to == newer.jti => {
            *expires_at == Some(*at + grace)
        }
        // By now revoked, or used up: how long it was to stay valid is not known any more.
        _ => true,
    };
    replaced.ends_it_when_used == rotation.grace.is_none()
        && same_grace
        && newer.expires_at == expires_at(older, newer.created_at, rotation)
}

/// When the newer token ends: it lives as long as the older one was meant to, unless another life is asked for.
fn expires_at(older: &ServiceToken, now: Timestamp, rotation: &Rotation) -> Timestamp {
    let life = older.expires_at.duration_since(older.created_at).unsigned_abs();
    rotation.days.map_or(now + life, |days| mint::expires_at(now, days))
}

fn check(grace: Option<Duration>, days: Option<u16>) -> Result<(), RotateTokenError> {
    let mut errors = Vec::new();
    if grace.is_some_and(|grace| grace > MAX_GRACE) {
        errors.push(FieldError::new("/grace_seconds", "must be at most 2592000, which is 30 days"));
    }
    if days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
        errors.push(FieldError::new("/expiresInDays", "must be 1 to 365"));
    }
    if errors.is_empty() { Ok(()) } else { Err(RotateTokenError::Invalid(errors)) }
}

fn successor(
    older: &ServiceToken,
    jti: TokenId,
    audit: &AuditContext<'_>,
    now: Timestamp,
    rotation: &Rotation,
) -> ServiceToken {
    ServiceToken {
        jti,
        created_at: now,
        created_by: audit.caller.actor(),
        expires_at: expires_at(older, now, rotation),
        last_used_at: None,
        replaces: Some(Replaces { jti: older.jti.clone(), ends_it_when_used: rotation.grace.is_none() }),
        state: TokenState::Active,
        ..older.clone()
    }
}

fn rotated(
    older: ServiceToken,
    newer: &ServiceToken,
    now: Timestamp,
    grace: Option<Duration>,
) -> ServiceToken {
    let expires_at = grace.map(|grace| now + grace);
    ServiceToken { state: TokenState::Rotated { to: newer.jti.clone(), at: now, expires_at }, ..older }
}
