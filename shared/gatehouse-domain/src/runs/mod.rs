//! Runs: one execution of a job in its CI system.
//!
//! What Gatehouse knows of a run is an observation of the CI system's own truth, so a [`Run`] is a plain
//! record. What Gatehouse itself decides, the starting of a run, is a lifecycle: see [`start`].

mod cancel;
mod find;
mod id;
pub mod pins;
mod run;
pub mod start;

pub use self::{
    cancel::{CancelError, cancel},
    find::{FoundRun, ListRunsError, ShowRunError, list, show},
    id::{InvalidRunId, RunId},
    run::{FindRun, ListRuns, RecordRun, Run},
};
