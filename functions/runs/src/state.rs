//! What the handlers work with.

use std::sync::Arc;

use gatehouse_domain::clock::System;
use gatehouse_providers::Directory;
use gatehouse_store::Table;

/// What the handlers work with.
#[derive(Clone)]
pub struct AppState {
    pub table: Arc<Table>,
    pub providers: Arc<Directory>,
    pub system: Arc<dyn System>,
}
