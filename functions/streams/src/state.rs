//! What the handlers work with.

use std::sync::Arc;

use gatehouse_domain::{
    caller::Caller,
    clock::System,
    runs::{self, Run, RunId},
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
    /// A run as it stands now, which is where its events and its log begin.
    pub(crate) async fn run(&self, caller: &Caller, id: &RunId) -> Result<Run, Problem> {
        let found = runs::show(&*self.table, &*self.providers, &*self.system, caller, id);
        found.await.map(|found| found.run).map_err(Problem::show_run)
    }
}
