//! What answers say of a revocation.

use gatehouse_domain::{
    error::Chain,
    revocation::{Effective, FlushError},
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// When something that was taken away is gone everywhere.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EffectiveAnswer {
    /// From then on at the latest.
    #[schema(value_type = String, format = DateTime)]
    effective_by: Timestamp,
    /// Whether API Gateway's memory of earlier answers was flushed. Otherwise that is tried again.
    flushed: bool,
}

impl EffectiveAnswer {
    /// What there is to say, with what went wrong in the log.
    pub(crate) fn new(effective: Effective, flush_error: Option<&FlushError>) -> Self {
        if let Some(error) = flush_error {
            tracing::error!(error = %Chain(error), "a flush is owed to API Gateway");
        }
        Self { effective_by: effective.by, flushed: effective.flushed }
    }
}

/// Why something is revoked.
#[derive(Debug, Default, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeBody {
    /// For people, and the audit trail.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}
