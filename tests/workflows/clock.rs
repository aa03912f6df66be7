//! A clock that jumps to where the next sleeper wakes, as soon as everybody sleeps.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use gatehouse_domain::clock::Clock;
use jiff::Timestamp;
use tokio::sync::oneshot;

/// A clock that jumps.
pub struct JumpingClock(Mutex<Hands>);

struct Hands {
    now: Timestamp,
    next: u64,
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
}

impl Default for JumpingClock {
    fn default() -> Self {
        let now = "2026-01-02T03:04:05Z".parse().expect("a time");
        Self(Mutex::new(Hands { now, next: 0, sleepers: BTreeMap::new() }))
    }
}

impl JumpingClock {
    /// Goes to where the next sleeper wakes, and wakes it. `false` when nobody sleeps.
    pub fn jump(&self) -> bool {
        let mut hands = self.hands();
        let Some(((at, _), sleeper)) = hands.sleepers.pop_first() else { return false };
        hands.now = hands.now.max(at);
        // One who is gone need not be woken.
        let _gone = sleeper.send(());
        true
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a sleeper off the list who is dropped before waking.
struct Asleep<'a>(&'a JumpingClock, (Timestamp, u64));

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.hands().sleepers.remove(&self.1);
    }
}

#[async_trait]
impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        self.hands().now
    }

    async fn sleep(&self, pause: Duration) {
        let (wake, woken) = oneshot::channel();
        let asleep = {
            let mut hands = self.hands();
            let key = (hands.now + pause, hands.next);
            hands.next += 1;
            hands.sleepers.insert(key, wake);
            Asleep(self, key)
        };
        // An error means that the clock is gone, and the test with it.
        let _woken = woken.await;
        drop(asleep);
    }
}
