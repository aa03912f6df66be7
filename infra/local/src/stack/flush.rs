//! Revocation in this process: the gateway forgets what its authorizer answered.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use gatehouse_domain::revocation::{FlushAuthorizer, FlushError, FlushStage, Stage};

use crate::gateway::AuthorizerCaches;

/// The gateway's memory. The gateway is made of the functions, and so after them; until it is, there is
/// nothing to forget.
#[derive(Clone)]
pub(super) struct GatewayMemory {
    caches: Arc<OnceLock<AuthorizerCaches>>,
    remembered_for: Duration,
}

impl GatewayMemory {
    /// The memory of a gateway that remembers an answer for so long.
    pub(super) fn new(remembered_for: Duration) -> Self {
        Self { caches: Arc::default(), remembered_for }
    }

    /// Says which gateway it is.
    pub(super) fn belongs_to(&self, caches: AuthorizerCaches) {
        // A second gateway would be a defect of the stack, which makes one.
        let _already = self.caches.set(caches);
    }
}

impl FlushStage for GatewayMemory {
    fn of(&self, _stage: Stage) -> Arc<dyn FlushAuthorizer> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl FlushAuthorizer for GatewayMemory {
    async fn flush_authorizer(&self) -> Result<(), FlushError> {
        if let Some(caches) = self.caches.get() {
            caches.flush();
        }
        Ok(())
    }

    fn remembered_for(&self) -> Duration {
        self.remembered_for
    }
}
