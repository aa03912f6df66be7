//! Providers by name.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use gatehouse_domain::{
    ci::{CiProvider, ProviderDirectory, ProviderKind, ProviderLookupError},
    name::ProviderName,
    providers::{FindProvider, Provider},
    revision::Revision,
};
use jiff::Timestamp;

use crate::dependencies::Dependencies;

/// How long settings are used without being read again: short beside the time in which people expect an
/// edit to work, long beside the time between two requests of a busy function.
const FRESH_FOR: Duration = Duration::from_secs(30);

/// What speaks with one kind of CI system.
pub(crate) struct Adapter {
    pub kind: ProviderKind,
    /// Makes a provider from its settings. Nothing is sent yet.
    pub make: fn(&Provider, Dependencies) -> Arc<dyn CiProvider>,
}

/// Makes providers from their settings, and keeps them: with them their connections and tokens.
pub struct Directory {
    find: Arc<dyn FindProvider>,
    adapters: &'static [Adapter],
    dependencies: Dependencies,
    builtin: HashMap<ProviderName, Builtin>,
    known: Mutex<HashMap<ProviderName, Known>>,
}

/// A provider that nobody registers.
struct Builtin {
    kind: ProviderKind,
    provider: Arc<dyn CiProvider>,
}

/// A provider that was made before.
#[derive(Clone)]
struct Known {
    provider: Arc<dyn CiProvider>,
    revision: Revision,
    read_at: Timestamp,
}

impl Directory {
    pub(crate) fn new(
        find: Arc<dyn FindProvider>,
        adapters: &'static [Adapter],
        dependencies: Dependencies,
    ) -> Self {
        let (builtin, known) = (HashMap::new(), Mutex::default());
        Self { find, adapters, dependencies, builtin, known }
    }

    /// Adds a provider that nobody registers: `process`, in the local stack.
    #[must_use]
    pub fn with_builtin(
        mut self,
        name: ProviderName,
        kind: ProviderKind,
        provider: Arc<dyn CiProvider>,
    ) -> Self {
        self.builtin.insert(name, Builtin { kind, provider });
        self
    }

    /// The kinds of provider that jobs can run at.
    pub fn kinds(&self) -> BTreeSet<ProviderKind> {
        let registered = self.adapters.iter().map(|adapter| adapter.kind);
        registered.chain(self.builtin.values().map(|builtin| builtin.kind)).collect()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<ProviderName, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self, settings: &Provider) -> Result<Arc<dyn CiProvider>, ProviderLookupError> {
        let adapter = self.adapters.iter().find(|adapter| adapter.kind == settings.kind);
        let adapter = adapter.ok_or(ProviderLookupError::KindUnavailable(settings.kind))?;
        Ok((adapter.make)(settings, self.dependencies.clone()))
    }

    /// The provider with these settings: the one that was made before unless they have changed.
    fn made(&self, settings: &Provider, now: Timestamp) -> Result<Arc<dyn CiProvider>, ProviderLookupError> {
        let mut known = self.known();
        if let Some(same) = known.get_mut(&settings.name).filter(|it| it.revision == settings.revision) {
            same.read_at = now;
            return Ok(same.provider.clone());
        }
        let provider = self.make(settings)?;
        let revision = settings.revision.clone();
        known.insert(settings.name.clone(), Known { provider: provider.clone(), revision, read_at: now });
        Ok(provider)
    }
}

#[async_trait]
impl ProviderDirectory for Directory {
    async fn provider(&self, name: &ProviderName) -> Result<Arc<dyn CiProvider>, ProviderLookupError> {
        if let Some(builtin) = self.builtin.get(name) {
            return Ok(builtin.provider.clone());
        }
        let now = self.dependencies.system.now();
        let known = self.known().get(name).cloned();
        match known.filter(|it| now.duration_since(it.read_at).unsigned_abs() < FRESH_FOR) {
            Some(known) => Ok(known.provider),
            None => self.provider_now(name).await,
        }
    }

    async fn provider_now(&self, name: &ProviderName) -> Result<Arc<dyn CiProvider>, ProviderLookupError> {
        if let Some(builtin) = self.builtin.get(name) {
            return Ok(builtin.provider.clone());
        }
        if let Some(settings) = self.find.find_provider(name).await? {
            return self.made(&settings, self.dependencies.system.now());
        }
        self.known().remove(name);
        Err(ProviderLookupError::NotConfigured(name.clone()))
    }
}
