//! The rules of operations.
