//! Time and chance, which the gateway is given and never asks the system for.

use std::{fmt, sync::Arc};

use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;

/// Where the gateway takes the time and random numbers from.
#[derive(Clone)]
pub struct Sources {
    /// The time now.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// 128 random bits.
    pub random: Arc<dyn Fn() -> [u8; 16] + Send + Sync>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Sources {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// A random UUID, as AWS names requests.
    pub fn uuid(&self) -> String {
        let mut bytes = (self.random)();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = HEXLOWER.encode(&bytes);
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }

    /// The id that API Gateway gives a request beside the other one.
    pub fn extended_request_id(&self) -> String {
        BASE64.encode(&(self.random)()[..11])
    }

    /// The trace that a request starts.
    pub fn trace_id(&self) -> String {
        let random = HEXLOWER.encode(&(self.random)());
        format!("Root=1-{:08x}-{}", self.now().as_second(), &random[..24])
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A clock that only moves when told to, starting at 2026-01-02T03:04:05Z.
    pub struct Hands(Arc<AtomicU64>);

    impl Hands {
        pub fn advance(&self, seconds: u64) {
            self.0.fetch_add(seconds, Ordering::SeqCst);
        }
    }

    /// Sources with a clock that stands still and ids that count.
    pub fn fixed() -> (Sources, Hands) {
        let seconds = Arc::new(AtomicU64::new(1_767_323_045));
        let counter = AtomicU64::new(0);
        let hands = Hands(Arc::clone(&seconds));
        let now = move || {
            Timestamp::from_second(seconds.load(Ordering::SeqCst).cast_signed()).expect("a time in range")
        };
        let random = move || u128::from(counter.fetch_add(1, Ordering::SeqCst)).to_be_bytes();
        (Sources { now: Arc::new(now), random: Arc::new(random) }, hands)
    }

    #[test]
    fn ids_look_like_those_of_aws() {
        let (sources, _) = fixed();
        assert_eq!(sources.uuid(), "00000000-0000-4000-8000-000000000000");
        assert_eq!(sources.trace_id(), "Root=1-695735a5-000000000000000000000000");
        assert_eq!(sources.extended_request_id().len(), 16);
    }
}
