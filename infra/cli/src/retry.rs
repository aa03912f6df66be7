//! Trying again after failures that may pass.

use std::time::Duration;

use gatehouse_outbound::Backoff;

use crate::failure::Failure;

/// How many tries in a row may fail: some minutes.
const MAX_FAILURES: u32 = 20;

/// How long to wait before the next try, unless the server asks for something else.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest wait that repeated failures lead to.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The longest wait that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_mins(1);

/// Which failures are tried again, and when.
#[derive(Debug)]
pub(crate) struct Retries(Backoff);

/// What a failure leads to that is tried again.
pub(crate) struct Retry {
    pub(crate) wait: Duration,
    /// What people are shown: only the first of the failures in a row is news to them.
    pub(crate) news: Option<String>,
}

impl Retries {
    pub(crate) fn new() -> Self {
        Self(Backoff::new(PAUSE, LONGEST_PAUSE).max_failures(MAX_FAILURES))
    }

    /// How long to wait before coming back when nothing failed.
    pub(crate) fn pause(&self) -> Duration {
        self.0.first()
    }

    /// Takes over the pause that the server asks for, if it does.
    pub(crate) fn set_pause(&mut self, asked: Option<Duration>) {
        if let Some(asked) = asked {
            self.0.set_first(asked.min(LONGEST_ASKED));
        }
    }

    /// Notes that a try succeeded.
    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }

    /// Decides on a failure: the wait grows with every one in a row, and is as long as the server asks for.
    ///
    /// # Errors
    ///
    /// The failure, when it does not pass, or there were too many.
    pub(crate) fn retry(&mut self, failure: Failure) -> Result<Retry, Failure> {
        if !may_pass(&failure) || !self.0.fail() {
            return Err(failure);
        }
        let news = failure.text().filter(|_| self.0.failures() == 1);
        Ok(Retry { wait: self.0.pause().max(asked(&failure)), news: news.map(|text| headline(&text)) })
    }
}

/// How long the server asks to wait, within reason.
fn asked(failure: &Failure) -> Duration {
    match failure {
        Failure::Problem(problem) => {
            Duration::from_secs(problem.retry_after.unwrap_or_default()).min(LONGEST_ASKED)
        }
        _ => Duration::ZERO,
    }
}

/// Whether the same request may have another answer later.
fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable { .. } => true,
        Failure::Stream { retryable, .. } => *retryable,
        Failure::Problem(problem) => matches!(problem.status, 408 | 429 | 500..=599),
        _ => false,
    }
}

fn headline(text: &str) -> String {
    let why = text.lines().next().unwrap_or_default().trim_start_matches("gatehouse: ");
    format!("{why}; coming back")
}
