//! What a sweep does for operations, and for environments whose time is over.

use super::sweep::{Sweep, SweepError, first_page};
use crate::operations::{
    Operation,
    change::WorkflowPorts,
    reconcile::{ReconcileError, ReconcilePorts, Reconciled, expire_environment, reconcile},
    request::RequestError,
    workflow::WorkflowError,
};

/// How often a sweep asks a workflow engine that does not answer. Each time may take as long as a call may.
const PATIENCE: usize = 3;

impl Sweep<'_> {
    /// Looks after everything that is open, a page at a time. Whether there was time for all.
    pub(super) async fn operations(&mut self) -> Result<bool, SweepError> {
        let mut request = first_page();
        while !self.is_late() {
            let page = self.ports.operations.open.open_operations(&request).await?;
            for operation in &page.items {
                if self.is_late() {
                    return Ok(false);
                }
                self.look_after(operation).await;
            }
            request.cursor = page.next;
            if request.cursor.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks after one operation. An engine that does not answer is noted once, and after a while not asked
    /// any more: what is overdue can be ended without it.
    async fn look_after(&mut self, operation: &Operation) {
        self.report.operations += 1;
        let workflow =
            if self.engine_is_silent() { WorkflowPorts::default() } else { self.ports.operations.workflow };
        let ports = ReconcilePorts { workflow, ..self.ports.operations };
        match reconcile(&ports, operation).await {
            Ok(Reconciled::Fine) => {}
            Ok(Reconciled::Delivered) => self.report.told += 1,
            Ok(Reconciled::Ended) => self.report.ended += 1,
            Err(error) if is_silence(&error) => {
                self.unanswered += 1;
                if self.unanswered == 1 {
                    self.note(Err(error.into()));
                }
            }
            Err(error) => self.note(Err(error.into())),
        }
    }

    fn engine_is_silent(&self) -> bool {
        self.unanswered >= PATIENCE
    }

    /// Has environments deprovisioned whose time is over, a page at a time. Whether there was time for all.
    pub(super) async fn environments(&mut self) -> Result<bool, SweepError> {
        let operations = &self.ports.operations;
        let now = self.ports.clock.now();
        let mut request = first_page();
        while !self.is_late() && !self.engine_is_silent() {
            let page = operations.open.ended_environments(now, &request).await?;
            for (service, environment) in &page.items {
                if self.is_late() {
                    return Ok(false);
                }
                match expire_environment(operations, service, environment).await {
                    Ok(begun) => self.report.expired += usize::from(begun),
                    // What cannot be begun here cannot be begun for the next one either.
                    Err(error @ ReconcileError::Expire { source: RequestError::NotReady(_), .. }) => {
                        return Err(error.into());
                    }
                    Err(error) => self.note(Err(error.into())),
                }
            }
            request.cursor = page.next;
            if request.cursor.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn is_silence(error: &ReconcileError) -> bool {
    matches!(error, ReconcileError::Workflow(_, WorkflowError::Unavailable(_)))
}
