//! The CI system of the local stack: commands on this machine, as child processes.
//!
//! Each run has a directory of its own with its record and its events. The README beside this file explains
//! how the parts work together and why nothing is left behind by a crash.

mod active;
mod command;
mod directory;
mod leftovers;
mod log;
mod output;
mod provider;
mod record;
mod settle;

pub use self::{
    leftovers::RUN_VARIABLE,
    provider::{OpenError, ProcessProvider, ProcessSettings},
    settle::{WATCHER, watch},
};
