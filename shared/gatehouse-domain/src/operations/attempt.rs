//! Attempts: one worker's work on one phase, and the token with which it reports.
//!
//! A callback token says for which operation and attempt it is and when it ends, with a keyed hash over
//! all of that: `cb1.<claims>.<mac>`, both base64url without padding. Nobody can change it without the key,
//! and nothing needs to be kept to check it.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::TaskToken;
use crate::{
    id::OperationId,
    secret::{ReadSecret, SecretError, SecretName},
};

/// What every callback token begins with: a version, so that another form can be distinguished.
const PREFIX: &str = "cb1";

/// What is hashed before the claims: a hash that the key makes of anything else is never a token.
const DOMAIN: &[u8] = b"gatehouse callback token 1\n";

/// How much longer than its phase a token lives: for the last report of a worker that was stopped.
const GRACE: Duration = Duration::from_mins(15);

/// The fewest bytes a key may have.
const SHORTEST_KEY: usize = 32;

/// What an attempt works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Finds out what would change.
    Plan,
    Apply,
    /// Brings a version to the environment.
    Deploy,
}

impl Phase {
    /// `plan`, `apply` or `deploy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Deploy => "deploy",
        }
    }

    /// How long the workflow waits for it at most: as its state machine says.
    pub fn limit(self) -> Duration {
        match self {
            Self::Plan => Duration::from_hours(1),
            Self::Apply | Self::Deploy => Duration::from_hours(2),
        }
    }
}

/// One worker's work on one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1, 2, 3 … in its operation.
    pub number: u32,
    /// What it works on.
    pub phase: Phase,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// When its callback token ends.
    pub expires_at: Timestamp,
    /// The task of the workflow that waits for its result; `None` before the worker's first report.
    pub token: Option<TaskToken>,
    /// The number of the last message that was taken.
    pub sequence: u64,
    /// What that message was, so that its repetition is recognised.
    pub last_message: Option<String>,
    /// When the worker was last heard of.
    pub heard_at: Timestamp,
    /// Whether the worker said that it is done.
    pub reported: bool,
}

impl Attempt {
    /// An attempt whose worker is about to be started.
    pub fn new(number: u32, phase: Phase, now: Timestamp) -> Self {
        Self {
            number,
            phase,
            begun_at: now,
            expires_at: now + phase.limit() + GRACE,
            token: None,
            sequence: 0,
            last_message: None,
            heard_at: now,
            reported: false,
        }
    }

    /// What its callback token says.
    pub fn claims(&self, operation: &OperationId) -> CallbackClaims {
        CallbackClaims {
            operation: operation.clone(),
            attempt: self.number,
            expires_at: self.expires_at.as_second(),
        }
    }
}

/// What a callback token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackClaims {
    /// The operation that it is for.
    pub operation: OperationId,
    /// The attempt that it is for.
    pub attempt: u32,
    /// When it ends, in seconds since 1970.
    pub expires_at: i64,
}

/// The key of the hash in callback tokens.
#[derive(Clone)]
pub struct CallbackKey(Hmac<Sha256>);

/// A key that is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the callback key has fewer than 32 bytes")]
pub struct WeakCallbackKey;

/// The key of callback tokens cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CallbackKeyError {
    /// The secret store failed. Trying again may help.
    #[error("the key of callback tokens could not be read")]
    Secrets(#[from] SecretError),
    /// Nobody has made it yet.
    #[error("there is no key of callback tokens yet: the secret `callback-key` is missing")]
    Missing,
    /// It is too short to be one.
    #[error(transparent)]
    Weak(#[from] WeakCallbackKey),
}

/// Why a callback token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallbackTokenError {
    /// It was not made here, or was changed.
    #[error("the callback token is not valid")]
    Invalid,
    /// Its time is over.
    #[error("the callback token has expired")]
    Expired,
}

impl CallbackKey {
    /// Reads the key of this installation.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or somebody has to make another one.
    pub async fn read(secrets: &dyn ReadSecret) -> Result<Self, CallbackKeyError> {
        let secret = secrets.read(&SecretName::callback_key()).await?;
        Ok(Self::new(&secret.ok_or(CallbackKeyError::Missing)?)?)
    }

    /// Takes `secret` for the key.
    ///
    /// # Errors
    ///
    /// When it is too short.
    pub fn new(secret: &SecretString) -> Result<Self, WeakCallbackKey> {
        let bytes = secret.expose_secret().trim().as_bytes();
        if bytes.len() < SHORTEST_KEY {
            return Err(WeakCallbackKey);
        }
        Hmac::new_from_slice(bytes).map(Self).map_err(|_| WeakCallbackKey)
    }

    /// The token that says `claims`.
    pub fn mint(&self, claims: &CallbackClaims) -> SecretString {
        let text = serde_json::to_vec(claims).unwrap_or_default();
        let mac = self.hash(&text).finalize().into_bytes();
        let parts = [BASE64URL_NOPAD.encode(&text), BASE64URL_NOPAD.encode(&mac)];
        format!("{PREFIX}.{}", parts.join(".")).into()
    }

    /// What `token` says, where this key made it and its time is not over. Compares in constant time.
    ///
    /// # Errors
    ///
    /// Why it is refused.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<CallbackClaims, CallbackTokenError> {
        let parts = token.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('.')?.split_once('.'));
        let (text, mac) = parts.ok_or(CallbackTokenError::Invalid)?;
        let decode =
            |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| CallbackTokenError::Invalid);
        let (text, mac) = (decode(text)?, decode(mac)?);
        // In constant time, and before the claims are parsed: nobody learns anything from what they guess.
        self.hash(&text).verify_slice(&mac).map_err(|_| CallbackTokenError::Invalid)?;
        let claims: CallbackClaims =
            serde_json::from_slice(&text).map_err(|_| CallbackTokenError::Invalid)?;
        if claims.expires_at <= now.as_second() { Err(CallbackTokenError::Expired) } else { Ok(claims) }
    }

    fn hash(&self, text: &[u8]) -> Hmac<Sha256> {
        self.0.clone().chain_update(DOMAIN).chain_update(text)
    }
}

impl std::fmt::Debug for CallbackKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallbackKey(..)")
    }
}
