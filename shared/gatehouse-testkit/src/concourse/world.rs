//! What handlers, builds and the test share.

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::config::Config;
use super::state::State;

/// A running twin: what it knows, and how those who wait for a change of it learn of one.
#[derive(Debug)]
pub(super) struct World {
    pub(super) config: Config,
    pub(super) address: SocketAddr,
    pub(super) url: String,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    pub(super) shutdown: watch::Sender<bool>,
    pub(super) listening: watch::Sender<bool>,
    pub(super) cut_streams: watch::Sender<u64>,
    pub(super) open_streams: AtomicUsize,
}

impl World {
    pub(super) fn new(config: Config, address: SocketAddr, state: State) -> Self {
        Self {
            config,
            address,
            url: format!("http://{address}"),
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
            shutdown: watch::Sender::new(false),
            listening: watch::Sender::new(true),
            cut_streams: watch::Sender::new(0),
            open_streams: AtomicUsize::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes whoever waits for a change.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.send_replace(());
        result
    }

    /// Waits until `ready` gives something.
    pub(super) async fn when<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if let Some(value) = ready(&mut self.lock()) {
                self.changed.send_replace(());
                return value;
            }
            // The sender is in `self`, so it cannot be gone.
            let _ = changed.changed().await;
        }
    }

    /// Unix time for everything that is written.
    pub(super) fn now(&self) -> i64 {
        self.config.fixed_time.unwrap_or_else(wall_clock)
    }
}

/// Unix time for tokens, whose expiry is real.
pub(super) fn wall_clock() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}
