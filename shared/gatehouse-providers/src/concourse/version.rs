//! Which Concourse answers, and what that means.

use std::fmt;

/// A version as Concourse states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerVersion {
    text: String,
    /// Major and minor; none for a Concourse that was built from source, which says `0.0.0-dev`.
    release: Option<(u32, u32)>,
}

impl ServerVersion {
    pub(super) fn parse(text: &str) -> Self {
        let text: String = text.trim().chars().filter(|c| !c.is_control()).take(64).collect();
        let mut parts = text.split(['.', '-', '+']);
        let mut number = || parts.next()?.parse().ok();
        let release = number().zip(number()).filter(|release| *release != (0, 0));
        Self { text, release }
    }

    /// Whether it is certainly `release` or later.
    pub(super) fn is_at_least(&self, release: (u32, u32)) -> bool {
        self.release.is_some_and(|known| known >= release)
    }

    /// Whether it is certainly earlier than `release`.
    pub(super) fn is_before(&self, release: (u32, u32)) -> bool {
        self.release.is_some_and(|known| known < release)
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The first one whose bearer is the access token.
pub(super) const SUPPORTED: (u32, u32) = (6, 5);
/// The first one whose builds say who made them.
pub(super) const NAMES_CREATORS: (u32, u32) = (7, 0);
/// The first one that aborts pending builds of paused pipelines, within seconds, unless an older one waits before them:
/// it goes through a job's pending builds in their order.
pub(super) const ABORTS_PAUSED: (u32, u32) = (8, 2);
/// The first one that can end builds by force.
pub(super) const FORCES_ABORTS: (u32, u32) = (8, 3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let version = ServerVersion::parse("7.14.3");
        assert!(version.is_at_least((7, 4)) && !version.is_at_least((8, 3)));
        assert!(version.is_before((8, 2)) && !version.is_before((7, 14)));
        assert!(ServerVersion::parse("10.0.0-rc.1").is_at_least((8, 3)));
    }

    #[test]
    fn nothing_is_certain_of_a_build_from_source() {
        for text in ["0.0.0-dev", "", "nonsense"] {
            let version = ServerVersion::parse(text);
            assert!(!version.is_at_least((6, 5)) && !version.is_before((6, 5)), "{text}");
        }
    }
}
