use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use gatehouse_domain::clock::{Clock, IdSource};
use jiff::Timestamp;
use tokio::sync::oneshot;

/// Time that is moved by hand, or by those who sleep, and ids that count.
///
/// While nobody was [announced](Self::announce), a sleep moves the clock at once. Otherwise it stands still
/// while any of the announced works, and moves to the earliest end of a sleep when all of them sleep: work
/// takes no time, however slow the machine is. A [held](Self::held) one is moved by the test alone.
pub struct TestSystem {
    hands: Mutex<Hands>,
    next_id: AtomicU64,
}

struct Hands {
    now: Timestamp,
    working: usize,
    held: bool,
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
    next_sleeper: u64,
    /// How many times as long as asked for a sleep takes.
    haste: u32,
}

impl Default for TestSystem {
    /// Begins at 2026-09-21T14:13:20Z.
    fn default() -> Self {
        Self::at(Timestamp::from_second(1_790_000_000).expect("a time"))
    }
}

impl TestSystem {
    pub fn at(now: Timestamp) -> Self {
        let hands =
            Hands { now, working: 0, held: false, sleepers: BTreeMap::new(), next_sleeper: 0, haste: 1 };
        Self { hands: Mutex::new(hands), next_id: AtomicU64::new(0) }
    }

    /// Begins at 2026-01-02T03:04:05Z. Sleepers wake when the test [advances](Self::advance) to where they wake, or
    /// [jumps](Self::jump) there.
    pub fn held() -> Self {
        let system = Self::at("2026-01-02T03:04:05Z".parse().expect("a time"));
        system.hands().held = true;
        system
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().expect("nobody panicked")
    }

    pub fn advance(&self, time: Duration) {
        let mut hands = self.hands();
        hands.now += time;
        hands.wake();
    }

    /// Moves to where the next sleeper wakes, and wakes it alone. `false` when nobody sleeps.
    pub fn jump(&self) -> bool {
        let mut hands = self.hands();
        let Some(((wake_at, _), sleeper)) = hands.sleepers.pop_first() else { return false };
        hands.now = hands.now.max(wake_at);
        // One who is gone need not be woken.
        let _gone = sleeper.send(());
        true
    }

    /// Lets every sleep take `haste` times as long, so that those who wait look less often.
    pub fn hurry(&self, haste: u32) {
        self.hands().haste = haste;
    }

    /// From now on `workers` work, each of whom sleeps once at a time and [leaves](Self::leave).
    pub fn announce(&self, workers: usize) {
        self.hands().working += workers;
    }

    pub fn leave(&self) {
        let mut hands = self.hands();
        hands.working -= 1;
        hands.turn();
    }
}

impl Hands {
    fn turn(&mut self) {
        if self.sleepers.len() < self.working {
            return;
        }
        if let Some((wake_at, _)) = self.sleepers.first_key_value().map(|(key, _)| *key) {
            self.now = self.now.max(wake_at);
        }
        self.wake();
    }

    /// Wakes those whose time has come.
    fn wake(&mut self) {
        while self.sleepers.first_key_value().is_some_and(|((wake_at, _), _)| *wake_at <= self.now) {
            let sleeper = self.sleepers.pop_first();
            // One who is gone need not be woken.
            let _gone = sleeper.map(|(_, wake)| wake.send(()));
        }
    }
}

/// Takes a sleeper off the list who is dropped before waking.
struct Asleep<'a>(&'a TestSystem, (Timestamp, u64));

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.hands().sleepers.remove(&self.1);
    }
}

#[async_trait]
impl Clock for TestSystem {
    fn now(&self) -> Timestamp {
        self.hands().now
    }

    async fn sleep(&self, pause: Duration) {
        let (woken, _asleep) = {
            let mut hands = self.hands();
            let wake_at = hands.now + pause * hands.haste;
            if hands.working == 0 && !hands.held {
                hands.now = wake_at;
                return;
            }
            let key = (wake_at, hands.next_sleeper);
            hands.next_sleeper += 1;
            let (wake, woken) = oneshot::channel();
            hands.sleepers.insert(key, wake);
            if !hands.held {
                hands.turn();
            }
            (woken, Asleep(self, key))
        };
        // An error means that the clock is gone, and the test with it.
        let _woken = woken.await;
    }
}

impl IdSource for TestSystem {
    /// Spread over all bits, so that what is cut out of an id is unique as well.
    fn random(&self) -> [u8; 16] {
        let number = self.next_id.fetch_add(1, Ordering::SeqCst).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes[8..].copy_from_slice(&number.rotate_left(29).to_be_bytes());
        bytes
    }
}
