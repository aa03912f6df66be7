//! Says who is calling and which paths they may reach: the REQUEST authorizer of API Gateway.
//!
//! API Gateway keeps the answer and uses it for every path, so the policy lists all that the caller may
//! reach. A path that is not in it is 403; a credential that opens nothing is 401, which API Gateway
//! answers when the error says exactly `Unauthorized`.

mod credential;
mod policy;

use std::{collections::HashMap, fmt, sync::Arc};

use gatehouse_domain::{
    api_key::{self, FindApiKey},
    caller::Caller,
    clock::Clock,
    report::Chain,
    store::StoreError,
};
use serde::Deserialize;

pub use self::policy::Answer;
use self::{credential::Credential, policy::Policy};

/// What API Gateway asks: the parts of its REQUEST event that matter here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The method and path that is called: `arn:aws:execute-api:<region>:<account>:<api>/<stage>/<verb>/…`.
    method_arn: String,
    /// The request's headers, as the caller wrote their names.
    #[serde(default)]
    headers: Option<HashMap<String, String>>,
}

/// The authorizer.
#[derive(Clone)]
pub struct Authorizer {
    /// Reads API keys.
    pub api_keys: Arc<dyn FindApiKey>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum AuthorizeError {
    /// Nobody is calling: API Gateway answers 401.
    Unauthorized,
    /// It cannot be known who is calling: API Gateway answers 500.
    Unavailable(StoreError),
}

impl fmt::Display for AuthorizeError {
    /// API Gateway answers 401 for this very word, and 500 for any other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized => f.write_str("Unauthorized"),
            Self::Unavailable(_) => f.write_str("Unavailable"),
        }
    }
}

impl std::error::Error for AuthorizeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unauthorized => None,
            Self::Unavailable(error) => Some(error),
        }
    }
}

impl From<AuthorizeError> for lambda_runtime::Diagnostic {
    fn from(error: AuthorizeError) -> Self {
        Self { error_type: "AuthorizeError".to_owned(), error_message: error.to_string() }
    }
}

impl Authorizer {
    /// Answers one request of API Gateway.
    ///
    /// # Errors
    ///
    /// When nobody is calling, or when that cannot be known.
    pub async fn authorize(&self, request: Request) -> Result<Answer, AuthorizeError> {
        let outcome = self.caller(&request).await;
        match &outcome {
            Ok(Some(caller)) => tracing::info!(caller = caller.actor(), "admitted {}", caller.actor()),
            Ok(None) => tracing::info!("refused a credential"),
            Err(error) => tracing::error!(error = %Chain(error), "could not look a credential up"),
        }
        let caller = outcome.map_err(AuthorizeError::Unavailable)?.ok_or(AuthorizeError::Unauthorized)?;
        let policy = Policy::for_caller(&caller, &request.method_arn).ok_or(AuthorizeError::Unauthorized)?;
        Ok(Answer::new(&caller, policy))
    }

    async fn caller(&self, request: &Request) -> Result<Option<Caller>, StoreError> {
        match request.headers.as_ref().and_then(Credential::from_headers) {
            None => Ok(None),
            Some(Credential::ApiKey(key)) => {
                api_key::authenticate(&*self.api_keys, &key, self.clock.now()).await
            }
        }
    }
}
