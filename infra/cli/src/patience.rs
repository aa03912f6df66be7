//! Coming back after failures that may pass.

use std::time::Duration;

use crate::failure::Failure;

/// How many times in a row nothing may come of coming back: some minutes.
const MAX_FAILURES: u32 = 20;

/// How long to wait before coming back, unless the server says otherwise.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest wait that repeated failures lead to.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The longest wait that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_mins(1);

/// How long failures are waited out.
#[derive(Debug)]
pub(crate) struct Patience {
    /// How many times in a row nothing came of coming back.
    failures: u32,
    pause: Duration,
}

/// A failure that is waited out.
pub(crate) struct Endured {
    /// How long.
    pub(crate) wait: Duration,
    /// What people are told, once for all failures in a row.
    pub(crate) news: Option<String>,
}

impl Patience {
    /// All of it.
    pub(crate) fn new() -> Self {
        Self { failures: 0, pause: PAUSE }
    }

    /// How long to wait before coming back when all is well.
    pub(crate) fn pause(&self) -> Duration {
        self.pause
    }

    /// The server asks to wait so long.
    pub(crate) fn ask(&mut self, pause: Option<Duration>) {
        self.pause = pause.unwrap_or(self.pause).min(LONGEST_ASKED);
    }

    /// Something came of coming back.
    pub(crate) fn restore(&mut self) {
        self.failures = 0;
    }

    /// Waits a failure out, longer each time, and as long as the server asks for.
    ///
    /// # Errors
    ///
    /// The failure, when it does not pass, or there were too many.
    pub(crate) fn endure(&mut self, failure: Failure) -> Result<Endured, Failure> {
        if !may_pass(&failure) || self.failures >= MAX_FAILURES {
            return Err(failure);
        }
        self.failures += 1;
        let news = failure.text().filter(|_| self.failures == 1);
        Ok(Endured { wait: self.wait_after(&failure), news: news.map(|text| headline(&text)) })
    }

    fn wait_after(&self, failure: &Failure) -> Duration {
        let grown = self.pause.saturating_mul(1 << self.failures.saturating_sub(1).min(8));
        let asked = match failure {
            Failure::Problem(problem) => Duration::from_secs(problem.retry_after.unwrap_or_default()),
            _ => Duration::ZERO,
        };
        grown.min(LONGEST_PAUSE).max(asked.min(LONGEST_ASKED))
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
