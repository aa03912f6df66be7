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

#[cfg(test)]
mod tests {
    use gatehouse_domain::error::Chain;

    use super::*;
    use crate::canned::{Canned, aws};

    async fn flush(server: &Canned) -> Result<(), String> {
        let gateway = ApiGateway::new(&aws(server), Duration::from_mins(5)).unwrap();
        let stage = gateway.of(Stage { api_id: "abc123".into(), name: "prod".into() });
        assert_eq!(stage.remembered_for(), Duration::from_mins(5));
        stage.flush_authorizer().await.map_err(|error| Chain(&error).to_string())
    }

    #[tokio::test]
    async fn a_flush_is_a_signed_call_for_the_stage() {
        let server = Canned::start([(202, String::new())]).await;
        assert_eq!(flush(&server).await, Ok(()));
        let requests = server.requests();
        let [request] = requests.as_slice() else { panic!("{requests:?}") };
        let line = "DELETE /restapis/abc123/stages/prod/cache/authorizers HTTP/1.1\r\n";
        assert!(request.head.starts_with(line), "{}", request.head);
        assert!(request.is_signed_for("apigateway"), "{}", request.head);
        assert!(request.body.is_empty());
    }

    #[tokio::test]
    async fn a_flush_that_is_refused_is_no_flush() {
        let server = Canned::start([(403, "{\"message\":\"not you\"}".to_owned())]).await;
        let error = flush(&server).await.unwrap_err();
        assert!(error.ends_with("the service answered 403"), "{error}");
    }
}
