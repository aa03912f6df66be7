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

/// How long to wait, once a flush has failed, until the mark is looked at; one after the other.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1)];

/// Flushes after a revocation that marked a flush as pending since `since`. A flush that fails for good is left to the
/// janitor, and its error is returned to be logged.
///
/// API Gateway's control plane takes some ten calls per second of the whole account, so of many revocations at once some
/// are refused their flush. One flush makes up for all that were marked before it, and there is one mark: of those that
/// were refused only the last tries again, and the others wait for the mark to be gone.
pub async fn flush<S: PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    clock: &dyn Clock,
    since: Timestamp,
) -> (Effective, Option<FlushError>) {
    let Err(mut refused) = flush.flush_authorizer().await else {
        return (done(store, clock, since).await, None);
    };
    for pause in PAUSES {
        clock.sleep(pause).await;
        match store.pending_flush().await {
            // A mark is deleted by a flush that began when that mark was there: behind this revocation, whose own mark it
            // is or replaced.
            Ok(None) => return (Effective { by: clock.now(), flushed: true }, None),
            // Somebody revoked something later, and flushes for both.
            Ok(Some(newest)) if newest != since => {}
            Ok(Some(_)) => match flush.flush_authorizer().await {
                Ok(()) => return (done(store, clock, since).await, None),
                Err(error) => refused = error,
            },
            Err(_) => break,
        }
    }
    (Effective { by: since + flush.remembered_for(), flushed: false }, Some(refused))
}

async fn done<S: PendingFlush>(store: &S, clock: &dyn Clock, since: Timestamp) -> Effective {
    // The janitor flushes once more where this fails, which does no harm.
    let _forgotten = store.flush_done(since).await;
    Effective { by: clock.now(), flushed: true }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex};

    use futures_util::FutureExt;

    use super::*;
    use crate::test_support::Hand;

    /// One stage, in which others revoke and flush while somebody waits.
    #[derive(Default)]
    struct World {
        hand: Hand,
        mark: Mutex<Option<Timestamp>>,
        /// What others make of the mark, by each look at it.
        others: Mutex<VecDeque<Option<Timestamp>>>,
        /// Which of the next flushes succeed; no later one does.
        flushes: Mutex<VecDeque<bool>>,
        asked: Mutex<usize>,
    }

    impl World {
        /// The outcome of a revocation, and the mark and the number of flushes after it.
        fn revoke(&self) -> (Effective, Option<Timestamp>, usize) {
            let since = self.hand.now();
            *self.mark.lock().unwrap() = Some(since);
            let (effective, error) = flush(self, self, &self.hand, since).now_or_never().unwrap();
            assert_eq!(error.is_none(), effective.flushed);
            (effective, *self.mark.lock().unwrap(), *self.asked.lock().unwrap())
        }
    }

    #[async_trait]
    impl PendingFlush for World {
        async fn pending_flush(&self) -> Result<Option<Timestamp>, StoreError> {
            if let Some(mark) = self.others.lock().unwrap().pop_front() {
                *self.mark.lock().unwrap() = mark;
            }
            Ok(*self.mark.lock().unwrap())
        }

        async fn flush_done(&self, since: Timestamp) -> Result<(), StoreError> {
            let _done = self.mark.lock().unwrap().take_if(|mark| *mark == since);
            Ok(())
        }
    }

    #[async_trait]
    impl FlushAuthorizer for World {
        async fn flush_authorizer(&self) -> Result<(), FlushError> {
            *self.asked.lock().unwrap() += 1;
            let done = self.flushes.lock().unwrap().pop_front().unwrap_or_default();
            if done { Ok(()) } else { Err(FlushError("too many requests".into())) }
        }

        fn remembered_for(&self) -> Duration {
            Duration::from_mins(5)
        }
    }

    #[test]
    fn a_flush_is_made_at_once() {
        let world = World { flushes: Mutex::new([true].into()), ..World::default() };
        let now = world.hand.now();
        assert_eq!(world.revoke(), (Effective { by: now, flushed: true }, None, 1));
    }

    #[test]
    fn a_flush_that_is_refused_is_made_a_little_later() {
        let world = World { flushes: Mutex::new([false, true].into()), ..World::default() };
        let then = world.hand.now() + PAUSES[0];
        assert_eq!(world.revoke(), (Effective { by: then, flushed: true }, None, 2));
    }

    #[test]
    fn one_flush_makes_up_for_all_that_were_marked_before_it() {
        let world = World::default();
        let later = Some(world.hand.now() + Duration::from_millis(10));
        *world.others.lock().unwrap() = [later, later, None].into();
        let then = world.hand.now() + PAUSES.iter().sum::<Duration>();
        assert_eq!(world.revoke(), (Effective { by: then, flushed: true }, None, 1));
    }

    #[test]
    fn a_flush_that_fails_for_good_is_left_to_the_janitor() {
        let world = World::default();
        let since = world.hand.now();
        let by = since + Duration::from_mins(5);
        assert_eq!(world.revoke(), (Effective { by, flushed: false }, Some(since), 1 + PAUSES.len()));
    }
}
