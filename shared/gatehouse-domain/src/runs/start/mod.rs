//! Starting runs: exactly one build for each request, whatever gets lost on the way.
//!
//! CI systems have no idempotency keys, so Gatehouse keeps its own. A [`RunRequest`] is written before the CI
//! system is called and finished in one transaction with the run's record. When the answer of the call is
//! lost, the build is searched for among those begun since the request's [checkpoint](crate::ci::Checkpoint),
//! and adopted by recording it: a build can be recorded once only.
//!
//! Two requests for one job may both be recovering, and a build that one of them sees may be the other's. While
//! another request's call is under way, nothing is adopted: its answer will name its build. While others are
//! recovering, nothing is adopted until there is a build for each of them, or the own build must be visible, a
//! minute after the own call: whoever took another one's build earlier could leave its own behind, where the other
//! one, which has given up by then or began later, does not search. After that, which of them gets which build
//! makes no difference.
//!
//! A run that is to take versions of resources has them pinned around its call: see [`pins`](super::pins).

mod attempt;
mod error;
mod request;
#[cfg(test)]
pub(crate) mod tests;
mod trigger;
mod versions;

pub use self::{
    attempt::HOLD,
    error::{StartError, Started},
    request::{BeginOutcome, FinishOutcome, REPLAY_FOR, RunRequest, RunRequestState, RunRequests},
    trigger::{rerun, trigger},
};
