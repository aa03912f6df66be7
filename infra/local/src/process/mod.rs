//! The CI system of the local stack: commands on this machine, as child processes.
//!
//! Each run has a directory of its own with its record and its events, and a supervisor process that
//! starts the command, writes its output down and ends it when the stack dies. The README beside this file
//! tells how the parts work together and why nothing is left behind by a crash.

mod directory;
mod events;
mod follow;
mod going;
mod identity;
mod provider;
mod record;
mod settle;
mod spawn;
pub mod supervisor;

pub use self::{
    directory::KEPT_FINISHED_RUNS,
    identity::BUILD_VARIABLE,
    provider::{OpenError, ProcessProvider, ProcessSettings},
};
