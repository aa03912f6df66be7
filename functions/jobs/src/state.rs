//! What the handlers work with.

use std::sync::Arc;

use gatehouse_domain::{
    clock::System,
    plain_http::PlainHttp,
    secret::{DeleteSecret, WriteSecret},
};
use gatehouse_providers::Directory;
use gatehouse_store::Table;

/// What the handlers work with.
#[derive(Clone)]
pub struct AppState {
    pub table: Arc<Table>,
    /// Keeps the credentials of providers.
    pub write_secrets: Arc<dyn WriteSecret>,
    pub delete_secrets: Arc<dyn DeleteSecret>,
    pub providers: Arc<Directory>,
    /// Whether providers may be called without TLS.
    pub plain_http: PlainHttp,
    pub system: Arc<dyn System>,
}
