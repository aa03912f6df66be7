//! Time and chance for this crate's tests.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use jiff::Timestamp;

use crate::{
    catalog::{InputOwner, OpenInputs, SealError, SealInputs, SealedInput},
    clock::{Clock, IdSource},
    idempotency::Fingerprint,
    json::Json,
};

/// When tests begin: 2027-01-15T08:00:00Z.
pub(crate) const START: i64 = 1_800_000_000;

/// Seals without a key: what it makes can be opened by everybody, but not be read.
pub(crate) struct Wax;

impl Wax {
    fn label(owner: InputOwner<'_>) -> String {
        format!("{}/{}/{}=", owner.service, owner.environment, owner.input)
    }
}

#[async_trait]
impl SealInputs for Wax {
    async fn seal(&self, owner: InputOwner<'_>, value: &Json) -> Result<SealedInput, SealError> {
        Ok(SealedInput::unverified(HEXLOWER.encode(format!("{}{value}", Self::label(owner)).as_bytes())))
    }

    async fn blind(&self, fingerprint: &Fingerprint) -> Result<Fingerprint, SealError> {
        Ok(Fingerprint::of(&["blind", fingerprint.as_str()]))
    }
}

#[async_trait]
impl OpenInputs for Wax {
    async fn open(&self, owner: InputOwner<'_>, sealed: &SealedInput) -> Result<Json, SealError> {
        let defect = SealError::Defect("it was sealed for something else");
        let text =
            HEXLOWER.decode(sealed.as_str().as_bytes()).ok().and_then(|text| String::from_utf8(text).ok());
        let value = text.as_deref().and_then(|text| text.strip_prefix(Self::label(owner).as_str()));
        value.and_then(|value| Json::parse(value).ok()).ok_or(defect)
    }
}

/// The same id again and again: sixteen of these bytes.
pub(crate) struct Fixed(pub u8);

impl IdSource for Fixed {
    fn random(&self) -> [u8; 16] {
        [self.0; 16]
    }
}

/// A clock that stands still until it is moved, and ids that count.
pub(crate) struct Hand {
    now: Mutex<Timestamp>,
    ids: AtomicU64,
}

impl Default for Hand {
    fn default() -> Self {
        Self { now: Mutex::new(Timestamp::from_second(START).unwrap()), ids: AtomicU64::new(0) }
    }
}

impl Hand {
    pub(crate) fn advance(&self, by: Duration) {
        *self.now.lock().unwrap() += by;
    }
}

#[async_trait]
impl Clock for Hand {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    async fn sleep(&self, pause: Duration) {
        self.advance(pause);
    }
}

impl IdSource for Hand {
    fn random(&self) -> [u8; 16] {
        let count = self.ids.fetch_add(1, Ordering::Relaxed);
        let mut id = [0; 16];
        // Ids that begin with a time use the first ten bytes only.
        id[2..10].copy_from_slice(&count.to_be_bytes());
        id
    }
}
