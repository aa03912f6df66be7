//! Idempotency keys: the same request twice is one action.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::{IdSource, random_id};

/// What a caller wrote into `Idempotency-Key`: 1 to 255 visible ASCII characters.
///
/// A quoted string, as draft-ietf-httpapi-idempotency-key-header writes it, is the same key as the bare one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// A key that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Idempotency-Key must be 1 to 255 visible ASCII characters, quoted or bare")]
pub struct InvalidIdempotencyKey;

impl IdempotencyKey {
    /// A key for a request that came without one, so that it can be repeated all the same.
    pub fn generate(ids: &dyn IdSource) -> Self {
        Self(random_id(ids, "key"))
    }
}

impl std::str::FromStr for IdempotencyKey {
    type Err = InvalidIdempotencyKey;

    fn from_str(raw: &str) -> Result<Self, InvalidIdempotencyKey> {
        let bare = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
        let valid = (1..=255).contains(&bare.len()) && bare.bytes().all(|byte| byte.is_ascii_graphic());
        if valid { Ok(Self(bare.to_owned())) } else { Err(InvalidIdempotencyKey) }
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Under which a start is remembered: the key of one caller, hashed, so that keys of different callers
/// never meet and nothing a caller wrote becomes part of a table key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestKey(String);

impl RequestKey {
    /// The key of `actor`.
    pub fn of(actor: &str, key: &IdempotencyKey) -> Self {
        Self(hash(&[actor, &key.0]))
    }

    /// The key as text: 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What was asked for under a key: equal for equal requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a request made of these parts.
    pub fn of(parts: &[&str]) -> Self {
        Self(hash(parts))
    }

    /// The fingerprint as text: 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// SHA-256 over the parts with their lengths, so that no two lists of parts run together.
fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    HEXLOWER.encode(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_and_bare_keys_are_the_same() {
        assert_eq!("\"a-1\"".parse::<IdempotencyKey>(), "a-1".parse::<IdempotencyKey>());
    }

    #[test]
    fn unusable_keys_are_refused() {
        for bad in ["", "\"\"", "a b", "a\0", "ä", &"k".repeat(256)] {
            assert_eq!(bad.parse::<IdempotencyKey>(), Err(InvalidIdempotencyKey), "{bad:?}");
        }
    }

    #[test]
    fn keys_of_different_callers_never_meet() {
        let key: IdempotencyKey = "k".parse().unwrap();
        assert_ne!(RequestKey::of("user:a", &key), RequestKey::of("user:b", &key));
        assert_ne!(Fingerprint::of(&["ab", "c"]), Fingerprint::of(&["a", "bc"]));
    }
}
