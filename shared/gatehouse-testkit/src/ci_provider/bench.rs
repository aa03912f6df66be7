//! What the suite asks of those who bring an adapter.

use std::sync::Arc;

use async_trait::async_trait;
use gatehouse_domain::ci::{CiProvider, Target};

/// A job that the suite runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Writes the lines `one`, `two`, `three` to standard output and succeeds.
    Succeeds,
    Fails,
    /// Writes the line `ready` and runs until it is cancelled.
    Waits,
    Missing,
}

/// Something that happens to the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The next start, be it a trigger or a rerun, has its effect, and its answer is lost.
    AnswerLost,
    /// The account may not start anything any more.
    RightsLost,
    /// The system does not answer until [`Bench::mend`].
    Down,
}

/// An adapter, and the CI system that it speaks with: one for each test, with nothing in it yet but the jobs.
#[async_trait]
pub trait Bench: Send + Sync {
    /// The adapter: where it can be had more than once, another one at each call, as another process has it.
    fn provider(&self) -> Arc<dyn CiProvider>;

    /// What a job points at.
    fn target(&self, job: Job) -> Target;

    /// How many runs the system has begun, whoever knows of them.
    fn runs(&self) -> usize;

    /// Causes a trouble. Returns whether this system can have it.
    async fn cause(&self, trouble: Trouble) -> bool;

    /// Ends what [`Bench::cause`] caused.
    async fn mend(&self);
}
