//! AWS clients that start fast: one HTTP client for all, a handful of certificate authorities, and
//! credentials from the environment, where Lambda puts them.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region, SdkConfig,
    environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider},
    meta::region::ProvideRegion,
    retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_smithy_http_client::{
    Builder,
    tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::{
    env,
    signed::{SignedError, SignedService},
};

/// The authorities that AWS endpoints chain to. Parsing the system's 140 takes a millisecond or two of
/// every cold start; these take next to nothing. `AWS_CA_BUNDLE` replaces them.
const AMAZON_ROOT_CAS: &[u8] = include_bytes!("certificates/amazon-root-cas.pem");

/// How long a connection may take to open: AWS endpoints answer in a few milliseconds from Lambda.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a call of AWS may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallBudget {
    /// One attempt.
    pub attempt: Duration,
    /// All attempts, and the pauses between them.
    pub call: Duration,
}

impl CallBudget {
    /// For whoever answers a request or does what a schedule asks for: well below the 29 s that a request has.
    pub const REQUEST: Self = Self { attempt: Duration::from_secs(3), call: Duration::from_secs(8) };

    /// For the authorizer, which is cut off after 5 s and may have to write after it has read. There is time for a second
    /// attempt.
    pub const AUTHORIZER: Self = Self { attempt: Duration::from_millis(1400), call: Duration::from_secs(3) };

    fn timeouts(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.call)
            .build()
    }
}

/// How often a call is tried. The SDK is the only layer that repeats AWS calls.
const ATTEMPTS: u32 = 3;

/// The AWS clients of one process. They share one HTTP client, and so its connections.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
    http: SharedHttpClient,
    endpoints: Endpoints,
    budget: CallBudget,
}

/// Endpoints of single services, which win over the one of all.
#[derive(Debug, Clone, Default)]
struct Endpoints {
    dynamodb: Option<String>,
    secrets_manager: Option<String>,
    step_functions: Option<String>,
}

/// The AWS configuration is not usable.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// `AWS_CA_BUNDLE` cannot be read.
    #[error("could not read the certificates of AWS_CA_BUNDLE")]
    CaBundle(#[source] std::io::Error),
    /// The certificates are not usable.
    #[error("could not prepare TLS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Aws {
    /// Reads `AWS_REGION`, the credentials' variables, `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_DYNAMODB`,
    /// `AWS_ENDPOINT_URL_SECRETS_MANAGER`, `AWS_ENDPOINT_URL_SFN` and `AWS_CA_BUNDLE`.
    ///
    /// # Errors
    ///
    /// When the certificates cannot be used.
    pub async fn from_env() -> Result<Self, AwsError> {
        let region = EnvironmentVariableRegionProvider::new().region().await;
        let credentials = SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new());
        let endpoints = Endpoints {
            dynamodb: env::optional("AWS_ENDPOINT_URL_DYNAMODB"),
            secrets_manager: env::optional("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
            step_functions: env::optional("AWS_ENDPOINT_URL_SFN"),
        };
        let aws = Self::new(region, credentials, env::optional("AWS_ENDPOINT_URL"))?;
        Ok(Self { endpoints, ..aws })
    }

    /// Clients of `endpoint`, or of AWS itself without one.
    ///
    /// # Errors
    ///
    /// When the certificates cannot be used.
    pub fn new(
        region: Option<Region>,
        credentials: SharedCredentialsProvider,
        endpoint: Option<String>,
    ) -> Result<Self, AwsError> {
        let http = http_client(endpoint.as_deref())?;
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region)
            .credentials_provider(credentials)
            .http_client(http.clone())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(CallBudget::REQUEST.timeouts());
        config.set_endpoint_url(endpoint);
        let (endpoints, budget) = (Endpoints::default(), CallBudget::REQUEST);
        Ok(Self { config: config.build(), http, endpoints, budget })
    }

    /// The same with calls that may take so long. Clients that were made before keep what they had.
    #[must_use]
    pub fn within(self, budget: CallBudget) -> Self {
        let config = self.config.into_builder().timeout_config(budget.timeouts()).build();
        Self { config, budget, ..self }
    }

    /// A client of `DynamoDB`.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::config::Builder::from(&self.config);
        if let Some(endpoint) = &self.endpoints.dynamodb {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// A service that is called without its SDK.
    ///
    /// # Errors
    ///
    /// When there is no region.
    pub fn signed(&self, service: &'static str) -> Result<SignedService, SignedError> {
        let http = self.http.clone();
        let timeouts = self.budget.timeouts();
        SignedService::new(service, self.config.endpoint_url(), &self.config, http, timeouts)
    }

    /// A client of Secrets Manager.
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let mut config = aws_sdk_secretsmanager::config::Builder::from(&self.config);
        if let Some(endpoint) = &self.endpoints.secrets_manager {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// A client of Step Functions.
    pub fn step_functions(&self) -> aws_sdk_sfn::Client {
        let mut config = aws_sdk_sfn::config::Builder::from(&self.config);
        if let Some(endpoint) = &self.endpoints.step_functions {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_sfn::Client::from_conf(config.build())
    }
}

fn http_client(endpoint: Option<&str>) -> Result<SharedHttpClient, AwsError> {
    // Emulators speak plain HTTP, and the local stack starts a client per service: neither needs authorities parsed.
    if endpoint.is_some_and(|url| url.starts_with("http://")) {
        return Ok(Builder::new().build_http());
    }
    let pem = match env::optional("AWS_CA_BUNDLE") {
        Some(path) => std::fs::read(path).map_err(AwsError::CaBundle)?,
        None => AMAZON_ROOT_CAS.to_vec(),
    };
    let context = TlsContext::builder()
        .with_trust_store(TrustStore::empty().with_pem_certificate(pem))
        .build()
        .map_err(|error| AwsError::Tls(error.into()))?;
    Ok(Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https())
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::config::Credentials;

    use super::*;

    #[test]
    fn calls_have_the_budget_that_they_are_given() {
        let credentials = Credentials::new("AKIDTEST", "secret", None, None, "test");
        let provider = SharedCredentialsProvider::new(credentials);
        let endpoint = Some("http://127.0.0.1:1".to_owned());
        let aws = Aws::new(Some(Region::from_static("us-east-1")), provider, endpoint).unwrap();
        let budget = |aws: &Aws| {
            let timeouts = aws.config.timeout_config().unwrap();
            let (attempt, call) = (timeouts.operation_attempt_timeout(), timeouts.operation_timeout());
            (CallBudget { attempt: attempt.unwrap(), call: call.unwrap() }, timeouts.connect_timeout())
        };
        assert_eq!(budget(&aws), (CallBudget::REQUEST, Some(CONNECT_TIMEOUT)));
        let hurried = aws.within(CallBudget::AUTHORIZER);
        assert_eq!(budget(&hurried), (CallBudget::AUTHORIZER, Some(CONNECT_TIMEOUT)));
        assert_eq!(hurried.config.endpoint_url(), Some("http://127.0.0.1:1"));
        assert!(
            CallBudget::AUTHORIZER.attempt * 2 < CallBudget::AUTHORIZER.call,
            "a second attempt has time"
        );
    }
}
