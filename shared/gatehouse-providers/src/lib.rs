//! The adapters to what runs jobs and deploys: CI systems, one folder each, and webhooks.

pub mod concourse;
mod dependencies;
mod directory;
mod limits;
pub mod webhook;

use std::sync::Arc;

use gatehouse_domain::{
    ci::ProviderKind,
    clock::System,
    lease::Leases,
    providers::FindProvider,
    secret::{ReadSecret, WriteSecret},
};
use gatehouse_outbound::OutboundHttp;

use self::{concourse::ConcourseProvider, directory::Adapter};
pub use self::{dependencies::Dependencies, directory::Directory};

/// The CI systems that people can register.
const ADAPTERS: &[Adapter] = &[Adapter {
    kind: ProviderKind::Concourse,
    make: |settings, dependencies| Arc::new(ConcourseProvider::new(settings, dependencies)),
}];

/// A directory of the providers that `store` knows, which are reached by clients that `http` makes. Their
/// credentials, and the tokens that all functions share, are in `secrets`.
pub fn directory<S, K>(
    store: Arc<S>,
    secrets: Arc<K>,
    system: Arc<dyn System>,
    http: OutboundHttp,
) -> Directory
where
    S: FindProvider + Leases + 'static,
    K: ReadSecret + WriteSecret + 'static,
{
    let dependencies = Dependencies {
        read_secrets: secrets.clone(),
        write_secrets: secrets,
        leases: store.clone(),
        system,
        http,
    };
    Directory::new(store, ADAPTERS, dependencies)
}
