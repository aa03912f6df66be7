//! What a sweep does for environments that are due to be looked at for drift.

use super::{
    operations::PATIENCE,
    sweep::{Sweep, SweepError, SweepStore, first_page},
};
use crate::operations::{change::DeliveryError, drift_check::check_when_due, request::RequestError};

/// How many looks for drift a sweep begins at most, each of which is a task of the provisioner. What is due beyond that
/// waits for the next sweep.
pub(super) const DRIFT_CHECKS: usize = 20;

impl<S: SweepStore> Sweep<'_, S> {
    /// Begins to look for drift where that is due, the longest due first, a page at a time. An environment that cannot be
    /// looked at is noted and passed over; after a few of them it is the store that fails. Returns whether there was time
    /// for all, or as many as a sweep begins.
    pub(super) async fn drift_checks(&mut self) -> Result<bool, SweepError> {
        let Some(start) = self.workflow.start else { return Ok(true) };
        let now = self.system.now();
        let mut failed = 0;
        let mut request = first_page();
        while !self.is_late() && !self.engine_is_silent() {
            let page = self.store.due_drift_checks(now, &request).await?;
            for schedule in &page.items {
                if self.is_late() || self.engine_is_silent() {
                    return Ok(false);
                }
                match check_when_due(self.store, start, self.system, schedule).await {
                    Ok(None) => {}
                    Ok(Some(requested)) => {
                        let unanswered = matches!(requested.unsettled, Some(DeliveryError::Workflow(_)));
                        self.unanswered += usize::from(unanswered);
                        self.report.drift_checks += 1;
                        if self.report.drift_checks == DRIFT_CHECKS {
                            return Ok(true);
                        }
                    }
                    // What cannot be begun here cannot be begun for the next one either.
                    Err(error) if matches!(error.source, RequestError::NotReady(_)) => {
                        return Err(error.into());
                    }
                    Err(error) => {
                        failed += 1;
                        self.note(Err(error.into()));
                        if failed == PATIENCE {
                            return Ok(false);
                        }
                    }
                }
            }
            request.cursor = page.next;
            if request.cursor.is_none() {
                return Ok(failed == 0);
            }
        }
        Ok(false)
    }
}
