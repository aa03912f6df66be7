//! How long to wait before a message is sent again.

use std::time::Duration;

use gatehouse_domain::clock::IdSource;

/// The first pause is at most so long.
const FIRST: Duration = Duration::from_millis(250);

/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(20);

/// Pauses that double, each shortened by chance to between half and all of it, so that workers which lost
/// Gatehouse together do not come back together.
pub(super) struct Pauses<'a> {
    ids: &'a dyn IdSource,
    next: Duration,
}

impl<'a> Pauses<'a> {
    pub(super) fn new(ids: &'a dyn IdSource) -> Self {
        Self { ids, next: FIRST }
    }

    pub(super) fn next(&mut self) -> Duration {
        let whole = self.next;
        self.next = LONGEST.min(whole * 2);
        let chance = u32::from(self.ids.random()[0]);
        whole / 2 + whole / 2 * chance / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(u8);

    impl IdSource for Always {
        fn random(&self) -> [u8; 16] {
            [self.0; 16]
        }
    }

    fn pauses(chance: u8) -> Vec<u128> {
        let always = Always(chance);
        let mut pauses = Pauses::new(&always);
        let mut pauses: Vec<_> = (0..9).map(|_| pauses.next().as_millis()).collect();
        pauses.dedup();
        pauses
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        assert_eq!(pauses_at_most(), [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000]);
    }

    #[test]
    fn chance_shortens_a_pause_to_half_at_most() {
        let halves: Vec<_> = pauses_at_most().iter().map(|pause| pause / 2).collect();
        assert_eq!(pauses(0), halves);
    }

    fn pauses_at_most() -> Vec<u128> {
        pauses(255)
    }
}
