//! Providers by name.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use gatehouse_domain::{
    ci::{CiProvider, ProviderDirectory, ProviderKind, ProviderLookupError},
    lease::{LeaseOutcome, Leases},
    name::ProviderName,
    providers::{FindProvider, Provider},
    revision::Revision,
    store::StoreError,
};
use gatehouse_providers::{Dependencies, Directory};
use gatehouse_testkit::concourse::Script;

use crate::support::{Bench, LeaseBook, concourse, deploy};

/// Registered providers, in memory.
struct Registry {
    providers: Mutex<Vec<Provider>>,
    reads: AtomicUsize,
    leases: Arc<LeaseBook>,
}

#[async_trait]
impl FindProvider for Registry {
    async fn find_provider(&self, name: &ProviderName) -> Result<Option<Provider>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(self.providers.lock().unwrap().iter().find(|provider| provider.name == *name).cloned())
    }
}

#[async_trait]
impl Leases for Registry {
    async fn acquire(&self, name: &str, holder: &str, time: Duration) -> Result<LeaseOutcome, StoreError> {
        self.leases.acquire(name, holder, time).await
    }

    async fn release(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        self.leases.release(name, holder).await
    }
}

struct Setup {
    bench: Bench,
    registry: Arc<Registry>,
    directory: Directory,
}

async fn setup() -> Setup {
    let bench = Bench::new(concourse(Script::quick())).await;
    let providers = Mutex::new(vec![bench.settings.clone()]);
    let (reads, leases) = (AtomicUsize::new(0), bench.leases.clone());
    let registry = Arc::new(Registry { providers, reads, leases });
    let Dependencies { system, http, .. } = bench.dependencies();
    let directory = gatehouse_providers::directory(registry.clone(), bench.secrets.clone(), system, http);
    Setup { bench, registry, directory }
}

async fn find(setup: &Setup, name: &str) -> Result<Arc<dyn CiProvider>, ProviderLookupError> {
    setup.directory.provider(&name.parse().unwrap()).await
}

#[tokio::test]
async fn a_provider_is_made_once_and_kept_while_its_settings_stay() {
    let setup = setup().await;
    let first = find(&setup, "concourse").await.unwrap();
    first.checkpoint(&deploy()).await.unwrap();
    let again = find(&setup, "concourse").await.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(setup.registry.reads.load(Ordering::SeqCst), 1, "settings were read on the warm path");

    setup.bench.clock.advance(Duration::from_secs(31));
    let later = find(&setup, "concourse").await.unwrap();
    assert!(Arc::ptr_eq(&first, &later), "unchanged settings made another provider");
    assert_eq!(setup.registry.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_edit_makes_another_provider_soon() {
    let setup = setup().await;
    let first = find(&setup, "concourse").await.unwrap();
    setup.registry.providers.lock().unwrap()[0].revision = Revision::unverified("rev_2".into());
    setup.bench.clock.advance(Duration::from_secs(31));
    let second = find(&setup, "concourse").await.unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
}

#[tokio::test]
async fn a_provider_that_is_gone_is_not_configured() {
    let setup = setup().await;
    find(&setup, "concourse").await.unwrap();
    setup.registry.providers.lock().unwrap().clear();
    setup.bench.clock.advance(Duration::from_secs(31));
    for name in ["concourse", "other"] {
        let error = find(&setup, name).await.err().unwrap();
        assert_eq!(error.to_string(), format!("provider `{name}` is not configured"));
    }
}

#[tokio::test]
async fn builtin_providers_are_found_without_the_store() {
    let mut setup = setup().await;
    let builtin: Arc<dyn CiProvider> = setup.bench.provider();
    setup.directory =
        setup.directory.with_builtin("process".parse().unwrap(), ProviderKind::Process, builtin.clone());
    assert!(Arc::ptr_eq(&find(&setup, "process").await.unwrap(), &builtin));
    assert_eq!(setup.registry.reads.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_kind_that_this_deployment_does_not_have_is_said_to_be_missing() {
    let setup = setup().await;
    setup.registry.providers.lock().unwrap()[0].kind = ProviderKind::Process;
    let error = find(&setup, "concourse").await.err().unwrap();
    assert_eq!(error.to_string(), "this deployment cannot run jobs of kind `process`");
}
