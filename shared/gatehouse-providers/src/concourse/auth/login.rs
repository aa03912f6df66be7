//! Logging in: the one request that needs credentials, and what its refusals mean.

use std::time::Duration;

use gatehouse_domain::{
    ci::{Account, CiError, CiErrorKind},
    clock::Clock,
    idempotency::Fingerprint,
    name::ProviderName,
    providers::Credentials,
    secret::{ReadSecret, SecretName},
};
use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::form_urlencoded;

use super::token::Token;
use crate::{
    concourse::{
        error::{About, Call, Effect, translate},
        transport::{Failure, Refusal, Repeat, Transport, read_answer},
    },
    limits::TOKEN_TIMEOUT,
};

/// What is tried, as failures name it.
pub(super) const OPERATION: &str = "log in";

const PATH: &str = "/sky/issuer/token";

/// Without `federated:id` Concourse logs us in as nobody in particular.
const SCOPES: &str = "openid profile email federated:id groups";

/// The client that every Concourse knows, for password logins: public, no secret of anybody's.
const PUBLIC_CLIENT: (&str, &str) = ("fly", "Zmx5");

/// How long a token is taken to last when Concourse does not say.
const UNKNOWN_LIFETIME: u64 = 3600;

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OauthError {
    error: String,
    error_description: String,
}

/// Logs in to one Concourse.
pub(super) struct Login<'a> {
    pub(super) transport: &'a Transport,
    pub(super) secrets: &'a dyn ReadSecret,
    pub(super) clock: &'a dyn Clock,
    pub(super) provider: &'a ProviderName,
    /// Where it leads.
    pub(super) place: &'a Fingerprint,
}

impl Login<'_> {
    /// Asks Concourse for a new token.
    pub(super) async fn log_in(&self) -> Result<Token, CiError> {
        let credentials = self.credentials().await?;
        let shape = |request: RequestBuilder| shape(request, &credentials);
        let outcome = match self.transport.send(Method::POST, PATH, Repeat::Once, shape).await {
            Ok(response) => read_answer::<Granted>(response).await,
            Err(failure) => Err(failure),
        };
        let granted = outcome.map_err(|failure| self.explain(failure, &credentials.account))?;
        let lifetime = Duration::from_secs(granted.expires_in.unwrap_or(UNKNOWN_LIFETIME));
        Ok(Token::new(granted.access_token, self.clock.now(), lifetime))
    }

    /// The credentials as they are now: older ones would make a token that passes for a new one.
    async fn credentials(&self) -> Result<Credentials, CiError> {
        let name = SecretName::provider_credentials(self.provider);
        let text = self.secrets.read_fresh(&name).await.map_err(|error| {
            let advice = "the secret store, where the credentials for Concourse are, does not answer";
            CiError::new(CiErrorKind::Unavailable, OPERATION, advice).caused_by(error)
        })?;
        let text = text.ok_or_else(|| self.refused("there are no credentials for Concourse"))?;
        let credentials = Credentials::from_secret(&text)
            .map_err(|error| self.refused("the credentials for Concourse are unreadable").caused_by(error))?;
        if credentials.fit(self.place) {
            Ok(credentials)
        } else {
            Err(self
                .refused("the credentials for Concourse were given for another URL, account or authority"))
        }
    }

    fn refused(&self, what: &str) -> CiError {
        let advice = format!("{what}; register provider `{}` again with them", self.provider);
        CiError::new(CiErrorKind::CredentialsRefused, OPERATION, advice)
    }

    fn explain(&self, failure: Failure, account: &Account) -> CiError {
        let base = self.transport.base();
        let (known, status) = match &failure {
            Failure::Refused(refusal) => (known_refusal(refusal, account), Some(refusal.status)),
            _ => (None, None),
        };
        if let Some((kind, advice)) = known {
            let again = match kind {
                CiErrorKind::CredentialsRefused => {
                    format!("; then register provider `{}` again", self.provider)
                }
                _ => String::new(),
            };
            return CiError::new(kind, OPERATION, format!("{advice}{again}")).caused_by(failure);
        }
        let call = Call { operation: OPERATION, about: About::Server, effect: Effect::Reads };
        let mut error = translate(failure, &call, base);
        match status {
            Some(StatusCode::NOT_FOUND) => {
                error.kind = CiErrorKind::Protocol;
                error.advice = format!(
                    "there is no login at {base}{PATH}: is the provider's URL right, and Concourse 6.5 or later?"
                );
            }
            Some(status) if !status.is_redirection() => {
                error.advice = format!("the login of Concourse at {base} answered {status}");
            }
            _ => {}
        }
        error
    }
}

/// Concourse takes both halves of a Basic header URL-encoded.
fn shape(request: RequestBuilder, credentials: &Credentials) -> RequestBuilder {
    let secret = &credentials.secret;
    let request = request.timeout(TOKEN_TIMEOUT);
    match &credentials.account {
        Account::Password { username } => {
            let (client, client_secret) = PUBLIC_CLIENT;
            let form = [
                ("grant_type", "password"),
                ("username", username),
                ("password", secret.expose_secret()),
                ("scope", SCOPES),
            ];
            request.basic_auth(client, Some(client_secret)).form(&form)
        }
        Account::ClientCredentials { client_id } => {
            let form = [("grant_type", "client_credentials"), ("scope", SCOPES)];
            request.basic_auth(encoded(client_id), Some(encoded_secret(secret))).form(&form)
        }
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn encoded_secret(secret: &SecretString) -> String {
    encoded(secret.expose_secret())
}

/// The refusals that the login server explains itself.
fn known_refusal(refusal: &Refusal, account: &Account) -> Option<(CiErrorKind, String)> {
    let said: OauthError = serde_json::from_str(&refusal.body).unwrap_or_default();
    let advice = match (refusal.status, said.error.as_str(), account) {
        (StatusCode::UNAUTHORIZED, "access_denied", Account::Password { username }) => format!(
            "Concourse refuses the password of user `{username}`: it must be that of a local user \
             (CONCOURSE_ADD_LOCAL_USER on the web nodes, read when they start) or of its password connector"
        ),
        (StatusCode::UNAUTHORIZED, "invalid_client", Account::ClientCredentials { client_id }) => format!(
            "Concourse refuses client `{client_id}` or its secret: both must be in CONCOURSE_ADD_CLIENT on the \
             web nodes, which is read when they start"
        ),
        (StatusCode::UNAUTHORIZED, "invalid_client", Account::Password { .. }) => {
            "what answers does not know the client `fly`, which every Concourse has; is the provider's URL right?"
                .to_owned()
        }
        (StatusCode::BAD_REQUEST, _, Account::Password { .. })
            if said.error_description.contains("connector does not exist") =>
        {
            "Concourse has no local users: add one with CONCOURSE_ADD_LOCAL_USER on the web nodes, or use \
             client credentials (CONCOURSE_ADD_CLIENT)"
                .to_owned()
        }
        (StatusCode::BAD_REQUEST, _, _) if said.error_description.contains("Could not login") => {
            let advice = "the directory behind Concourse's login does not answer";
            return Some((CiErrorKind::Unavailable, advice.to_owned()));
        }
        (StatusCode::UNAUTHORIZED, _, _) => "Concourse refuses our credentials".to_owned(),
        _ => return None,
    };
    Some((CiErrorKind::CredentialsRefused, advice))
}
