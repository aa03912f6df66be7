//! Calls of AWS services whose SDK we do without: a request, signed with Signature Version 4.
//!
//! Gatehouse makes one call of API Gateway's control plane and one of `EventBridge`. The SDKs of the two are
//! as large as everything else that is compiled here; AWS's own signer and client, which every SDK is built
//! from, are all that the calls need.

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningError, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        http::SharedHttpClient,
        orchestrator::{HttpRequest, HttpResponse, OrchestratorError},
        result::SdkError,
    },
};
use aws_smithy_types::{body::SdkBody, retry::RetryConfig, timeout::TimeoutConfig};
use gatehouse_domain::clock::Clock;

use crate::clock::SystemClock;

/// One service of AWS.
#[derive(Debug, Clone)]
pub struct SignedService {
    /// As signatures name it: `apigateway`, `events`.
    service: &'static str,
    endpoint: String,
    config: SdkConfig,
    http: SharedHttpClient,
    timeouts: TimeoutConfig,
}

/// A call that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum SignedError {
    /// There is no region to sign for.
    #[error("AWS_REGION is not set")]
    NoRegion,
    /// There are no credentials to sign with.
    #[error("there are no credentials")]
    Credentials(#[from] CredentialsError),
    /// The request cannot be signed.
    #[error("the request could not be signed")]
    Signing(#[source] BoxError),
    /// The service did not answer.
    #[error("the service did not answer")]
    Unreachable(#[source] BoxError),
    #[error("the service answered {status}")]
    Refused { status: u16 },
}

impl From<SigningError> for SignedError {
    fn from(error: SigningError) -> Self {
        Self::Signing(error.into())
    }
}

impl SignedService {
    pub(crate) fn new(
        service: &'static str,
        endpoint: Option<&str>,
        config: &SdkConfig,
        http: SharedHttpClient,
        timeouts: TimeoutConfig,
    ) -> Result<Self, SignedError> {
        let region = config.region().ok_or(SignedError::NoRegion)?;
        let endpoint = match endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://{service}.{region}.amazonaws.com"),
        };
        Ok(Self { service, endpoint, config: config.clone(), http, timeouts })
    }

    /// Sends a request whose URI is a path, and answers with the body of the answer. Failures that may pass
    /// are tried again, so the request must be one that may come twice.
    ///
    /// # Errors
    ///
    /// When the service cannot be reached, or answers with anything but success.
    pub async fn call(&self, request: http::Request<String>) -> Result<Vec<u8>, SignedError> {
        let request = self.sign(request).await?;
        let operation = Operation::builder()
            .service_name(self.service)
            .operation_name("call")
            .http_client(self.http.clone())
            .endpoint_url(&self.endpoint)
            // The request is signed already: the SDK's own signer would need the service's endpoint rules.
            .no_auth()
            .standard_retry(&RetryConfig::standard())
            .timeout_config(self.timeouts.clone())
            .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
            .time_source(aws_smithy_async::time::SystemTimeSource::new())
            .serializer(|request: HttpRequest| Ok(request))
            .deserializer::<_, SignedError>(read)
            .build();
        operation.invoke(request).await.map_err(explain)
    }

    async fn sign(&self, request: http::Request<String>) -> Result<HttpRequest, SignedError> {
        let region = self.config.region().ok_or(SignedError::NoRegion)?;
        let provider = self.config.credentials_provider().ok_or(SignedError::NoRegion)?;
        let identity = provider.provide_credentials().await?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region.as_ref())
            .name(self.service)
            .time(SystemClock.now().into())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| SignedError::Signing(error.into()))?;
        let (mut parts, body) = request.into_parts();
        let uri = format!("{}{}", self.endpoint, parts.uri);
        parts.uri = uri.parse().map_err(|error: http::uri::InvalidUri| SignedError::Signing(error.into()))?;
        let mut request = http::Request::from_parts(parts, body);
        let headers =
            request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new(
            request.method().as_str(),
            uri,
            headers,
            SignableBody::Bytes(request.body().as_bytes()),
        )?;
        let (instructions, _) = sign(signable, &parameters.into())?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        HttpRequest::try_from(request.map(SdkBody::from)).map_err(|error| SignedError::Signing(error.into()))
    }
}

fn read(response: &HttpResponse) -> Result<Vec<u8>, OrchestratorError<SignedError>> {
    let status = response.status();
    if status.is_success() {
        Ok(response.body().bytes().unwrap_or_default().to_vec())
    } else {
        Err(OrchestratorError::operation(SignedError::Refused { status: status.as_u16() }))
    }
}

fn explain(error: SdkError<SignedError, HttpResponse>) -> SignedError {
    match error {
        SdkError::ServiceError(error) => error.into_err(),
        other => SignedError::Unreachable(match other.into_source() {
            Ok(source) => source,
            Err(error) => error.to_string().into(),
        }),
    }
}
