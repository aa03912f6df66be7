//! The rules of operations.

pub(crate) mod memory;
mod simulation;
pub(crate) mod support;
