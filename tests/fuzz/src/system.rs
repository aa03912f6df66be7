//! Time and chance that are the same for every input.

use std::time::Duration;

use async_trait::async_trait;
use gatehouse_domain::clock::{Clock, IdSource};
use jiff::Timestamp;

/// 2027-01-15T08:00:00Z.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("it is in range")
}

/// Stands still at [`now`], and makes the same id again and again.
pub(crate) struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        now()
    }

    async fn sleep(&self, _pause: Duration) {}
}

impl IdSource for Still {
    fn random(&self) -> [u8; 16] {
        [7; 16]
    }
}

/// What a future gives that waits for nothing outside.
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    futures_util::FutureExt::now_or_never(future).expect("nothing here waits")
}
