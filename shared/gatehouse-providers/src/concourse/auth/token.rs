//! An access token, and when it is renewed.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

/// How long before its end a token is renewed at the latest.
const RENEW_BEFORE: Duration = Duration::from_mins(5);

#[derive(Debug, Clone)]
pub(in crate::concourse) struct Token {
    pub(super) bearer: SecretString,
    pub(super) renew_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

impl Token {
    /// A token that was given at `now` for `lifetime`.
    pub(super) fn new(bearer: String, now: Timestamp, lifetime: Duration) -> Self {
        let expires_at = now.saturating_add(lifetime).unwrap_or(Timestamp::MAX);
        // Of a short life the last tenth is enough.
        let margin = RENEW_BEFORE.min(lifetime / 10);
        let renew_at = expires_at.saturating_sub(margin).unwrap_or(expires_at);
        Self { bearer: bearer.into(), renew_at, expires_at }
    }

    /// What the `Authorization` header carries.
    pub(in crate::concourse) fn expose(&self) -> &str {
        self.bearer.expose_secret()
    }

    pub(super) fn is(&self, other: Option<&Self>) -> bool {
        other.is_some_and(|other| other.expose() == self.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renewed_before(lifetime: Duration) -> Duration {
        let token = Token::new("t".into(), Timestamp::UNIX_EPOCH, lifetime);
        token.expires_at.duration_since(token.renew_at).unsigned_abs()
    }

    #[test]
    fn tokens_are_renewed_before_they_end() {
        assert_eq!(renewed_before(Duration::from_hours(24)), Duration::from_mins(5));
        assert_eq!(renewed_before(Duration::from_mins(10)), Duration::from_mins(1));
        assert_eq!(renewed_before(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn tokens_do_not_show() {
        let token = Token::new("canary".into(), Timestamp::UNIX_EPOCH, Duration::from_hours(1));
        assert!(!format!("{token:?}").contains("canary"));
    }
}
