//! Signing keys: one ring of public keys, whose private halves only the functions that sign can read.
//!
//! A new key is published first and signs only after [`LEAD`], when everybody who verifies has had time to
//! learn of it. A key that another one took over from verifies until the last token that it can have
//! signed has ended.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    audit::{Action, AuditContext, AuditTarget, Entry, Outcome},
    claims::MAX_LIFETIME,
    clock::{IdSource, System},
    id::KeyId,
    revision::{EditOutcome, Revision},
    secret::SecretError,
    store::StoreError,
};

/// How long a key is published before it signs: longer than anybody who verifies keeps the ring.
pub const LEAD: Duration = Duration::from_mins(10);

/// After which time a key is due for rotation.
pub const ROTATE_AFTER: Duration = Duration::from_hours(45 * 24);

/// The most keys in the ring.
pub const MAX_KEYS: usize = 20;

/// The public half of a signing key, Ed25519 (RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    pub kid: KeyId,
    /// The 32 bytes of the public key, base64url without padding.
    pub public_key: String,
    /// When it was published.
    pub published_at: Timestamp,
    /// From when on it signs.
    pub signs_from: Timestamp,
}

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, not signing yet.
    Next,
    Current,
    Retiring,
}

impl KeyState {
    /// `next`, `current` or `retiring`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Current => "current",
            Self::Retiring => "retiring",
        }
    }
}

/// The ring of keys, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRing {
    /// The keys, by when they sign.
    #[serde(rename = "signing_keys")]
    pub keys: Vec<SigningKey>,
    /// Changes with every edit.
    pub revision: Revision,
}

impl KeyRing {
    /// The key that signs now: of those that may, the newest.
    pub fn current(&self, now: Timestamp) -> Option<&SigningKey> {
        self.keys.iter().rev().find(|key| key.signs_from <= now)
    }

    /// The key with this id, whatever its state: every key of the ring verifies.
    pub fn find(&self, kid: &KeyId) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == *kid)
    }

    /// Every key with its state.
    pub fn states(&self, now: Timestamp) -> impl Iterator<Item = (&SigningKey, KeyState)> {
        let current = self.current(now).map(|key| key.kid.clone());
        self.keys.iter().map(move |key| {
            let state = match &current {
                _ if key.signs_from > now => KeyState::Next,
                Some(kid) if *kid == key.kid => KeyState::Current,
                _ => KeyState::Retiring,
            };
            (key, state)
        })
    }

    /// Whether a new key should be published: the newest one is old, and none waits.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.keys.last().is_none_or(|key| key.signs_from + ROTATE_AFTER <= now)
    }

    /// The ring with `key` published, and without the keys whose last token has ended.
    fn with(&self, key: SigningKey, now: Timestamp, ids: &dyn IdSource) -> Self {
        let mut keys: Vec<_> = self.keys.clone();
        keys.push(key);
        let ended = keys.windows(2).take_while(|pair| pair[1].signs_from + MAX_LIFETIME <= now).count();
        Self { keys: keys.split_off(ended), revision: Revision::new(ids) }
    }
}

/// Reads the ring. Needs `dynamodb:GetItem`.
#[async_trait]
pub trait FindKeyRing: Send + Sync {
    /// `None` before the first key was made. Strongly consistent.
    async fn find_key_ring(&self) -> Result<Option<KeyRing>, StoreError>;
}

/// Writes the ring. Needs `dynamodb:PutItem`.
#[async_trait]
pub trait SaveKeyRing: Send + Sync {
    /// Writes `ring` where `previous` still stands (nothing, without it), with the entry of the trail.
    async fn save_key_ring(
        &self,
        ring: &KeyRing,
        previous: Option<&Revision>,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError>;
}

/// Makes key pairs. Needs `secretsmanager:CreateSecret` and `PutSecretValue`.
#[async_trait]
pub trait MakeKeyPair: Send + Sync {
    /// Makes a pair, keeps the private half as a secret, and answers the id and the public half.
    async fn make_key_pair(&self) -> Result<(KeyId, String), SecretError>;
}

/// Why no key was published.
#[derive(Debug, thiserror::Error)]
pub enum RotateKeyError {
    /// One that was published before does not sign yet.
    #[error("a new key is published already and signs from {0} on")]
    AlreadyNext(Timestamp),
    /// Every key of the ring still has tokens.
    #[error("the ring is full: {MAX_KEYS} keys still have tokens that verify with them")]
    Full,
    #[error("could not write the ring")]
    Store(#[from] StoreError),
    /// The secret store failed.
    #[error("could not keep the private key")]
    Secrets(#[from] SecretError),
}

/// Publishes a new key. The first one signs at once, since nobody verifies anything yet.
pub async fn rotate<S: FindKeyRing + SaveKeyRing>(
    store: &S,
    pairs: &dyn MakeKeyPair,
    system: &dyn System,
    audit: &AuditContext<'_>,
) -> Result<KeyRing, RotateKeyError> {
    let actor = audit.caller.actor();
    publish(store, pairs, system, Occasion::Asked, |kid| {
        let audit_target =
            AuditTarget { target: format!("signing_key:{}", kid.as_str()), ..AuditTarget::default() };
        Entry::new(system, actor.clone(), audit.origin, Action::RotateSigningKey, Outcome::Done, audit_target)
    })
    .await
}

/// The ring, with a key that signs: makes the first one where there is none, and publishes the next one
/// when it is due. This is the rotation by schedule; it is a part of signing, which alone needs new keys.
pub async fn ring_that_signs<S: FindKeyRing + SaveKeyRing>(
    store: &S,
    pairs: &dyn MakeKeyPair,
    system: &dyn System,
) -> Result<KeyRing, RotateKeyError> {
    let now = system.now();
    let ring = store.find_key_ring().await?;
    match ring {
        Some(ring) if !ring.is_due(now) => return Ok(ring),
        _ => {}
    }
    let published = publish(store, pairs, system, Occasion::Due, |kid| {
        let audit_target = AuditTarget {
            target: format!("signing_key:{}", kid.as_str()),
            detail: Some("on schedule".to_owned()),
            ..AuditTarget::default()
        };
        let origin = crate::audit::Origin::default();
        Entry::new(
            system,
            "gatehouse".to_owned(),
            &origin,
            Action::RotateSigningKey,
            Outcome::Done,
            audit_target,
        )
    })
    .await;
    match (published, ring) {
        // Somebody else has just done it, or cannot be outdone: what there is still signs.
        (Err(RotateKeyError::AlreadyNext(_) | RotateKeyError::Full), Some(ring)) => Ok(ring),
        (published, _) => published,
    }
}

/// How often publishing is tried when others publish at the same moment.
const ATTEMPTS: usize = 4;

/// Why a key is to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// Somebody asked for it.
    Asked,
    /// It is due; not any more when somebody else has published one meanwhile.
    Due,
}

async fn publish<S: FindKeyRing + SaveKeyRing>(
    store: &S,
    pairs: &dyn MakeKeyPair,
    system: &dyn System,
    occasion: Occasion,
    entry: impl Fn(&KeyId) -> Entry,
) -> Result<KeyRing, RotateKeyError> {
    for _attempt in 0..ATTEMPTS {
        let now = system.now();
        let ring = store.find_key_ring().await?;
        if let Some(ring) = ring.as_ref().filter(|ring| occasion == Occasion::Due && !ring.is_due(now)) {
            return Ok(ring.clone());
        }
        let last = ring.as_ref().and_then(|ring| ring.keys.last());
        if let Some(next) = last.filter(|key| key.signs_from > now) {
            return Err(RotateKeyError::AlreadyNext(next.signs_from));
        }
        let (kid, public_key) = pairs.make_key_pair().await?;
        let signs_from = if last.is_some() { now + LEAD } else { now };
        let key = SigningKey { kid, public_key, published_at: now, signs_from };
        let entry = entry(&key.kid);
        let empty = KeyRing { keys: Vec::new(), revision: Revision::new(system) };
        let new = ring.as_ref().unwrap_or(&empty).with(key, now, system);
        if new.keys.len() > MAX_KEYS {
            return Err(RotateKeyError::Full);
        }
        let previous = ring.map(|ring| ring.revision);
        if store.save_key_ring(&new, previous.as_ref(), &entry).await? == EditOutcome::Done {
            return Ok(new);
        }
        // Somebody else was faster. The pair that was made for nothing signs nothing.
        if previous.is_none() {
            let ring = store.find_key_ring().await?;
            return ring.ok_or_else(|| StoreError::Unavailable("the ring has vanished".into()).into());
        }
    }
    Err(StoreError::Unavailable("others keep changing the ring".into()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::Fixed;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn key(kid: &str, signs_from: i64) -> SigningKey {
        SigningKey {
            kid: kid.parse::<KeyId>().unwrap(),
            public_key: String::new(),
            published_at: at(0),
            signs_from: at(signs_from),
        }
    }

    fn ring(keys: &[(&str, i64)]) -> KeyRing {
        let keys = keys.iter().map(|(kid, signs_from)| key(kid, *signs_from)).collect();
        KeyRing { keys, revision: Revision::unverified("r".into()) }
    }

    #[test]
    fn a_published_key_signs_only_when_its_time_has_come() {
        let ring = ring(&[("a", 0), ("b", 100), ("c", 200)]);
        let states = |now| ring.states(at(now)).map(|(_, state)| state.as_str()).collect::<Vec<_>>();
        assert_eq!(states(99), ["current", "next", "next"]);
        assert_eq!(states(100), ["retiring", "current", "next"]);
        assert_eq!(ring.current(at(99)).unwrap().kid.as_str(), "a");
        assert_eq!(ring.current(at(100)).unwrap().kid.as_str(), "b");
    }

    #[test]
    fn a_key_stays_until_its_last_token_has_ended() {
        let life = i64::try_from(MAX_LIFETIME.as_secs()).unwrap();
        let ring = ring(&[("a", 0), ("b", 100)]);
        let kids = |now: i64| -> Vec<String> {
            let new = ring.with(key("c", now + 600), at(now), &Fixed(1));
            new.keys.iter().map(|key| key.kid.as_str().to_owned()).collect()
        };
        assert_eq!(kids(100 + life - 1), ["a", "b", "c"]);
        assert_eq!(kids(100 + life), ["b", "c"]);
    }

    #[test]
    fn a_ring_is_due_when_its_newest_key_is_old() {
        let age = i64::try_from(ROTATE_AFTER.as_secs()).unwrap();
        assert!(ring(&[]).is_due(at(0)));
        assert!(!ring(&[("a", 0)]).is_due(at(age - 1)));
        assert!(ring(&[("a", 0)]).is_due(at(age)));
        assert!(!ring(&[("a", 0), ("b", age + 600)]).is_due(at(age)));
    }
}
