//! The rules of operations.

mod attempt;
mod decide;
mod drift_news;
mod lifecycle;
pub(crate) mod memory;
mod report;
mod request;
mod secret_inputs;
mod simulation;
pub(crate) mod support;
