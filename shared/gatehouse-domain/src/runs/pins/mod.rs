//! Pins for runs: a parameter may be delivered as the version of a resource, which is pinned from before the CI system
//! is called until the build has taken its inputs.
//!
//! A pin is the pipeline's, not the run's: whatever else runs meanwhile takes the version too, and whoever forgets to
//! unpin leaves the pipeline stuck. So there is one [`PinLease`] for each pipeline at a time. It is written before
//! anything is pinned, and says what has to be unpinned; whoever finds one whose time is over settles it: the next
//! who starts a run there, whoever looks at the run, the janitor.
//!
//! What people have pinned is theirs. The CI system has no conditions, so a pin is recognised by its version and its
//! comment, right before it is taken away.

mod lease;
mod settle;

pub use self::{
    lease::{PinLease, PinLeases},
    settle::{SettleError, observe, settle, settle_all, unpin},
};
