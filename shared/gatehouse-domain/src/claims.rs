//! What the tokens that Gatehouse signs say.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    id::{SessionId, TokenId},
    name::{ProjectName, ServiceName, UserName},
};

/// The longest life of a token.
pub const MAX_LIFETIME: Duration = Duration::from_hours(365 * 24);

/// What a service token says, besides who made it and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceClaims {
    pub jti: TokenId,
    /// The project whose routes it opens.
    pub project: ProjectName,
    /// The service that calls with it.
    pub service: ServiceName,
    /// `iat`, in whole seconds.
    pub issued_at: Timestamp,
    /// `exp`, in whole seconds.
    pub expires_at: Timestamp,
}

/// The instant in whole seconds, as tokens say it.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// What a session says, besides who made it and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionClaims {
    pub id: SessionId,
    pub user: UserName,
    /// `iat`, in whole seconds.
    pub issued_at: Timestamp,
    /// `exp`, in whole seconds.
    pub expires_at: Timestamp,
}
