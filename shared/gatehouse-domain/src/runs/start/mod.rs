//! Starting runs: exactly one build for each request, whatever gets lost on the way.
//!
//! CI systems have no idempotency keys, so Gatehouse keeps its own. A [`RunRequest`] is written before the CI
//! system is called and finished in one transaction with the run's record. When the answer of the call is
//! lost, the build is searched for among those begun since the request's [checkpoint](crate::ci::Checkpoint),
//! and adopted by recording it: a build can be recorded once only.
//!
//! Two requests for one job may both be recovering. A build that one of them sees may still belong to another
//! request whose call is under way, and whose answer will name it. So a build is adopted only after every
//! request that was open when the build was seen has either finished or begun to recover too; among requests
//! that are all recovering, which of them gets which build makes no difference.

mod attempt;
mod error;
mod request;
mod trigger;

pub use self::{
    attempt::HOLD,
    error::{StartError, Started},
    request::{BeginOutcome, FinishOutcome, REPLAY_FOR, RunRequest, RunRequestState, RunRequests},
    trigger::{rerun, trigger},
};
