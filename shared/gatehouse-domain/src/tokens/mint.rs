//! Minting service tokens.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use super::{DEFAULT_DAYS, FindToken, MAX_DAYS, ServiceToken, TokenState};
use crate::{
    access::MINT_TOKEN,
    audit::{Action, AuditContext, AuditTarget, Entry, Outcome},
    claims::{ServiceClaims, whole_seconds},
    clock::System,
    id::TokenId,
    idempotency::IdempotencyKey,
    name::{ProjectName, ServiceName, TenantId},
    project::{FindProject, Project, ShowProjectError},
    revision::EditOutcome,
    sign::{SignError, SignToken},
    store::StoreError,
    validation::FieldError,
};

/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 500;

/// Writes records of tokens. Needs `dynamodb:PutItem` and `UpdateItem`.
#[async_trait]
pub trait SaveToken: Send + Sync {
    /// Writes the record of a new token, with the entry of the trail. `Conflict` when there is one with
    /// its id.
    async fn save_new_token(&self, token: &ServiceToken, entry: &Entry) -> Result<EditOutcome, StoreError>;

    /// Writes the record of a new token, and that the older one is as `older` says, where that still is
    /// active; with the entry of the trail.
    async fn save_rotation(
        &self,
        token: &ServiceToken,
        older: &ServiceToken,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError>;

    /// Revokes the token as `token` says, where it is not revoked yet, and marks a flush as pending since then; with
    /// the entry of the trail.
    async fn save_revocation(&self, token: &ServiceToken, entry: &Entry) -> Result<EditOutcome, StoreError>;
}

/// What a caller wants minted.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The project whose routes it is to open.
    pub project: ProjectName,
    /// The service that is to call with it.
    pub service: ServiceName,
    /// What it is for, for people.
    pub description: Option<String>,
    /// How long it is to live, in days; [`DEFAULT_DAYS`] without it.
    pub days: Option<u16>,
}

/// A token was minted.
#[derive(Debug)]
pub struct Minted {
    pub record: ServiceToken,
    /// The token, to be shown once.
    pub token: SecretString,
    /// Whether an earlier request with the same key minted it.
    pub replayed: bool,
}

/// Why no token was minted.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error("the token is not valid")]
    Invalid(Vec<FieldError>),
    /// There is no such project for the caller.
    #[error("there is no project `{0}`")]
    NoProject(ProjectName),
    /// The caller's role in this tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    /// The key was used for another request.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// It could not be signed.
    #[error("could not sign the token")]
    Sign(#[from] SignError),
    #[error("could not record the token")]
    Store(#[from] StoreError),
}

/// Mints a service token: signed first, then recorded; without its record it opens nothing.
///
/// With `key`, the same request again answers with the same token: its id follows from the key, and a
/// signature by Ed25519 from what is signed, so that nothing secret has to be kept for it.
pub async fn mint<S: FindProject + FindToken + SaveToken>(
    store: &S,
    sign: &dyn SignToken,
    system: &dyn System,
    audit: &AuditContext<'_>,
    draft: Draft,
    key: Option<&IdempotencyKey>,
) -> Result<Minted, MintError> {
    let project = crate::project::show(store, audit.caller, &draft.project).await;
    let project = project.map_err(|error| match error {
        ShowProjectError::NotFound => MintError::NoProject(draft.project.clone()),
        ShowProjectError::Store(error) => error.into(),
    })?;
    if !audit.caller.may_in(&MINT_TOKEN, &project.tenant) {
        return Err(MintError::Forbidden(project.tenant));
    }
    let errors = check(&draft, &project);
    if !errors.is_empty() {
        return Err(MintError::Invalid(errors));
    }
    let record = record(system, audit, draft, project.tenant, key);
    let token = sign.sign_service_token(&claims(&record)).await?;
    let entry = audit.entry(system, Action::MintToken, Outcome::Done, audit_target(&record));
    match store.save_new_token(&record, &entry).await? {
        EditOutcome::Done => Ok(Minted { record, token, replayed: false }),
        EditOutcome::Conflict => replay(store, sign, &record).await,
    }
}

/// Answers a repetition with what the first request minted.
async fn replay<S: FindToken>(
    store: &S,
    sign: &dyn SignToken,
    wanted: &ServiceToken,
) -> Result<Minted, MintError> {
    let vanished = || StoreError::Unavailable("the token that exists was not found".into());
    let record = store.find_token(&wanted.jti).await?.ok_or_else(vanished)?;
    let life = |token: &ServiceToken| token.expires_at.duration_since(token.created_at);
    // The project's name may be another tenant's by now.
    let same = record.tenant == wanted.tenant
        && record.project == wanted.project
        && record.service == wanted.service
        && record.description == wanted.description
        && record.replaces == wanted.replaces
        && life(&record) == life(wanted);
    if !same {
        return Err(MintError::KeyReused);
    }
    let token = sign.sign_service_token(&claims(&record)).await?;
    Ok(Minted { record, token, replayed: true })
}

fn check(draft: &Draft, project: &Project) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !project.accepts(&draft.service) {
        errors.push(FieldError::new("/service", "the project does not accept this service"));
    }
    if draft.description.as_deref().is_some_and(|text| text.len() > MAX_DESCRIPTION) {
        errors.push(FieldError::new("/description", "must be at most 500 bytes"));
    }
    if draft.days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
        errors.push(FieldError::new("/expiresInDays", "must be 1 to 365"));
    }
    errors
}

fn record(
    system: &dyn System,
    audit: &AuditContext<'_>,
    draft: Draft,
    tenant: TenantId,
    key: Option<&IdempotencyKey>,
) -> ServiceToken {
    let now = whole_seconds(system.now());
    let jti = match key {
        Some(key) => TokenId::of_request(&audit.caller.actor(), key),
        None => TokenId::generate(system),
    };
    ServiceToken {
        jti,
        tenant,
        project: draft.project,
        service: draft.service,
        description: draft.description,
        created_at: now,
        created_by: audit.caller.actor(),
        expires_at: expires_at(now, draft.days.unwrap_or(DEFAULT_DAYS)),
        last_used_at: None,
        replaces: None,
        state: TokenState::Active,
    }
}

pub(super) fn expires_at(now: Timestamp, days: u16) -> Timestamp {
    now + Duration::from_hours(u64::from(days) * 24)
}

pub(super) fn claims(record: &ServiceToken) -> ServiceClaims {
    ServiceClaims {
        jti: record.jti.clone(),
        project: record.project.clone(),
        service: record.service.clone(),
        issued_at: record.created_at,
        expires_at: record.expires_at,
    }
}

pub(super) fn audit_target(token: &ServiceToken) -> AuditTarget {
    AuditTarget {
        target: format!("token:{}", token.jti),
        tenant: Some(token.tenant.clone()),
        detail: Some(format!("{}/{}", token.project, token.service)),
    }
}
