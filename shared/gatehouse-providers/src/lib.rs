//! The adapters to what runs jobs and deploys: CI systems, one folder each, and webhooks.

pub mod concourse;
mod dependencies;
mod directory;
mod limits;
pub mod webhook;

use std::sync::Arc;

use gatehouse_domain::{ci::ProviderKind, providers::FindProvider};

use self::{concourse::ConcourseProvider, directory::Adapter};
pub use self::{dependencies::Dependencies, directory::Directory};

/// The CI systems that people can register.
const ADAPTERS: &[Adapter] = &[Adapter {
    kind: ProviderKind::Concourse,
    make: |settings, dependencies| Arc::new(ConcourseProvider::new(settings, dependencies)),
}];

/// A directory of the providers that `find` knows.
pub fn directory(find: Arc<dyn FindProvider>, dependencies: Dependencies) -> Directory {
    Directory::new(find, ADAPTERS, dependencies)
}
