//! Where access tokens come from: got once, shared by all functions, renewed before they end.
//!
//! Concourse gives out opaque tokens that last for hours. One is kept in the secret store, where every
//! function finds it, and in memory. Whoever finds it old or refused renews it under a lease, so that many
//! who find out at once make one request between them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gatehouse_domain::{
    ci::{CiError, CiErrorKind},
    clock::random_id,
    error::Chain,
    idempotency::Fingerprint,
    lease::LeaseOutcome,
    name::ProviderName,
    providers::Provider,
    secret::SecretName,
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    login::{Login, OPERATION},
    token::Token,
};
use crate::{concourse::transport::Transport, dependencies::Dependencies};

/// How long the lease is held at most: longer than any login takes.
const LEASE_TIME: Duration = Duration::from_secs(20);

/// How often somebody who waits for another's login looks for its token.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// How long one waits for another's login before logging in oneself: as long as a login may take.
const LOGIN_WAIT: Duration = Duration::from_secs(8);

/// How long refused credentials are not tried again: callers may be many, and directories lock accounts.
const REFUSAL_STANDS: Duration = Duration::from_secs(5);

/// A token as it is kept in the secret store.
#[derive(Serialize, Deserialize)]
struct StoredToken {
    access_token: String,
    expires_at: Timestamp,
    renew_at: Timestamp,
    credentials_version: String,
}

/// Where tokens come from.
pub(in crate::concourse) struct TokenSource {
    transport: Arc<Transport>,
    dependencies: Dependencies,
    provider: ProviderName,
    credentials_version: String,
    /// What the credentials have to be given for.
    place: Fingerprint,
    current: Mutex<Option<Token>>,
    /// Held while a token is obtained. Holds the last refusal of the credentials.
    renewal: tokio::sync::Mutex<Option<Refused>>,
}

/// Credentials that were refused.
struct Refused {
    advice: String,
    until: Timestamp,
}

impl TokenSource {
    pub(in crate::concourse) fn new(
        provider: &Provider,
        transport: Arc<Transport>,
        dependencies: Dependencies,
    ) -> Self {
        Self {
            transport,
            dependencies,
            provider: provider.name.clone(),
            credentials_version: provider.credentials_version.clone(),
            place: provider.place(),
            current: Mutex::new(None),
            renewal: tokio::sync::Mutex::new(None),
        }
    }

    /// A token that is good for a while, as far as anybody knows.
    pub(in crate::concourse) async fn token(&self) -> Result<Token, CiError> {
        match self.remembered() {
            Some(token) => Ok(token),
            None => self.obtain(None).await,
        }
    }

    /// Another token than `refused`, which Concourse does not take any more.
    pub(in crate::concourse) async fn token_after(&self, refused: &Token) -> Result<Token, CiError> {
        self.obtain(Some(refused)).await
    }

    async fn obtain(&self, refused: Option<&Token>) -> Result<Token, CiError> {
        // Of many requests that find the token old at once, one renews it; the others wait here and then find the
        // new one.
        let mut last = self.renewal.lock().await;
        self.current().take_if(|token| token.is(refused));
        if let Some(token) = self.remembered() {
            return Ok(token);
        }
        if let Some(token) = self.shared(refused).await {
            return Ok(token);
        }
        if let Some(refusal) = last.as_ref().filter(|refusal| refusal.until > self.now()) {
            return Err(CiError::new(CiErrorKind::CredentialsRefused, OPERATION, refusal.advice.clone()));
        }
        let renewed = self.renew(refused).await;
        *last = self.note(&renewed);
        // A token is renewed before it ends, so that a login that fails for some minutes stops nobody.
        renewed.or_else(|error| self.not_yet_ended().ok_or(error))
    }

    fn note(&self, outcome: &Result<Token, CiError>) -> Option<Refused> {
        let error = outcome.as_ref().err().filter(|error| error.kind == CiErrorKind::CredentialsRefused)?;
        let until = self.now().saturating_add(REFUSAL_STANDS).unwrap_or(Timestamp::MAX);
        Some(Refused { advice: error.advice.clone(), until })
    }

    /// The token in memory, unless it is old. One that was refused is not kept there.
    fn remembered(&self) -> Option<Token> {
        let now = self.now();
        self.current().clone().filter(|token| token.renew_at > now)
    }

    /// The token in memory, when it is old but has not ended.
    fn not_yet_ended(&self) -> Option<Token> {
        let now = self.now();
        self.current().clone().filter(|token| token.expires_at > now)
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Token>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token that functions share, unless it is `refused` or old. What is read may be some seconds old
    /// at first; only the store itself can say that there is no better one.
    async fn shared(&self, refused: Option<&Token>) -> Option<Token> {
        if refused.is_none() {
            let name = self.secret();
            let read = self.dependencies.read_secrets.read(&name).await;
            self.take(read.ok().flatten().as_ref(), None);
            if let Some(token) = self.remembered() {
                return Some(token);
            }
        }
        self.shared_now(refused).await
    }

    async fn shared_now(&self, refused: Option<&Token>) -> Option<Token> {
        match self.dependencies.read_secrets.read_fresh(&self.secret()).await {
            Ok(text) => self.take(text.as_ref(), refused),
            Err(error) => {
                tracing::warn!(provider = %self.provider, error = %Chain(&error), "could not read the shared token");
            }
        }
        self.remembered()
    }

    /// Remembers the token that `text` holds, when it was made from today's credentials and is not `refused`: the
    /// store still holds the token that Concourse refused until somebody has renewed it.
    fn take(&self, text: Option<&SecretString>, refused: Option<&Token>) {
        let stored = text.and_then(|text| serde_json::from_str::<StoredToken>(text.expose_secret()).ok());
        let Some(stored) = stored.filter(|it| it.credentials_version == self.credentials_version) else {
            return;
        };
        let StoredToken { access_token, expires_at, renew_at, .. } = stored;
        let token = Token { bearer: access_token.into(), renew_at, expires_at };
        if !token.is(refused) {
            *self.current() = Some(token);
        }
    }

    /// Logs in, or waits for somebody else who does.
    async fn renew(&self, refused: Option<&Token>) -> Result<Token, CiError> {
        let holder = random_id(&*self.dependencies.system, "login");
        let deadline = self.now().saturating_add(LOGIN_WAIT).unwrap_or(Timestamp::MAX);
        while self.now() < deadline {
            match self.dependencies.leases.acquire(&self.lease(), &holder, LEASE_TIME).await {
                Ok(LeaseOutcome::Acquired) => return self.renew_as(&holder, refused).await,
                Ok(LeaseOutcome::Held) => {}
                // The lease only saves logins. Without its store two are harmless, and none would be an outage.
                Err(error) => {
                    tracing::warn!(provider = %self.provider, error = %Chain(&error), "logging in without a lease");
                    break;
                }
            }
            self.dependencies.system.sleep(POLL_INTERVAL).await;
            if let Some(token) = self.shared_now(refused).await {
                return Ok(token);
            }
        }
        self.log_in_and_share().await
    }

    async fn renew_as(&self, holder: &str, refused: Option<&Token>) -> Result<Token, CiError> {
        // Whoever had the lease before may have left a token.
        let outcome = match self.shared_now(refused).await {
            Some(token) => Ok(token),
            None => self.log_in_and_share().await,
        };
        if let Err(error) = self.dependencies.leases.release(&self.lease(), holder).await {
            tracing::warn!(provider = %self.provider, error = %Chain(&error), "could not release the lease of the login");
        }
        outcome
    }

    async fn log_in_and_share(&self) -> Result<Token, CiError> {
        let token = self.login().log_in().await?;
        *self.current() = Some(token.clone());
        let stored = StoredToken {
            access_token: token.expose().to_owned(),
            expires_at: token.expires_at,
            renew_at: token.renew_at,
            credentials_version: self.credentials_version.clone(),
        };
        let text = serde_json::to_string(&stored).unwrap_or_default().into();
        // The token is good all the same; others will log in themselves.
        if let Err(error) = self.dependencies.write_secrets.write(&self.secret(), &text).await {
            tracing::warn!(provider = %self.provider, error = %Chain(&error), "could not share the token");
        }
        Ok(token)
    }

    fn login(&self) -> Login<'_> {
        Login {
            transport: &self.transport,
            secrets: &*self.dependencies.read_secrets,
            clock: &*self.dependencies.system,
            provider: &self.provider,
            place: &self.place,
        }
    }

    fn now(&self) -> Timestamp {
        self.dependencies.system.now()
    }

    fn secret(&self) -> SecretName {
        SecretName::provider_token(&self.provider)
    }

    fn lease(&self) -> String {
        format!("provider/{}/token", self.provider)
    }
}
