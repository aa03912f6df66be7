//! Who makes a call, and what they may do.

use super::roles::{Role, Token};
use super::state::State;

/// Who makes a call.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    Anonymous,
    /// A token was sent, and it is none.
    Invalid,
    Known(Token),
}

impl Caller {
    /// Reads the `Authorization` header; only `Bearer` with a token of ours will do.
    pub(super) fn identify(state: &State, authorization: Option<&str>, now: i64) -> Self {
        let Some(header) = authorization else { return Self::Anonymous };
        let bearer = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        match bearer.and_then(|(_, token)| state.tokens.get(token.trim())) {
            Some(token) if token.expires_at > now => Self::Known(token.clone()),
            _ => Self::Invalid,
        }
    }

    pub(super) fn token(&self) -> Option<&Token> {
        match self {
            Self::Known(token) => Some(token),
            Self::Anonymous | Self::Invalid => None,
        }
    }

    pub(super) fn may(&self, state: &State, team: &str, role: Role) -> bool {
        self.token().is_some_and(|token| {
            state.is_admin(token) || state.roles(token, team).iter().any(|held| *held >= role)
        })
    }
}
