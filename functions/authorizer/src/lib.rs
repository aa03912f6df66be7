//! Says who is calling and which paths they may reach: the REQUEST authorizer of API Gateway.
//!
//! API Gateway keeps the answer and uses it for every path, so the policy lists all that the caller may
//! reach. A path that is not in it is 403; a credential that opens nothing is 401, which API Gateway
//! answers when the error says exactly `Unauthorized`.
//!
//! A signature is checked without a look-up, so that who makes tokens up costs a little time and no read.
//! Then one read of the record says whether the credential is still valid.

mod credential;
mod policy;
mod ring;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use gatehouse_domain::{
    api_key::{self, ApiKeyId, FindApiKey, PresentedKey, RecordKeyUse},
    caller::Caller,
    clock::Clock,
    error::Chain,
    signing::FindKeyRing,
    store::StoreError,
    tenant::ListTenants,
    tokens::{self, FindToken, RecordUse, Use},
    users::{self, FindAccount, RecordSessionUse, SessionUse},
};
use gatehouse_jwt::{Issuer, Refusal, Verified};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::timeout;

pub use self::policy::{Answer, OwnPath, Policy};
use self::{
    credential::Credential,
    ring::{NotVerified, Ring},
};

/// How long reading the public keys may hold up the start of the function.
const START_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an answer may take. It may need several calls of the store, one after the other, and Lambda cuts off what takes
/// longer than its time limit: the caller would then wait for nothing.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// To find out who is calling.
    pub looking_up: Duration,
    /// To write down that they called.
    pub writing_down: Duration,
}

impl TimeLimits {
    /// On Lambda, where the template gives it 5 s for both.
    pub const LAMBDA: Self =
        Self { looking_up: Duration::from_secs(3), writing_down: Duration::from_secs(1) };

    /// Where nobody cuts it off.
    const ENDLESS: Self = Self { looking_up: Duration::MAX, writing_down: Duration::MAX };
}

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

/// The records that the authorizer reads, and what it writes into them.
pub trait Records:
    FindAccount + ListTenants + RecordSessionUse + FindToken + RecordUse + FindApiKey + RecordKeyUse + FindKeyRing
{
}

impl<S> Records for S where
    S: FindAccount
        + ListTenants
        + RecordSessionUse
        + FindToken
        + RecordUse
        + FindApiKey
        + RecordKeyUse
        + FindKeyRing
{
}

pub struct Authorizer<S> {
    store: Arc<S>,
    ring: Ring<S>,
    clock: Arc<dyn Clock>,
    limits: TimeLimits,
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

/// Why nobody is let in.
#[derive(Debug, thiserror::Error)]
enum Denied {
    /// There is no credential of a form that we know.
    #[error("there is no credential that could be one of ours")]
    Nobody,
    /// The token is not one of ours.
    #[error(transparent)]
    Token(Refusal),
    /// There is no record, or it does not let the credential in.
    #[error("its record does not let it in")]
    Record,
    /// It cannot be known.
    #[error("could not look a credential up")]
    Store(#[from] StoreError),
}

impl From<NotVerified> for Denied {
    fn from(error: NotVerified) -> Self {
        match error {
            NotVerified::Refused(refusal) => Self::Token(refusal),
            NotVerified::Store(error) => Self::Store(error),
        }
    }
}

/// Somebody who is let in.
struct Admitted {
    caller: Caller,
    /// When their service token ends.
    expires_at: Option<Timestamp>,
    /// What is to be written down.
    used: Option<Used>,
}

/// That a credential is used.
enum Used {
    Session(SessionUse),
    Token(Use),
    Key(ApiKeyId, Timestamp),
}

impl<S: Records> Authorizer<S> {
    /// An authorizer for the tokens of `issuer`, which waits for its store as long as that takes.
    pub fn new(store: Arc<S>, clock: Arc<dyn Clock>, issuer: Issuer) -> Self {
        let ring = Ring::new(store.clone(), issuer);
        Self { store, ring, clock, limits: TimeLimits::ENDLESS }
    }

    /// The same within such limits.
    #[must_use]
    pub fn within(self, limits: TimeLimits) -> Self {
        Self { limits, ..self }
    }

    /// Does what it can while the function starts, when CPU time is free. Reading the public keys opens the
    /// connection to the store as well, so that the first request need not. Where that fails, the first
    /// token tries again.
    pub async fn warm_up(&self) {
        policy::prepare();
        let load = self.ring.load(self.clock.now());
        match timeout(START_UP_TIMEOUT, load).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(error = %Chain(&error), "could not read the public keys"),
            Err(_) => tracing::warn!("could not read the public keys in time"),
        }
    }

    /// Answers one request of API Gateway.
    ///
    /// # Errors
    ///
    /// When nobody is calling, or when that cannot be known.
    pub async fn authorize(&self, request: Request) -> Result<Answer, AuthorizeError> {
        let looked_up = timeout(self.limits.looking_up, self.admit(&request)).await;
        let too_late = || Err(Denied::Store(StoreError::Unavailable("it did not answer in time".into())));
        let admitted = match looked_up.unwrap_or_else(|_| too_late()) {
            Ok(admitted) => admitted,
            Err(Denied::Store(error)) => {
                tracing::error!(error = %Chain(&error), "could not look a credential up");
                return Err(AuthorizeError::Unavailable(error));
            }
            Err(denied) => {
                tracing::info!(reason = %denied, "refused a credential");
                return Err(AuthorizeError::Unauthorized);
            }
        };
        let caller = &admitted.caller;
        tracing::info!(caller = caller.actor(), "admitted {}", caller.actor());
        let policy =
            Policy::for_caller(caller, &[], &request.method_arn).ok_or(AuthorizeError::Unauthorized)?;
        if let Some(used) = &admitted.used {
            self.record(used).await;
        }
        Ok(Answer::new(caller, admitted.expires_at, policy))
    }

    async fn admit(&self, request: &Request) -> Result<Admitted, Denied> {
        let now = self.clock.now();
        match request.headers.as_ref().and_then(Credential::from_headers) {
            None => Err(Denied::Nobody),
            Some(Credential::ApiKey(key)) => self.admit_key(&key, now).await,
            Some(Credential::Token(token)) => self.admit_token(&token, now).await,
        }
    }

    async fn admit_key(&self, key: &PresentedKey, now: Timestamp) -> Result<Admitted, Denied> {
        let admitted = api_key::authenticate(&*self.store, key, now).await?;
        let (caller, is_news) = admitted.ok_or(Denied::Record)?;
        let used = is_news.then(|| Used::Key(key.id(), now));
        Ok(Admitted { caller, expires_at: None, used })
    }

    async fn admit_token(&self, token: &str, now: Timestamp) -> Result<Admitted, Denied> {
        let verified = self.ring.verify(token, now).await?;
        let (admitted, refreshed) = tokio::join!(self.look_up(&verified, now), self.ring.refresh(now));
        match refreshed {
            // The key may have been taken out of the ring meanwhile.
            Ok(Some(newer)) => drop(newer.verify(token, now).map_err(Denied::Token)?),
            Ok(None) => {}
            Err(error) => tracing::warn!(error = %Chain(&error), "could not read the public keys again"),
        }
        admitted
    }

    /// The one read: whether a token whose signature was verified is still valid.
    async fn look_up(&self, verified: &Verified, now: Timestamp) -> Result<Admitted, Denied> {
        match verified {
            Verified::Session(claims) => {
                let admitted = users::authenticate(&*self.store, claims, now).await?;
                let (caller, used) = admitted.ok_or(Denied::Record)?;
                Ok(Admitted { caller, expires_at: None, used: used.map(Used::Session) })
            }
            Verified::Service(claims) => {
                let admitted = tokens::authenticate(&*self.store, claims, now).await?;
                let (caller, used) = admitted.ok_or(Denied::Record)?;
                Ok(Admitted { caller, expires_at: Some(claims.expires_at), used: used.map(Used::Token) })
            }
        }
    }

    /// Writes down that a credential is used. Who may come in comes in where that fails; the next use tries
    /// again.
    async fn record(&self, used: &Used) {
        let write = async {
            match used {
                Used::Session(used) => self.store.record_session_use(used).await,
                Used::Token(used) => self.store.record_use(used).await,
                Used::Key(id, at) => self.store.record_key_use(id, *at).await,
            }
        };
        match timeout(self.limits.writing_down, write).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = %Chain(&error), "could not write down that a credential is used");
            }
            Err(_) => tracing::warn!("could not write down in time that a credential is used"),
        }
    }
}
