//! The system's clock and random source, behind the domain's ports.

use std::time::Duration;

use async_trait::async_trait;
use gatehouse_domain::clock::{Clock, IdSource};
use jiff::Timestamp;

#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system for the time")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        // Whole milliseconds: what is kept and shown reads better, and nothing here needs more.
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    async fn sleep(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
    }
}

/// The system's random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    /// # Panics
    ///
    /// When the system has no random source: nothing safe can be done without one.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system for chance")]
    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the system has a random source");
        bytes
    }
}

/// The system's clock and random source in one.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

#[async_trait]
impl Clock for System {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    async fn sleep(&self, pause: Duration) {
        SystemClock.sleep(pause).await;
    }
}

impl IdSource for System {
    fn random(&self) -> [u8; 16] {
        SystemIds.random()
    }
}
