//! What has to happen without anybody asking: reconciling operations, announcing what expires, and making flushes
//! that are pending.
//!
//! A sweep delivers pending signals to workflows, ends operations that nothing drives any more, has environments
//! deprovisioned whose time to live is over, and has those looked at for drift that are due. All of that can be done
//! again without harm.
//!
//! Then it looks at everything that has an end. What is news is written beside what it is about, together
//! with an item of the outbox, in one conditional transaction; then it is published from there, and then
//! the outbox forgets it. So each thing is announced once: what a sweep leaves when it dies, the next one
//! continues, and only one that dies between publishing and forgetting has it published again, with the same
//! id. Nothing depends on a sweep coming to its end.
//!
//! What cannot wait comes first and is looked at by each sweep from its beginning: the flush, the outbox, operations,
//! environments, the ring. Of API keys and tokens there may be more than one sweep has time for. They come last, and each sweep
//! goes on where the one before stopped. What was noted of that is behind nothing that was not looked at: a sweep that died
//! has some of it looked at again, which passes quickly over what was announced.
//!
//! That a token or key has ended follows from the clock, and the table itself forgets what is old enough.
//! Old signing keys leave the ring when a new one is published.

mod drift_checks;
mod due;
mod listing;
mod operations;
mod round;
mod sharing;
mod sweep;
#[cfg(test)]
mod tests;
mod watch;

pub use self::{
    listing::{ListOperationsError, ListingProgress, RememberListing, list_unlisted},
    sharing::{FillInError, fill_in_sharing},
    sweep::{Report, Settings, SweepError, SweepStore, sweep},
    watch::{Announce, Marks, Outbox, Publish, PublishError, RememberRound, Round, Subject, Watch, Watched},
};
pub use crate::announcement::{Announcement, News};
