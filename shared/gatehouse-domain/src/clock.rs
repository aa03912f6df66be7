//! Time and chance as ports, so that rules can be tested without waiting or guessing.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Tells the time and lets time pass.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time now, UTC.
    fn now(&self) -> Timestamp;

    /// Returns after `pause` has passed.
    async fn sleep(&self, pause: Duration);
}

/// Makes ids that nobody can guess and that never repeat.
pub trait IdSource: Send + Sync {
    /// 128 bits from a cryptographic random source.
    fn random(&self) -> [u8; 16];
}

/// Time and chance together, for rules that need both. A rule that needs only one takes that.
pub trait System: Clock + IdSource {}

impl<T: Clock + IdSource + ?Sized> System for T {}

/// Base 32 with the extended hex alphabet in lower case: text order is number order.
pub(crate) fn base32(bytes: &[u8]) -> String {
    let mut text = data_encoding::BASE32HEX_NOPAD.encode(bytes);
    text.make_ascii_lowercase();
    text
}

/// `prefix_` and 26 characters: random, without order.
pub fn random_id(ids: &dyn IdSource, prefix: &str) -> String {
    format!("{prefix}_{}", base32(&ids.random()))
}

/// `prefix_` and 26 characters: the millisecond first, so that later ids sort behind earlier ones.
pub fn ordered_id(ids: &dyn IdSource, now: Timestamp, prefix: &str) -> String {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default().to_be_bytes();
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&millis[2..]);
    bytes[6..].copy_from_slice(&ids.random()[..10]);
    format!("{prefix}_{}", base32(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::Fixed;

    #[test]
    fn ordered_ids_sort_by_time() {
        let earlier = ordered_id(&Fixed(7), Timestamp::from_millisecond(1_000).unwrap(), "run");
        let later = ordered_id(&Fixed(7), Timestamp::from_millisecond(1_001).unwrap(), "run");
        assert!(earlier < later, "{earlier} is not before {later}");
        assert_eq!(earlier.len(), "run_".len() + 26);
    }
}
