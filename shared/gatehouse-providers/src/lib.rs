//! The CI systems that Gatehouse speaks with, one folder each, and the HTTP client that they share.

pub mod concourse;
mod directory;
pub mod http;

pub use directory::Directory;
