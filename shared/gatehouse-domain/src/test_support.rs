//! Time and chance for this crate's tests.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::clock::{Clock, IdSource};

/// When tests begin: 2027-01-15T08:00:00Z.
pub(crate) const START: i64 = 1_800_000_000;

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
