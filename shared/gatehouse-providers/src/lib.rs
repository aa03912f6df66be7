//! The adapters to what runs jobs and deploys: CI systems, one folder each, and webhooks.

pub mod concourse;
mod dependencies;
mod directory;
mod limits;
pub mod webhook;

pub use self::{dependencies::Dependencies, directory::Directory};
