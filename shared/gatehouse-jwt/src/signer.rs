//! Signs with the current key of the ring, and adds keys to it: the domain's ports [`SignToken`] and [`MakeKeyPair`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use gatehouse_domain::{
    claims::{ServiceClaims, SessionClaims},
    clock::System,
    id::KeyId,
    secret::{ReadSecret, SecretError, SecretName, WriteSecret},
    sign::{SignError, SignToken},
    signing::{FindKeyRing, KeyRing, MakeKeyPair, SaveKeyRing, ring_that_signs},
};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::{sign::KeyPair, wire::Issuer};

/// For how long the ring is remembered: well below the time for which a key is published before it signs.
const RING_REMEMBERED: Duration = Duration::from_mins(1);

/// Keeps the private halves of signing keys as secrets.
#[derive(Clone)]
pub struct SecretKeyPairs {
    secrets: Arc<dyn WriteSecret>,
}

impl SecretKeyPairs {
    pub fn new(secrets: Arc<dyn WriteSecret>) -> Self {
        Self { secrets }
    }
}

#[async_trait]
impl MakeKeyPair for SecretKeyPairs {
    async fn make_key_pair(&self) -> Result<(KeyId, String), SecretError> {
        let made = KeyPair::generate().map_err(|error| SecretError(Box::new(error)))?;
        self.secrets.write(&SecretName::signing_key(&made.kid), &made.private_key).await?;
        Ok((made.kid, made.public_key))
    }
}

/// Signs sessions and service tokens. It publishes the next key when one is due, since whoever signs is the only
/// one that needs new keys: without calls, nothing has to run on a schedule.
pub struct Signer<S> {
    issuer: Issuer,
    store: Arc<S>,
    secrets: Arc<dyn ReadSecret>,
    pairs: SecretKeyPairs,
    system: Arc<dyn System>,
    remembered: Mutex<Remembered>,
}

/// The ring as it was last read, and the private keys that were used.
#[derive(Default)]
struct Remembered {
    ring: Option<(KeyRing, Timestamp)>,
    pairs: BTreeMap<KeyId, Arc<KeyPair>>,
}

impl<S: FindKeyRing + SaveKeyRing> Signer<S> {
    /// A signer for tokens of `issuer`, with the ring in `store` and private keys read through `secrets` and written
    /// through `pairs`.
    pub fn new(
        issuer: Issuer,
        store: Arc<S>,
        secrets: Arc<dyn ReadSecret>,
        pairs: SecretKeyPairs,
        system: Arc<dyn System>,
    ) -> Self {
        Self { issuer, store, secrets, pairs, system, remembered: Mutex::default() }
    }

    /// The key that signs now.
    async fn pair(&self) -> Result<Arc<KeyPair>, SignError> {
        let ring = self.ring(self.system.now()).await?;
        // The time is read again: the first key signs from the moment at which it was made, which is later than the
        // time of the call.
        let kid = ring.current(self.system.now()).ok_or(SignError::Unusable)?.kid.clone();
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
        let ring = ring_that_signs(&*self.store, &self.pairs, &*self.system).await?;
        self.remembered().ring = Some((ring.clone(), now));
        Ok(ring)
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        // A panic cannot have left it half changed: each change is one assignment.
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<S: FindKeyRing + SaveKeyRing> SignToken for Signer<S> {
    async fn sign_service_token(&self, claims: &ServiceClaims) -> Result<SecretString, SignError> {
        self.pair().await?.sign_service_token(&self.issuer, claims).map_err(|_| SignError::Unusable)
    }

    async fn sign_session(&self, claims: &SessionClaims) -> Result<SecretString, SignError> {
        self.pair().await?.sign_session(&self.issuer, claims).map_err(|_| SignError::Unusable)
    }
}
