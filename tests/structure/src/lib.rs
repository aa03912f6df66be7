//! Reads the source of the workspace's crates and checks how their modules are laid out.
//!
//! It depends on no other crate of the workspace, so it builds in seconds and runs where the code that it
//! reads does not compile.

pub mod circles;
pub mod krate;
mod paths;
mod resolve;
mod scan;
pub mod schemas;
pub mod text;
pub mod workspace;
