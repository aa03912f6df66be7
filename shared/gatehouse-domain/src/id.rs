//! Ids that Gatehouse makes.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{
    clock::{IdSource, base32, ordered_id, random_id},
    idempotency::{Fingerprint, IdempotencyKey, RequestKey},
    name::InvalidName,
    text::checked_text,
};

/// Text that is no id of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {what} id is `{prefix}` and 26 characters of 0-9 and a-v")]
pub struct InvalidId {
    what: &'static str,
    prefix: &'static str,
}

/// Whether `raw` is exactly what [`random_id`] makes.
fn check_random(raw: &str, what: &'static str, prefix: &'static str) -> Result<(), InvalidId> {
    let body = raw.strip_prefix(prefix).unwrap_or_default();
    let valid = body.len() == 26 && body.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'v'));
    if valid { Ok(()) } else { Err(InvalidId { what, prefix }) }
}

/// Whether `raw` is `prefix` and up to 32 letters and digits: room for ids of other lengths than today's.
fn check_prefixed(raw: &str, prefix: &str, refusal: InvalidName) -> Result<(), InvalidName> {
    let body = raw.strip_prefix(prefix).unwrap_or_default();
    let valid = (1..=32).contains(&body.len())
        && body.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if valid { Ok(()) } else { Err(refusal) }
}

checked_text!(
    /// Id of a signing key: its thumbprint, RFC 7638.
    KeyId,
    InvalidName,
    |raw| {
        let valid = (1..=64).contains(&raw.len())
            && raw.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let refusal = InvalidName { what: "a signing key's id", max: 64, allowed: "A-Z, a-z, 0-9, '-' and '_'" };
        if valid { Ok(()) } else { Err(refusal) }
    }
);

checked_text!(
    /// Id of a service token: its claim `jti`.
    TokenId,
    InvalidId,
    |raw| check_random(raw, "token", "tok_")
);

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
}

checked_text!(
    /// Id of a session: the claim `jti` of its token.
    SessionId,
    InvalidId,
    |raw| check_random(raw, "session", "ses_")
);

impl SessionId {
    /// An id that nobody can guess.
    pub fn generate(ids: &dyn IdSource) -> Self {
        Self(random_id(ids, "ses"))
    }
}

checked_text!(
    /// Id of an operation, and the name of its workflow's execution: `op_` and letters and digits.
    OperationId,
    InvalidName,
    |raw| {
        let refusal = InvalidName { what: "an operation's id", max: 35, allowed: "op_ and a-z and 0-9" };
        check_prefixed(raw, "op_", refusal)
    }
);

impl OperationId {
    /// An id that no other operation has; later ones sort behind earlier ones.
    pub fn new(ids: &dyn IdSource, now: Timestamp) -> Self {
        Self(ordered_id(ids, now, "op"))
    }

    /// The id of the operation that was asked for under an idempotency key.
    pub fn of_key(key: &RequestKey) -> Self {
        Self(format!("op_{}", &key.as_str()[..32]))
    }

    /// The id of the operation that a slot of a schedule asks for.
    pub fn of_slot(slot: &Fingerprint) -> Self {
        Self(format!("op_{}", &slot.as_str()[..32]))
    }
}

checked_text!(
    /// Id of a service: `svc_` and letters and digits.
    ServiceId,
    InvalidName,
    |raw| {
        let refusal = InvalidName { what: "a service's id", max: 36, allowed: "svc_ and a-z and 0-9" };
        check_prefixed(raw, "svc_", refusal)
    }
);

impl ServiceId {
    /// An id that no other service has.
    pub fn new(ids: &dyn IdSource) -> Self {
        Self(random_id(ids, "svc"))
    }

    /// The id of the service that was created under an idempotency key.
    pub fn of_key(key: &RequestKey) -> Self {
        Self(format!("svc_{}", &key.as_str()[..32]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_and_session_ids_are_exactly_what_we_make() {
        for bad in
            ["", "tok_", "tok_short", "key_00000000000000000000000000", "tok_0000000000000000000000000z"]
        {
            assert!(bad.parse::<TokenId>().is_err(), "{bad:?}");
            assert!(bad.replace("tok_", "ses_").parse::<SessionId>().is_err(), "{bad:?}");
        }
        let refusal = "tok_".parse::<TokenId>().unwrap_err().to_string();
        assert_eq!(refusal, "a token id is `tok_` and 26 characters of 0-9 and a-v");
    }

    #[test]
    fn ids_of_keys_that_could_lead_elsewhere_are_refused() {
        for bad in ["", "a/b", "../x", "a b", "a#b", "é", &"x".repeat(65)] {
            assert!(bad.parse::<KeyId>().is_err(), "{bad:?}");
        }
    }
}
