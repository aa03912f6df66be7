//! Revocations over HTTP: flushing the stage through which a request came, and what answers say of it.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequest, FromRequestParts, Request},
    http::request::Parts,
};
use gatehouse_domain::{
    error::Chain,
    revocation::{Effective, FlushAuthorizer, FlushError, FlushStage},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    extract::{CalledStage, JsonBody},
    problem::Problem,
};

/// The authorizer cache of the stage through which the request came.
pub struct Flush(pub Arc<dyn FlushAuthorizer>);

impl<S> FromRequestParts<S> for Flush
where
    S: Send + Sync,
    Arc<dyn FlushStage>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let called = CalledStage::from_request_parts(parts, state).await?;
        Ok(Self(<Arc<dyn FlushStage>>::from_ref(state).of(called.0)))
    }
}

/// When something that was taken away is gone everywhere.
#[derive(Debug, Serialize, ToSchema)]
pub struct EffectiveAnswer {
    /// From then on at the latest.
    #[schema(value_type = String, format = DateTime)]
    effective_by: Timestamp,
    /// Whether API Gateway's memory of earlier answers was flushed. Otherwise that is tried again.
    flushed: bool,
}

impl EffectiveAnswer {
    /// The answer to a revocation. A flush that failed is logged here, since the caller is answered all the same.
    pub fn new(effective: Effective, flush_error: Option<&FlushError>) -> Self {
        log_flush_error(flush_error);
        Self { effective_by: effective.by, flushed: effective.flushed }
    }
}

/// Logs a flush that failed, since the caller is answered all the same.
pub fn log_flush_error(flush_error: Option<&FlushError>) {
    if let Some(error) = flush_error {
        tracing::error!(error = %Chain(error), "API Gateway's authorizer cache was not flushed; the janitor flushes it");
    }
}

/// The reason of a revocation, whose body may be left out.
pub struct Reason(pub Option<String>);

impl<S: Send + Sync> FromRequest<S> for Reason {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Option::<JsonBody<RevokeBody>>::from_request(request, state).await?;
        Ok(Self(body.and_then(|JsonBody(body)| body.reason)))
    }
}

/// Why something is revoked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    /// For people, and the audit trail.
    #[serde(default)]
    reason: Option<String>,
}
