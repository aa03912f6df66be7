//! A small AWS Step Functions for this machine: the real SDK talks to it, the deployed definitions run in it,
//! and each execution is a file.
//!
//! It plays standard workflows, as far as our definitions go; what it does not know it refuses when it reads
//! them.
//!
//! A killed `cargo run` continues where it was, because an execution *is* its file: each transition is written
//! before anything follows from it. After a start, waits and timers run on with their time; a task that was
//! being called is called again, with the same token where it has one, so that whoever got it twice can tell; no
//! worker is silent for the time in which it could not be heard. Files rather than a table: one rename is a
//! transaction, and a person can read them.

mod arn;
mod engine;
mod execution;
mod file;
mod machine;
mod operations;
mod protocol;
mod runner;
mod server;
mod tasks;

pub use self::{
    machine::{DefinitionError, StateMachine},
    protocol::{Description, Started, Stopped},
    server::{RunningStepFunctions, StepFunctions},
    tasks::{TaskError, Tasks},
};

#[cfg(test)]
mod tests;
