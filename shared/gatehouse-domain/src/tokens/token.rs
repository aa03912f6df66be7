//! Service tokens and how they stand.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{Timestamp, fmt::serde::timestamp::millisecond};
use serde::{Deserialize, Serialize};

use crate::{
    id::TokenId,
    name::{ProjectName, ServiceName, TenantId},
    store::StoreError,
};

/// The life of a token whose minter names none, in days.
pub const DEFAULT_DAYS: u16 = 90;

/// The longest life of a token, in days.
pub const MAX_DAYS: u16 = 365;

/// How old "last used" may be, so that not every use is a write.
pub const USE_INTERVAL: Duration = Duration::from_mins(5);

/// How long the record of a token is kept after it has ended.
pub const KEPT_AFTER_END: Duration = Duration::from_hours(90 * 24);

/// The record of a service token. The token itself is kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceToken {
    pub jti: TokenId,
    /// The tenant that its project belongs to.
    pub tenant: TenantId,
    /// The project whose routes it opens.
    pub project: ProjectName,
    /// The service that calls with it.
    pub service: ServiceName,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it was minted: whole seconds.
    pub created_at: Timestamp,
    pub created_by: String,
    /// When it expires by itself: whole seconds, as the claim `exp`.
    #[serde(rename = "ends_at")]
    pub expires_at: Timestamp,
    /// When it was last seen in use, at most [`USE_INTERVAL`] ago more precisely.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "millisecond::optional")]
    pub last_used_at: Option<Timestamp>,
    /// The token that it took over from, when it was made by rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaces>,
    /// Whether it was rotated or revoked.
    pub state: TokenState,
}

/// What a token that was made by rotation took over from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaces {
    pub jti: TokenId,
    /// Whether the older one ends when this one is first used.
    pub ends_it_when_used: bool,
}

/// What people have done to a token. Whether it has expired follows from the clock: [`ServiceToken::status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum TokenState {
    Active,
    /// A newer one takes its place. It stays valid for a grace period.
    Rotated {
        to: TokenId,
        at: Timestamp,
        /// The end of its grace period. Without one it is valid until the newer one is used, or until it
        /// expires by itself.
        #[serde(default, skip_serializing_if = "Option::is_none", rename = "until")]
        expires_at: Option<Timestamp>,
    },
    /// Revoked by somebody, or by the first use of its successor.
    Revoked {
        at: Timestamp,
        by: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// How a token stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStatus {
    Active,
    /// Replaced, but valid within its grace period.
    Rotated,
    /// Past its own expiry, or past its grace period.
    Expired,
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
            _ if self.expires_at <= now => TokenStatus::Expired,
            TokenState::Rotated { expires_at: Some(grace), .. } if *grace <= now => TokenStatus::Expired,
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
            expires_at: at(100),
            last_used_at: None,
            replaces: None,
            state,
        }
    }

    #[test]
    fn a_token_counts_until_its_end_its_successors_or_its_revocation() {
        let to: TokenId = "tok_11111111111111111111111111".parse().unwrap();
        let rotated = |expires_at| TokenState::Rotated { to: to.clone(), at: at(10), expires_at };
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
}
