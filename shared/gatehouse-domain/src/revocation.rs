//! Revocation with immediate effect: the record first, then API Gateway's cache of the authorizer's answers.
//!
//! The record denies on the next call of the authorizer. But API Gateway caches the authorizer's answers, and does not
//! call it again until they expire; so that cache is flushed. A pending flush is marked in the transaction that writes
//! the record, so that the janitor makes up for one that failed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{clock::Clock, store::StoreError, validation::FieldError};

/// The longest reason, in bytes.
const MAX_REASON: usize = 500;

/// What is wrong with the reason of a revocation, if anything is.
pub fn check_reason(reason: Option<&str>) -> Result<(), Vec<FieldError>> {
    if reason.is_some_and(|text| text.len() > MAX_REASON) {
        return Err(vec![FieldError::new("/reason", "must be at most 500 bytes")]);
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("API Gateway's memory of the authorizer's answers could not be flushed")]
pub struct FlushError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Makes API Gateway forget the authorizer's answers. Needs `apigateway:DELETE` on the stage's cache.
#[async_trait]
pub trait FlushAuthorizer: Send + Sync {
    /// Forgets every answer of the stage.
    async fn flush_authorizer(&self) -> Result<(), FlushError>;

    /// For how long an answer is remembered that is not flushed.
    fn remembered_for(&self) -> Duration;
}

/// A stage of an API, as API Gateway names it in every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Id of the API.
    pub api_id: String,
    /// Name of the stage.
    pub name: String,
}

/// Finds what a stage remembers. A function cannot know its stage from its configuration, since the API is
/// made of its functions; it learns it from each request.
pub trait FlushStage: Send + Sync {
    /// What `stage` remembers.
    fn of(&self, stage: Stage) -> Arc<dyn FlushAuthorizer>;
}

/// The mark of a pending flush. Needs `dynamodb:GetItem` and `dynamodb:DeleteItem`.
#[async_trait]
pub trait PendingFlush: Send + Sync {
    /// Since when a flush is pending, if one is.
    async fn pending_flush(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Deletes the mark of `since`, unless a later revocation has replaced it.
    async fn flush_done(&self, since: Timestamp) -> Result<(), StoreError>;
}

/// When a revocation holds everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effective {
    /// From then on at the latest.
    pub by: Timestamp,
    /// Whether API Gateway's memory was flushed; otherwise that is tried again.
    pub flushed: bool,
}

/// Flushes after a revocation that marked a flush as pending since `since`. A flush that fails is left to the janitor,
/// and its error is returned to be logged.
pub async fn flush<S: PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    clock: &dyn Clock,
    since: Timestamp,
) -> (Effective, Option<FlushError>) {
    match flush.flush_authorizer().await {
        Ok(()) => {
            // The janitor flushes once more where this fails, which does no harm.
            let _forgotten = store.flush_done(since).await;
            (Effective { by: clock.now(), flushed: true }, None)
        }
        Err(error) => (Effective { by: since + flush.remembered_for(), flushed: false }, Some(error)),
    }
}
