//! `Retry` and `Catch`: what follows an error.

use std::time::Duration;

use serde::Deserialize;

use super::path::Path;

/// Matches every error that may be caught.
const ALL: &str = "States.ALL";

/// A task took longer than it may.
pub const TIMEOUT: &str = "States.Timeout";

/// A task was silent for longer than it may. `States.Timeout` matches it too.
pub const HEARTBEAT_TIMEOUT: &str = "States.HeartbeatTimeout";

/// The data is not what the definition takes it for. Nothing catches this.
pub const RUNTIME: &str = "States.Runtime";

/// A state's data is too large. Nothing catches this.
pub const DATA_LIMIT: &str = "States.DataLimitExceeded";

/// The errors that a retrier or a catcher is for.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Errors(Vec<String>);

impl TryFrom<Vec<String>> for Errors {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        let known = |name: &&String| {
            !name.starts_with("States.") || [ALL, TIMEOUT, HEARTBEAT_TIMEOUT].contains(&name.as_str())
        };
        if let Some(name) = names.iter().find(|name| !known(name)) {
            return Err(format!("the error {name} is not played here"));
        }
        if names.is_empty() || (names.len() > 1 && names.iter().any(|name| name == ALL)) {
            return Err(format!("ErrorEquals needs names, and {ALL} stands alone"));
        }
        Ok(Self(names))
    }
}

impl Errors {
    /// Whether they match all errors, so that nothing behind them is ever reached.
    pub fn are_all(&self) -> bool {
        self.0[0] == ALL
    }

    /// Whether `error` is one of them.
    pub fn match_error(&self, error: &str) -> bool {
        if [RUNTIME, DATA_LIMIT].contains(&error) {
            return false;
        }
        self.are_all()
            || self.0.iter().any(|name| name == error || (error == HEARTBEAT_TIMEOUT && name == TIMEOUT))
    }
}

/// Tries a task again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Retrier {
    pub error_equals: Errors,
    #[serde(default = "one")]
    interval_seconds: u32,
    #[serde(default = "three")]
    pub max_attempts: u32,
    #[serde(default = "two")]
    backoff_rate: f64,
    max_delay_seconds: Option<u32>,
    #[serde(default)]
    jitter_strategy: Jitter,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Jitter {
    #[default]
    None,
    Full,
}

impl Retrier {
    /// How long to wait before the next attempt, after `earlier` repetitions. `chance` is from 0 to 1.
    pub fn delay(&self, earlier: u32, chance: f64) -> Duration {
        let exponent = i32::try_from(earlier).unwrap_or(i32::MAX);
        let delay = f64::from(self.interval_seconds) * self.backoff_rate.powi(exponent);
        let delay = delay.min(self.max_delay_seconds.map_or(f64::from(MAX_SECONDS), f64::from));
        let share = if self.jitter_strategy == Jitter::Full { chance } else { 1.0 };
        Duration::from_secs_f64(delay * share)
    }

    /// What is wrong with its numbers.
    pub fn problem(&self) -> Option<&'static str> {
        let fits = self.interval_seconds >= 1 && self.backoff_rate >= 1.0 && self.backoff_rate.is_finite();
        (!fits).then_some("a Retry needs an IntervalSeconds and a BackoffRate of at least 1")
    }
}

/// Goes on elsewhere with the error in the data.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Catcher {
    pub error_equals: Errors,
    #[serde(default)]
    pub result_path: Path,
    pub next: String,
}

/// The longest time that the language knows, about three years.
pub const MAX_SECONDS: u32 = 99_999_999;

fn one() -> u32 {
    1
}

fn two() -> f64 {
    2.0
}

fn three() -> u32 {
    3
}
