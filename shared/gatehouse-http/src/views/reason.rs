//! Why a run stands as it does, as JSON.

use gatehouse_domain::ci::{Reason, ReasonCode};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a run stands as it does.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReasonView {
    /// For machines.
    #[schema(value_type = String, example = "paused")]
    code: ReasonCode,
    /// For people, with what would help.
    detail: String,
}

impl From<Reason> for ReasonView {
    fn from(reason: Reason) -> Self {
        Self { code: reason.code, detail: reason.detail }
    }
}
