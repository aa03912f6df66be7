//! API Gateway's control plane: making a stage forget what its authorizer answered.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use gatehouse_domain::revocation::{FlushAuthorizer, FlushError, FlushStage, Stage};

use crate::{
    aws::Aws,
    signed::{SignedError, SignedService},
};

/// The stages of this account and region.
#[derive(Debug, Clone)]
pub struct ApiGateway {
    service: SignedService,
    remembered_for: Duration,
}

impl ApiGateway {
    /// API Gateway, whose stages remember an answer for so long.
    ///
    /// # Errors
    ///
    /// When there is no region.
    pub fn new(aws: &Aws, remembered_for: Duration) -> Result<Self, SignedError> {
        Ok(Self { service: aws.signed("apigateway")?, remembered_for })
    }
}

impl FlushStage for ApiGateway {
    fn of(&self, stage: Stage) -> Arc<dyn FlushAuthorizer> {
        Arc::new(StageCache { gateway: self.clone(), stage })
    }
}

/// What one stage remembers.
struct StageCache {
    gateway: ApiGateway,
    stage: Stage,
}

#[async_trait]
impl FlushAuthorizer for StageCache {
    /// `FlushStageAuthorizersCache`: `DELETE /restapis/{id}/stages/{stage}/cache/authorizers`.
    async fn flush_authorizer(&self) -> Result<(), FlushError> {
        let Stage { api_id, name } = &self.stage;
        let path = format!("/restapis/{api_id}/stages/{name}/cache/authorizers");
        let request =
            http::Request::delete(path).body(String::new()).map_err(|error| FlushError(error.into()))?;
        self.gateway.service.call(request).await.map_err(|error| FlushError(error.into()))?;
        Ok(())
    }

    fn remembered_for(&self) -> Duration {
        self.gateway.remembered_for
    }
}
