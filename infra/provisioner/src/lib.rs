//! The Terraform worker: one process for one phase of one operation.
//!
//! It reports to Gatehouse by callbacks, gets its work order with the first answer, runs Terraform in a
//! workspace of its own, and ends. `docs/PROVISIONER.md` says what it needs and what a module must be.

mod artifacts;
mod backend;
mod callbacks;
mod job;
mod location;
mod mask;
mod module;
mod reporter;
mod settings;
mod stop;
mod terraform;
mod work;
mod worker;
mod workspace;

pub use self::{
    location::{Location, LocationError},
    settings::{Assignment, Settings, SettingsError, WorkerConfig},
    work::{Phase, UnknownPhase},
    worker::{Outcome, run},
};
