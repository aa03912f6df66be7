//! The public keys, in memory: a verdict reads the caller's record and nothing else.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use gatehouse_domain::{
    id::KeyId,
    signing::{FindKeyRing, KeyRing, LEAD},
    store::StoreError,
};
use gatehouse_jwt::{Issuer, Refusal, Verified, Verifier};
use jiff::Timestamp;

/// How old the ring may be before it is read again, beside a record.
const FRESH_FOR: Duration = Duration::from_mins(5);

/// How often the ring is read because a token names a key that is not in it: anybody can write such tokens.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

const _: () = assert!(FRESH_FOR.as_secs() < LEAD.as_secs(), "a key must be known before it signs");

/// The ring, as it was when it was last read.
pub(crate) struct Ring<S> {
    store: Arc<S>,
    issuer: Issuer,
    current: RwLock<Option<Arc<Loaded>>>,
    /// When it was last read because of an unknown key, and whether that worked. Held while it is read.
    reloaded: tokio::sync::Mutex<Option<(Timestamp, bool)>>,
}

/// A ring that was read.
pub(crate) struct Loaded {
    verifier: Verifier,
    is_empty: bool,
    read_at: Timestamp,
}

impl Loaded {
    /// Whether a token is one of ours.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, Refusal> {
        self.verifier.verify(token, now)
    }

    fn is_old(&self, now: Timestamp) -> bool {
        self.read_at + FRESH_FOR <= now
    }
}

/// Why a token was not verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotVerified {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The ring cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: FindKeyRing> Ring<S> {
    pub(crate) fn new(store: Arc<S>, issuer: Issuer) -> Self {
        Self { store, issuer, current: RwLock::default(), reloaded: tokio::sync::Mutex::default() }
    }

    pub(crate) async fn load(&self, now: Timestamp) -> Result<Arc<Loaded>, StoreError> {
        let ring = self.store.find_key_ring().await?;
        let is_empty = ring.as_ref().is_none_or(|ring| ring.keys.is_empty());
        let verifier = match &ring {
            Some(ring) => Verifier::new(self.issuer.clone(), ring),
            None => Verifier::new(self.issuer.clone(), &empty()),
        };
        let loaded = Arc::new(Loaded { verifier, is_empty, read_at: now });
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // One that was read earlier may arrive later.
        if current.as_ref().is_none_or(|current| current.read_at <= now) {
            *current = Some(loaded.clone());
        }
        Ok(loaded)
    }

    /// Whether a token is one of ours. One that names an unknown key may be newer than the ring.
    pub(crate) async fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, NotVerified> {
        let ring = match self.current() {
            Some(ring) => ring,
            None => self.load(now).await?,
        };
        match ring.verify(token, now) {
            Err(Refusal::UnknownKey(kid)) => match self.reload(&kid, now).await? {
                Some(newer) => Ok(newer.verify(token, now)?),
                None => Err(Refusal::UnknownKey(kid).into()),
            },
            verdict => Ok(verdict?),
        }
    }

    /// Reads the ring again, when it is old. `None` when it is not.
    pub(crate) async fn refresh(&self, now: Timestamp) -> Result<Option<Arc<Loaded>>, StoreError> {
        match self.current() {
            Some(ring) if ring.is_old(now) => self.load(now).await.map(Some),
            _ => Ok(None),
        }
    }

    fn current(&self) -> Option<Arc<Loaded>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The ring with a key that was not found in it a moment ago. `None` when it was asked for such a reason
    /// a moment ago, too. Who asks while it is being read waits for it.
    async fn reload(&self, kid: &KeyId, now: Timestamp) -> Result<Option<Arc<Loaded>>, StoreError> {
        let mut reloaded = self.reloaded.lock().await;
        let current = self.current();
        if let Some(ring) = current.as_ref().filter(|ring| ring.verifier.knows(kid)) {
            return Ok(Some(ring.clone()));
        }
        // The first key signs at once, so an empty ring is never good enough.
        let is_empty = current.is_none_or(|ring| ring.is_empty);
        let recent = reloaded.filter(|(at, _)| now < *at + RELOAD_INTERVAL && !is_empty);
        match recent {
            Some((_, true)) => Ok(None),
            // Nobody is refused because of a key that could not be looked for.
            Some((_, false)) => Err(StoreError::Unavailable("the public keys were out of reach".into())),
            None => {
                let loaded = self.load(now).await;
                *reloaded = Some((now, loaded.is_ok()));
                loaded.map(Some)
            }
        }
    }
}

fn empty() -> KeyRing {
    let revision = gatehouse_domain::revision::Revision::unverified(String::new());
    KeyRing { keys: Vec::new(), revision }
}
