//! Service tokens: JSON web tokens with which the services of a project call, each with a record that
//! says whether it still counts.

mod authenticate;
mod list;
mod mint;
mod revoke;
mod rotate;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::{
    authenticate::{RecordUse, Use, authenticate},
    list::{ListTokens, StateFilter, TokenFilter, TokenQuery, list},
    mint::{Draft, MintError, MintPorts, Minted, SaveToken, mint},
    revoke::{RevokePorts, RevokeTokenError, Revoked, revoke},
    rotate::{RotateTokenError, Rotation, rotate},
};
use crate::{
    caller::Caller,
    clock::{IdSource, base32, random_id},
    idempotency::IdempotencyKey,
    name::{ProjectName, ServiceName, TenantId},
    secret::SecretError,
    signing::RotateKeyError,
    store::StoreError,
};

/// The longest life of a token.
pub const MAX_LIFETIME: Duration = Duration::from_hours(365 * 24);

/// The life of a token whose minter names none, in days.
pub const DEFAULT_DAYS: u16 = 90;

/// The longest life of a token, in days.
pub const MAX_DAYS: u16 = 365;

/// How old "last used" may be, so that not every use is a write.
pub const USE_INTERVAL: Duration = Duration::from_mins(5);

/// How long the record of a token is kept after it has ended.
pub const KEPT_AFTER_END: Duration = Duration::from_hours(90 * 24);

/// Id of a token: its claim `jti`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(String);

/// Text that is no id of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token id is `tok_` and 26 characters of 0-9 and a-v")]
pub struct InvalidTokenId;

impl TokenId {
    /// An id that nobody can guess.
    pub fn generate(ids: &dyn IdSource) -> Self {
        Self(random_id(ids, "tok"))
    }

    /// The id of the token that a caller asks for with an idempotency key: the same for the same request.
    /// Knowing it opens nothing.
    pub fn of_request(actor: &str, key: &IdempotencyKey) -> Self {
        let digest = Sha256::digest(format!("gatehouse-token\0{actor}\0{key}").as_bytes());
        Self(format!("tok_{}", base32(&digest[..16])))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for TokenId {
    type Err = InvalidTokenId;

    fn from_str(raw: &str) -> Result<Self, InvalidTokenId> {
        let body = raw.strip_prefix("tok_").ok_or(InvalidTokenId)?;
        let valid = body.len() == 26 && body.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'v'));
        if valid { Ok(Self(raw.to_owned())) } else { Err(InvalidTokenId) }
    }
}

impl TryFrom<String> for TokenId {
    type Error = InvalidTokenId;

    fn try_from(raw: String) -> Result<Self, InvalidTokenId> {
        raw.parse()
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        id.0
    }
}

impl std::fmt::Display for TokenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a service token says, besides who made it and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceClaims {
    /// Its id.
    pub jti: TokenId,
    /// The project whose routes it opens.
    pub project: ProjectName,
    /// The service that calls with it.
    pub service: ServiceName,
    /// When it was issued: whole seconds.
    pub issued_at: Timestamp,
    /// When it ends: whole seconds.
    pub ends_at: Timestamp,
}

/// The record of a service token. The token itself is kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceToken {
    /// Its id.
    pub jti: TokenId,
    /// The tenant that its project belongs to.
    pub tenant: TenantId,
    /// The project whose routes it opens.
    pub project: ProjectName,
    /// The service that calls with it.
    pub service: ServiceName,
    /// What it is for, for people.
    pub description: Option<String>,
    /// When it was minted: whole seconds.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it ends by itself: whole seconds.
    pub ends_at: Timestamp,
    /// When it was last seen in use, at most [`USE_INTERVAL`] ago more precisely.
    pub last_used_at: Option<Timestamp>,
    /// The token that it took over from, when it was made by rotation.
    pub replaces: Option<Replaces>,
    /// Whether it still counts.
    pub state: TokenState,
}

/// What a token that was made by rotation took over from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaces {
    /// The older token.
    pub jti: TokenId,
    /// Whether the older one ends when this one is first used.
    pub ends_it_when_used: bool,
}

/// Whether a token still counts, as far as people decide it. That its time is over is seen from the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenState {
    /// It counts.
    Active,
    /// A newer one was made in its place; it counts until then.
    Rotated {
        /// The newer token.
        to: TokenId,
        /// When that was.
        at: Timestamp,
        /// Until when this one counts; until the newer one is used, or its own end, without it.
        until: Option<Timestamp>,
    },
    /// It does not count any more.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// By whom.
        by: String,
        /// Why.
        reason: Option<String>,
    },
}

/// How a token stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStatus {
    /// It counts.
    Active,
    /// It counts for a little while longer.
    Rotated,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

impl TokenStatus {
    /// `active`, `rotated`, `expired` or `revoked`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Rotated => "rotated",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// Whether the token opens anything.
    pub fn is_valid(self) -> bool {
        matches!(self, Self::Active | Self::Rotated)
    }
}

impl ServiceToken {
    /// How the token stands at `now`.
    pub fn status(&self, now: Timestamp) -> TokenStatus {
        match &self.state {
            TokenState::Revoked { .. } => TokenStatus::Revoked,
            _ if self.ends_at <= now => TokenStatus::Expired,
            TokenState::Rotated { until: Some(until), .. } if *until <= now => TokenStatus::Expired,
            TokenState::Rotated { .. } => TokenStatus::Rotated,
            TokenState::Active => TokenStatus::Active,
        }
    }
}

/// Looks service tokens up. Needs `dynamodb:GetItem`.
#[async_trait]
pub trait FindToken: Send + Sync {
    /// Returns `None` when no such token was minted. Strongly consistent.
    async fn find_token(&self, jti: &TokenId) -> Result<Option<ServiceToken>, StoreError>;
}

/// Why no token was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// There is no key to sign with.
    #[error("there is no signing key")]
    Key(#[from] RotateKeyError),
    /// The private key cannot be read.
    #[error("the private key cannot be read")]
    Secret(#[from] SecretError),
    /// The private key is not there, or none.
    #[error("the private key is missing or unreadable")]
    Unusable,
}

/// Signs tokens with the key that signs now. Needs `secretsmanager:GetSecretValue`.
#[async_trait]
pub trait SignToken: Send + Sync {
    /// Signs a service token.
    async fn sign_service_token(&self, claims: &ServiceClaims) -> Result<SecretString, SignError>;

    /// Signs a session.
    async fn sign_session(&self, claims: &crate::users::SessionClaims) -> Result<SecretString, SignError>;
}

/// Why a token cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowTokenError {
    /// There is none, or it belongs to a tenant that the caller is not in.
    #[error("there is no such token")]
    NotFound,
    /// The caller's role in this tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    /// The store failed.
    #[error("could not read the token")]
    Store(#[from] StoreError),
}

/// Shows the record of one token to those who may use `operation` on it.
pub async fn show(
    tokens: &dyn FindToken,
    caller: &Caller,
    operation: &crate::access::Endpoint,
    jti: &TokenId,
) -> Result<ServiceToken, ShowTokenError> {
    let token = tokens.find_token(jti).await?.ok_or(ShowTokenError::NotFound)?;
    if !caller.sees(&token.tenant) {
        return Err(ShowTokenError::NotFound);
    }
    if caller.may_in(operation, &token.tenant) {
        Ok(token)
    } else {
        Err(ShowTokenError::Forbidden(token.tenant))
    }
}

/// The instant in whole seconds, as tokens say it.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn token(state: TokenState) -> ServiceToken {
        ServiceToken {
            jti: "tok_00000000000000000000000000".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            project: "payments".parse().unwrap(),
            service: "worker".parse().unwrap(),
            description: None,
            created_at: at(0),
            created_by: "user:ada".into(),
            ends_at: at(100),
            last_used_at: None,
            replaces: None,
            state,
        }
    }

    #[test]
    fn a_token_counts_until_its_end_its_successors_or_its_revocation() {
        let to: TokenId = "tok_11111111111111111111111111".parse().unwrap();
        let rotated = |until| TokenState::Rotated { to: to.clone(), at: at(10), until };
        let status = |state, now| token(state).status(at(now)).as_str();
        assert_eq!(status(TokenState::Active, 99), "active");
        assert_eq!(status(TokenState::Active, 100), "expired");
        assert_eq!(status(rotated(Some(at(50))), 49), "rotated");
        assert_eq!(status(rotated(Some(at(50))), 50), "expired");
        assert_eq!(status(rotated(None), 99), "rotated");
        assert_eq!(status(rotated(None), 100), "expired");
        let revoked = TokenState::Revoked { at: at(1), by: "user:ada".into(), reason: None };
        assert_eq!(status(revoked, 2), "revoked");
    }

    #[test]
    fn ids_are_exactly_what_we_make() {
        for bad in
            ["", "tok_", "tok_short", "key_00000000000000000000000000", "tok_0000000000000000000000000z"]
        {
            assert!(bad.parse::<TokenId>().is_err(), "{bad:?}");
        }
    }
}
