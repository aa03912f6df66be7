//! Letting an environment live longer.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{EnvironmentState, FindService, Provisioned, Registered, ShowServiceError, show};
use crate::{
    access::EXTEND_ENVIRONMENT,
    audit::{Action, AuditContext, AuditTarget, Entry, Outcome},
    clock::System,
    id::ServiceId,
    name::{EnvironmentName, TenantId},
    revision::EditOutcome,
    store::StoreError,
    validation::FieldError,
};

/// Moves the end of an environment. Needs `dynamodb:UpdateItem` and `dynamodb:PutItem`.
#[async_trait]
pub trait ExtendEnvironment: Send + Sync {
    /// Writes another end with its entry, where no operation is open and what is provisioned, and its end, are as
    /// they were seen.
    async fn extend_environment(
        &self,
        seen: &EnvironmentState,
        expires_at: Timestamp,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError>;
}

/// Why an environment is not extended.
#[derive(Debug, thiserror::Error)]
pub enum ExtendError {
    #[error(transparent)]
    Show(#[from] ShowServiceError),
    /// The caller's role in the service's tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    #[error("the request is not valid")]
    Invalid(Vec<FieldError>),
    /// The environment has no end that could be moved, or cannot have a later one.
    #[error("{0}")]
    NotPossible(&'static str),
    #[error("could not extend the environment")]
    Store(#[from] StoreError),
}

/// Lets an environment live for so many hours from now on: at most as long as it may live after it was provisioned.
/// Asked again it changes as good as nothing, so a repetition does no harm. Returns when it ends.
///
/// # Errors
///
/// Why it is refused, or that the store failed.
pub async fn extend<S>(
    store: &S,
    system: &dyn System,
    audit: &AuditContext<'_>,
    service: &ServiceId,
    environment: &EnvironmentName,
    hours: u32,
) -> Result<Timestamp, ExtendError>
where
    S: FindService + ExtendEnvironment,
{
    let Registered { service, environments, .. } = show(store, audit.caller, service).await?;
    if !audit.caller.may_in(&EXTEND_ENVIRONMENT, &service.tenant) {
        return Err(ExtendError::Forbidden(service.tenant));
    }
    let invalid = |pointer, detail| ExtendError::Invalid(vec![FieldError::new(pointer, detail)]);
    let spec = service.environment(environment);
    let spec =
        spec.ok_or_else(|| invalid("/environment", "the service has no such environment".to_owned()))?;
    let ttl = spec.ttl_hours.ok_or(ExtendError::NotPossible("the environment has no time to live"))?;
    if !(1..=ttl).contains(&hours) {
        return Err(invalid("/hours", format!("must be 1 to {ttl}, the environment's time to live")));
    }
    let state = environments.get(environment);
    let provisioned = state.and_then(|state| state.infrastructure.provisioned());
    let ending = state.zip(provisioned.and_then(|Provisioned { expires_at, .. }| *expires_at));
    let (state, end) = ending.ok_or(ExtendError::NotPossible("nothing that would end is provisioned"))?;
    if state.running.is_some() {
        return Err(BUSY);
    }
    let expires_at = system.now() + Duration::from_hours(u64::from(hours));
    if expires_at <= end {
        return Err(ExtendError::NotPossible("the environment lives longer than that already"));
    }
    let target = AuditTarget {
        target: format!("service:{}/{}", service.tenant, service.name),
        tenant: Some(service.tenant.clone()),
        detail: Some(format!("{environment} until {}", expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"))),
    };
    let entry = audit.entry(system, Action::ExtendEnvironment, Outcome::Done, target);
    match store.extend_environment(state, expires_at, &entry).await? {
        EditOutcome::Done => Ok(expires_at),
        EditOutcome::Conflict => Err(BUSY),
    }
}

const BUSY: ExtendError = ExtendError::NotPossible(
    "an operation is open in this environment, or was a moment ago; wait for its end",
);
