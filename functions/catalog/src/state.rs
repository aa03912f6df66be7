//! What the handlers need.

use std::sync::Arc;

use gatehouse_domain::{
    catalog::SealInputs,
    clock::System,
    operations::{
        change::WorkflowPorts,
        workflow::{AnswerTask, OverseeWorkflow, StartWorkflow},
    },
    plain_http::PlainHttp,
};
use gatehouse_store::Table;

#[derive(Clone)]
pub struct AppState {
    pub table: Arc<Table>,
    pub start: Arc<dyn StartWorkflow>,
    pub answer: Arc<dyn AnswerTask>,
    pub oversee: Arc<dyn OverseeWorkflow>,
    /// Seals secret inputs of modules.
    pub seal: Arc<dyn SealInputs>,
    /// Whether webhooks may be called without TLS.
    pub plain_http: PlainHttp,
    pub system: Arc<dyn System>,
}

impl AppState {
    /// How a decision reaches its workflow: it answers a task, or stops an execution.
    pub(crate) fn workflow(&self) -> WorkflowPorts<'_> {
        WorkflowPorts { start: None, answer: Some(&*self.answer), oversee: Some(&*self.oversee) }
    }
}
