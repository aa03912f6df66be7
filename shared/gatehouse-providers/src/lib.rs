//! The adapters to what runs jobs and deploys: CI systems, one folder each, and webhooks.

pub mod concourse;
mod directory;
mod limits;
pub mod webhook;

pub use directory::Directory;
