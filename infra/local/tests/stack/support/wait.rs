//! Waiting for what must happen, with a bound that only a hung test meets.

use std::{future::Future, time::Duration};

/// Long enough for a hung test to be told from a slow machine.
const FOR_EVER: Duration = Duration::from_mins(1);

/// How often a condition is looked at that nothing announces.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

pub async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    within(FOR_EVER, what, work).await
}

async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(limit, work).await;
    outcome.unwrap_or_else(|_| panic!("never, in {} s: {what}", limit.as_secs()))
}

/// Returns what `look` finds, as soon as it finds something.
pub async fn found<T, F: Future<Output = Option<T>>>(what: &str, look: impl FnMut() -> F) -> T {
    found_in(FOR_EVER, what, look).await
}

/// The same with another bound, for what has to wait for a limit of the product itself.
pub async fn found_in<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    within(limit, what, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    })
    .await
}

/// Returns when `condition` holds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    found(what, || std::future::ready(condition().then_some(()))).await;
}
