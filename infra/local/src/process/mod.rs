//! The CI system of the local stack: commands on this machine, as child processes.
//!
//! Each run has a directory of its own with its record and its events. The README beside this file explains
//! how the parts work together and why nothing is left behind by a crash.

mod active;
mod command;
mod directory;
mod events;
mod follow;
mod identity;
mod output;
mod provider;
mod record;
mod settle;
mod watcher;

pub use self::{
    directory::KEPT_FINISHED_RUNS,
    identity::{BUILD_VARIABLE, RUN_VARIABLE},
    provider::{OpenError, ProcessProvider, ProcessSettings},
    watcher::{WATCHER, watch},
};
