//! Leases: one holder at a time, for a while.

use std::time::Duration;

use async_trait::async_trait;

use crate::store::StoreError;

/// Whether a lease was had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// The caller holds it until its time ends or it is released.
    Acquired,
    /// Somebody else holds it.
    Held,
}

/// Hands out leases. Needs `dynamodb:PutItem` and `dynamodb:DeleteItem`.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes the lease `name` for `holder` unless somebody else's has not ended.
    async fn acquire(&self, name: &str, holder: &str, time: Duration) -> Result<LeaseOutcome, StoreError>;

    /// Gives the lease back, when `holder` still has it.
    async fn release(&self, name: &str, holder: &str) -> Result<(), StoreError>;
}
