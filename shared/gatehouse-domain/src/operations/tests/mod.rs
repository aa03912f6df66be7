//! The rules of operations.

pub(crate) mod memory;
pub(crate) mod support;
