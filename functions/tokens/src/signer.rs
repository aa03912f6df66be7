//! Signing with the key of the ring that signs now; making new ones.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use gatehouse_domain::{
    claims::{ServiceClaims, SessionClaims},
    clock::{Clock, IdSource},
    id::KeyId,
    secret::{ReadSecret, SecretError, SecretName, WriteSecret},
    sign::{SignError, SignToken},
    signing::{FindKeyRing, KeyRing, MakeKeyPair, RotatePorts, SaveKeyRing, ring_that_signs},
};
use gatehouse_jwt::{Issuer, KeyPair};
use jiff::Timestamp;
use secrecy::SecretString;

/// For how long the ring is remembered: well below the time for which a key is published before it signs.
const RING_REMEMBERED: Duration = Duration::from_mins(1);

/// Keeps the private halves of signing keys as secrets.
#[derive(Clone)]
pub struct SecretKeyPairs {
    /// Where to.
    pub write: Arc<dyn WriteSecret>,
}

#[async_trait]
impl MakeKeyPair for SecretKeyPairs {
    async fn make_key_pair(&self) -> Result<(KeyId, String), SecretError> {
        let made = KeyPair::generate().map_err(|error| SecretError(Box::new(error)))?;
        self.write.write(&SecretName::signing_key(&made.kid), &made.private_key).await?;
        Ok((made.kid, made.public_key))
    }
}

/// Signs, and rotates the keys on schedule.
pub struct Signer {
    /// Who signs: the claim `iss`.
    pub issuer: Issuer,
    /// Reads private keys.
    pub secrets: Arc<dyn ReadSecret>,
    /// Reads the ring.
    pub find: Arc<dyn FindKeyRing>,
    /// Writes the ring.
    pub save: Arc<dyn SaveKeyRing>,
    /// Makes key pairs.
    pub pairs: Arc<dyn MakeKeyPair>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes revisions.
    pub ids: Arc<dyn IdSource>,
    /// What need not be read again.
    pub memory: Memory,
}

/// The ring as it was last read, and the private keys that were used.
#[derive(Default)]
pub struct Memory(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    ring: Option<(KeyRing, Timestamp)>,
    pairs: BTreeMap<KeyId, Arc<KeyPair>>,
}

impl Signer {
    /// The key that signs now.
    async fn pair(&self) -> Result<Arc<KeyPair>, SignError> {
        let ring = self.ring(self.clock.now()).await?;
        // The first key signs from the moment on at which the ring was made, just now.
        let kid = ring.current(self.clock.now()).ok_or(SignError::Unusable)?.kid.clone();
        if let Some(pair) = self.remembered().pairs.get(&kid) {
            return Ok(pair.clone());
        }
        let secret = self.secrets.read(&SecretName::signing_key(&kid)).await?.ok_or(SignError::Unusable)?;
        let pair = Arc::new(KeyPair::from_secret(&kid, &secret).map_err(|_| SignError::Unusable)?);
        self.remembered().pairs.insert(kid, pair.clone());
        Ok(pair)
    }

    async fn ring(&self, now: Timestamp) -> Result<KeyRing, SignError> {
        if let Some((ring, read_at)) = &self.remembered().ring
            && *read_at + RING_REMEMBERED > now
        {
            return Ok(ring.clone());
        }
        let ports = RotatePorts {
            find: &*self.find,
            save: &*self.save,
            pairs: &*self.pairs,
            clock: &*self.clock,
            ids: &*self.ids,
        };
        let ring = ring_that_signs(&ports).await?;
        self.remembered().ring = Some((ring.clone(), now));
        Ok(ring)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Remembered> {
        // Whoever panicked left nothing half done: each change is one assignment.
        self.memory.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SignToken for Signer {
    async fn sign_service_token(&self, claims: &ServiceClaims) -> Result<SecretString, SignError> {
        self.pair().await?.sign_service_token(&self.issuer, claims).map_err(|_| SignError::Unusable)
    }

    async fn sign_session(&self, claims: &SessionClaims) -> Result<SecretString, SignError> {
        self.pair().await?.sign_session(&self.issuer, claims).map_err(|_| SignError::Unusable)
    }
}
