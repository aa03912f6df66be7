//! What the handlers work with.

use std::sync::Arc;

use gatehouse_domain::{
    caller::Caller,
    clock::System,
    runs::{self, FoundRun, RunId},
};
use gatehouse_http::Problem;
use gatehouse_providers::Directory;
use gatehouse_store::Table;

/// What the handlers work with.
#[derive(Clone)]
pub struct AppState {
    pub table: Arc<Table>,
    pub providers: Arc<Directory>,
    pub system: Arc<dyn System>,
}

impl AppState {
    /// A run as it stands now, for every route that begins with one.
    pub(crate) async fn show(&self, caller: &Caller, id: &RunId) -> Result<FoundRun, Problem> {
        let found = runs::show(&*self.table, &*self.providers, &*self.system, caller, id);
        found.await.map_err(Problem::show_run)
    }
}
