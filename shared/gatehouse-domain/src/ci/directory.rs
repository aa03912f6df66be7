//! Finding providers by name.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    ci::{provider::CiProvider, targets::ProviderKind},
    name::ProviderName,
    store::StoreError,
};

/// Why there is no provider to talk to.
#[derive(Debug, thiserror::Error)]
pub enum ProviderLookupError {
    /// Nobody registered one under that name.
    #[error("provider `{0}` is not configured")]
    NotConfigured(ProviderName),
    /// It is of a kind that this deployment does not have.
    #[error("this deployment cannot run jobs of kind `{}`", .0.as_str())]
    KindUnavailable(ProviderKind),
    /// Its settings cannot be read.
    #[error("could not read the provider")]
    Store(#[from] StoreError),
}

/// Finds providers by name.
#[async_trait]
pub trait ProviderDirectory: Send + Sync {
    /// The provider that was registered as `name`; its settings may be some seconds old.
    async fn provider(&self, name: &ProviderName) -> Result<Arc<dyn CiProvider>, ProviderLookupError>;

    /// The same with the settings of this moment, for what people do right after they edited them.
    async fn provider_now(&self, name: &ProviderName) -> Result<Arc<dyn CiProvider>, ProviderLookupError> {
        self.provider(name).await
    }
}
