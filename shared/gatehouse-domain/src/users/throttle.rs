//! Permits to try a password.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::store::StoreError;

/// Leave to try a password once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// Of whom: an account or an address.
    pub of: String,
    /// The window that it is for.
    pub window: Timestamp,
    /// How many there are in a window.
    pub limit: u32,
}

/// Whether an attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It may; every permit was taken.
    Permitted,
    /// It may not; none was taken.
    Refused,
}

/// Counts attempts. Needs `dynamodb:UpdateItem`.
#[async_trait]
pub trait Throttle: Send + Sync {
    /// Takes every one of these permits, or none.
    async fn take_permits(&self, permits: &[Permit]) -> Result<Attempt, StoreError>;
}
