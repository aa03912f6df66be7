//! Time and chance of this crate's tests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use gatehouse_domain::clock::{Clock, IdSource};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::aws::Account;

/// A clock that only moves when a test moves it, starting at 2026-01-02T03:04:05Z.
pub struct HandClock(watch::Sender<Timestamp>);

impl HandClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new("2026-01-02T03:04:05Z".parse().unwrap())))
    }

    pub fn advance(&self, seconds: u64) {
        self.0.send_modify(|now| *now += Duration::from_secs(seconds));
    }
}

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    async fn sleep(&self, pause: Duration) {
        let until = self.now() + pause;
        self.0.subscribe().wait_for(|now| *now >= until).await.unwrap();
    }
}

/// Ids that count up from 0.
#[derive(Default)]
pub struct CountedIds(AtomicU64);

impl IdSource for CountedIds {
    fn random(&self) -> [u8; 16] {
        u128::from(self.0.fetch_add(1, Ordering::SeqCst)).to_be_bytes()
    }
}

pub fn account() -> Account {
    Account { id: "000000000000".into(), region: "eu-west-1".into() }
}
