//! What a sweep does for operations, and for environments whose time is over.

use jiff::Timestamp;

use super::{
    Watched,
    due::{self, ENVIRONMENTS_AHEAD},
    sweep::{Sweep, SweepError, SweepStore, first_page},
    watch::Subject,
};
use crate::{
    catalog::EnvironmentState,
    operations::{
        Operation,
        change::WorkflowPorts,
        reconcile::{ReconcileError, Reconciled, expire_environment, reconcile},
        request::RequestError,
        workflow::WorkflowError,
    },
};

/// How often a sweep calls a workflow engine that does not answer. Each call may take as long as a call may, and
/// a sweep that waits for it a hundred times does nothing else before its deadline.
pub(super) const PATIENCE: usize = 3;

impl<S: SweepStore> Sweep<'_, S> {
    /// Reconciles everything that is open, a page at a time. Returns whether there was time for all.
    pub(super) async fn operations(&mut self) -> Result<bool, SweepError> {
        let mut request = first_page();
        while !self.is_late() {
            let page = self.store.open_operations(&request).await?;
            for operation in &page.items {
                if self.is_late() {
                    return Ok(false);
                }
                self.reconcile(operation).await;
            }
            request.cursor = page.next;
            if request.cursor.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reconciles one operation. An engine that does not answer is noted once, and after a while not called any
    /// more: what is overdue can be ended without it.
    async fn reconcile(&mut self, operation: &Operation) {
        self.report.operations += 1;
        let workflow = if self.engine_is_silent() { WorkflowPorts::default() } else { self.workflow };
        match reconcile(self.store, workflow, self.system, operation).await {
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

    pub(super) fn engine_is_silent(&self) -> bool {
        self.unanswered >= PATIENCE
    }

    /// Announces the environments that end soon, then begins to deprovision those whose time to live is over. In this
    /// order, since what is deprovisioned has no end any more that could be announced. Returns whether all were looked
    /// at.
    pub(super) async fn environments(&mut self) -> Result<bool, SweepError> {
        let now = self.system.now();
        let announced = self.ending_environments(now).await;
        // What could not be announced keeps nothing from being deprovisioned, which costs as long as it is not.
        let deprovisioned = self.ended_environments(now).await;
        match (announced, deprovisioned) {
            (Ok(announced), Ok(deprovisioned)) => Ok(announced && deprovisioned),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
            (Err(error), Err(other)) => {
                self.note(Err(other));
                Err(error)
            }
        }
    }

    /// Announces what is due of the environments that end within a day, a page at a time. One that cannot be announced
    /// is noted and passed over; after a few of them it is the store that fails. Returns whether all were looked at.
    async fn ending_environments(&mut self, now: Timestamp) -> Result<bool, SweepError> {
        let mut failed = 0;
        let mut request = first_page();
        while !self.is_late() {
            let page = self.store.watched_environments(now + ENVIRONMENTS_AHEAD, &request).await?;
            for environment in &page.items {
                if let Err(error) = self.announce_end(environment, now).await {
                    failed += 1;
                    self.note(Err(error));
                    if failed == PATIENCE {
                        return Ok(false);
                    }
                }
            }
            self.publish_news().await;
            request.cursor = page.next;
            if request.cursor.is_none() {
                return Ok(failed == 0);
            }
        }
        Ok(false)
    }

    async fn announce_end(
        &mut self,
        environment: &Watched<EnvironmentState>,
        now: Timestamp,
    ) -> Result<(), SweepError> {
        let due = due::of_environment(environment, now);
        if due.announcements.is_empty() {
            return Ok(());
        }
        let EnvironmentState { service, name, .. } = &environment.thing;
        let Some(found) = self.store.find_service(service).await? else { return Ok(()) };
        // It was listed with an end although its time to live was taken away; nothing will deprovision it.
        if found.service.environment(name).is_none_or(|spec| spec.ttl_hours.is_none()) {
            return Ok(());
        }
        let subject = Subject::Environment(service.clone(), name.clone());
        self.decide(&subject, &environment.marks, due.of_service(&found.service)).await
    }

    /// Begins to deprovision environments whose time to live is over, a page at a time. Returns whether there was
    /// time for all.
    async fn ended_environments(&mut self, now: Timestamp) -> Result<bool, SweepError> {
        let Some(start) = self.workflow.start else { return Ok(true) };
        let mut request = first_page();
        while !self.is_late() && !self.engine_is_silent() {
            let page = self.store.ended_environments(now, &request).await?;
            for (service, environment) in &page.items {
                if self.is_late() {
                    return Ok(false);
                }
                match expire_environment(self.store, start, self.system, service, environment).await {
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
