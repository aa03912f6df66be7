//! What the handlers need.

use std::sync::Arc;

use gatehouse_domain::{
    catalog::OpenInputs,
    clock::Clock,
    operations::{change::WorkflowPorts, workflow::AnswerTask},
    secret::ReadSecret,
};
use gatehouse_store::Table;

#[derive(Clone)]
pub struct AppState {
    pub table: Arc<Table>,
    pub answer: Arc<dyn AnswerTask>,
    /// Has the key of callback tokens.
    pub secrets: Arc<dyn ReadSecret>,
    /// Opens secret inputs for the worker that is given them.
    pub open: Arc<dyn OpenInputs>,
    pub clock: Arc<dyn Clock>,
}

impl AppState {
    /// This function answers tasks, and may do nothing else to a workflow.
    pub(crate) fn workflow(&self) -> WorkflowPorts<'_> {
        WorkflowPorts { start: None, answer: Some(&*self.answer), oversee: None }
    }
}
