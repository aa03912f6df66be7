//! Waiting for what must happen, with a bound that only a hung test meets.

use std::{future::Future, time::Duration};

/// Long enough for a hung test to be told from a slow machine.
const FOR_EVER: Duration = Duration::from_mins(2);

/// How often a condition is looked at that nothing announces.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

pub async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(FOR_EVER, work).await;
    outcome.unwrap_or_else(|_| panic!("never, in {} s: {what}", FOR_EVER.as_secs()))
}

/// Returns when `condition` holds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    in_time(what, async {
        while !condition() {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    })
    .await;
}
