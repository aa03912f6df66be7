//! How long to wait before something is tried again.

use std::time::Duration;

/// Pauses that double with every failure in a row.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    immediate: u32,
    max_failures: u32,
    failures: u32,
}

impl Backoff {
    /// A first pause of `first`, doubled with every further failure in a row, up to `longest`. Tries are not limited.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, immediate: 0, max_failures: u32::MAX, failures: 0 }
    }

    /// Allows so many failures in a row.
    #[must_use]
    pub const fn max_failures(self, max_failures: u32) -> Self {
        Self { max_failures, ..self }
    }

    /// Adds no pause after the first `immediate` failures in a row: a connection that was idle for too long fails
    /// once, and then works.
    #[must_use]
    pub const fn immediate(self, immediate: u32) -> Self {
        Self { immediate, ..self }
    }

    /// Changes the first pause: a server may ask for another one.
    pub fn set_first(&mut self, first: Duration) {
        self.first = first;
    }

    pub fn first(&self) -> Duration {
        self.first
    }

    /// Notes that a try failed. Returns whether another one is allowed.
    pub fn fail(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures <= self.max_failures
    }

    /// Notes that a try succeeded: the next failure is the first in a row again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How many tries in a row have failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// How long to wait before the next try, as far as the failures in a row decide: not at all without one.
    pub fn pause(&self) -> Duration {
        match self.failures.saturating_sub(self.immediate) {
            0 => Duration::ZERO,
            counted => self.longest.min(self.first.saturating_mul(2_u32.saturating_pow(counted - 1))),
        }
    }
}

/// Shortens `pause` to between half and all of it, as `chance` decides, so that callers which failed together do not
/// come back together.
pub fn jittered(pause: Duration, chance: u8) -> Duration {
    pause / 2 + pause / 2 * u32::from(chance) / u32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(mut backoff: Backoff, tries: usize) -> Vec<u128> {
        let pause = |_| backoff.fail().then(|| backoff.pause().as_millis());
        (0..tries).map_while(pause).collect()
    }

    fn worker() -> Backoff {
        Backoff::new(Duration::from_millis(250), Duration::from_secs(20))
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        assert_eq!(pauses(worker(), 9), [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
        let mut failed_forever = worker();
        failed_forever.failures = u32::MAX;
        assert!(failed_forever.fail());
        assert_eq!(failed_forever.pause(), Duration::from_secs(20));
    }

    #[test]
    fn there_is_no_pause_without_a_failure() {
        let mut backoff = worker();
        assert_eq!(backoff.pause(), Duration::ZERO);
        assert!(backoff.fail());
        backoff.reset();
        assert_eq!((backoff.pause(), backoff.failures()), (Duration::ZERO, 0));
    }

    #[test]
    fn the_first_failures_can_be_tried_again_at_once() {
        assert_eq!(pauses(worker().immediate(2), 5), [0, 0, 250, 500, 1_000]);
    }

    #[test]
    fn failures_in_a_row_can_be_limited() {
        assert_eq!(pauses(worker().max_failures(3), 9), [250, 500, 1_000]);
    }

    #[test]
    fn chance_shortens_a_pause_to_half_at_most() {
        let pause = Duration::from_secs(16);
        assert_eq!(jittered(pause, u8::MAX), pause);
        assert_eq!(jittered(pause, 0), pause / 2);
    }
}
