use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use gatehouse_domain::revocation::{FlushAuthorizer, FlushError, FlushStage, Stage};

/// API Gateway's memory of the authorizer's answers: counts how often it was flushed.
#[derive(Debug, Clone, Default)]
pub struct Flushes(Arc<State>);

#[derive(Debug, Default)]
struct State {
    count: AtomicUsize,
    broken: AtomicBool,
}

impl Flushes {
    /// One whose flushes fail.
    pub fn failing() -> Self {
        let flushes = Self::default();
        flushes.fail();
        flushes
    }

    /// Lets every flush from now on fail.
    pub fn fail(&self) {
        self.0.broken.store(true, Ordering::SeqCst);
    }

    /// How many flushes succeeded.
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl FlushAuthorizer for Flushes {
    async fn flush_authorizer(&self) -> Result<(), FlushError> {
        if self.0.broken.load(Ordering::SeqCst) {
            return Err(FlushError("API Gateway does not answer".into()));
        }
        self.0.count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn remembered_for(&self) -> Duration {
        Duration::from_mins(5)
    }
}

impl FlushStage for Flushes {
    fn of(&self, _stage: Stage) -> Arc<dyn FlushAuthorizer> {
        Arc::new(self.clone())
    }
}
