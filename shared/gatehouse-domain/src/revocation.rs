//! Revocation that holds at once: the record first, then API Gateway's memory of the authorizer's answers.
//!
//! The record denies on the next question to the authorizer. But API Gateway remembers answers, and does
//! not ask again for as long as it does; so its memory is flushed. That a flush is owed is written together
//! with the record, so that one which failed is done by the janitor.

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

/// A flush failed.
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

/// Keeps that a flush is owed. Needs `dynamodb:GetItem` and `dynamodb:DeleteItem`.
#[async_trait]
pub trait PendingFlush: Send + Sync {
    /// Since when a flush is owed, if one is.
    async fn pending_flush(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Forgets a flush that was owed since then, unless another one is owed since.
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

/// Flushes after a record that says that a flush is owed since `since` was written.
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
