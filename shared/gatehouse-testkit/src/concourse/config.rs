//! What stays as it is while the twin runs.

use std::time::Duration;

use super::version::Version;

/// What stays as it is while the twin runs.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) version: Version,
    pub(super) token_lifetime: Duration,
    pub(super) grants_only_openid: bool,
    pub(super) abort: AbortPace,
    pub(super) fixed_time: Option<i64>,
}

/// How long an abort takes to have its effect.
#[derive(Clone, Copy, Debug)]
pub(super) enum AbortPace {
    After(Duration),
    UntilReleased,
}
