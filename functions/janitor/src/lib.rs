//! Looks after operations, announces what ends, is not used or is due for rotation, and makes flushes that are
//! owed. A schedule calls it, and anybody who may invoke it; what the event says makes no difference.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use gatehouse_domain::{
    catalog::FindService,
    clock::{Clock, IdSource},
    error::Chain,
    janitor::{Announce, Outbox, Ports, Publish, Report, Settings, Watch, sweep},
    operations::{
        FindOperation, SaveOperation,
        change::{ChangePorts, WorkflowPorts},
        reconcile::{ListOpenOperations, ReconcilePorts},
        request::RequestPorts,
        workflow::{AnswerTask, OverseeWorkflow, StartWorkflow},
    },
    revocation::{FlushAuthorizer, PendingFlush},
};
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::Value;

/// How long before the function is ended a sweep begins nothing new: longer than what it has begun takes
/// when every call is tried as often as it may be.
const MARGIN: Duration = Duration::from_secs(20);

/// The janitor.
#[derive(Clone)]
pub struct Janitor {
    /// Lists the operations that are open, and the environments whose time is over.
    pub open: Arc<dyn ListOpenOperations>,
    /// Reads operations.
    pub find: Arc<dyn FindOperation>,
    /// Records them.
    pub save: Arc<dyn SaveOperation>,
    /// Reads services.
    pub services: Arc<dyn FindService>,
    /// Begins workflows.
    pub start: Arc<dyn StartWorkflow>,
    /// Tells them.
    pub answer: Arc<dyn AnswerTask>,
    /// Looks at them, and stops them.
    pub oversee: Arc<dyn OverseeWorkflow>,
    /// Reads what is watched.
    pub watch: Arc<dyn Watch>,
    /// Decides that something is announced.
    pub announce: Arc<dyn Announce>,
    /// What is to be published.
    pub outbox: Arc<dyn Outbox>,
    /// Publishes it.
    pub publish: Arc<dyn Publish>,
    /// Makes API Gateway forget.
    pub flush: Arc<dyn FlushAuthorizer>,
    /// Keeps that it has to.
    pub pending_flush: Arc<dyn PendingFlush>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn IdSource>,
    /// After how many days without use a token is announced as unused.
    pub unused_days: NonZeroU16,
}

/// A sweep could not do everything. The log says what; the next one tries again.
#[derive(Debug, thiserror::Error)]
#[error("{0} parts of the sweep failed and are tried again by the next one; the log says why")]
pub struct SweepFailed(usize);

impl From<SweepFailed> for Diagnostic {
    fn from(error: SweepFailed) -> Self {
        Self { error_type: "SweepFailed".to_owned(), error_message: error.to_string() }
    }
}

impl Janitor {
    /// Answers an invocation: sweeps until shortly before the function is ended.
    ///
    /// # Errors
    ///
    /// When something could not be done.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Report, SweepFailed> {
        let ends_at = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
        let ends_at = Timestamp::from_millisecond(ends_at).unwrap_or(Timestamp::MAX);
        self.sweep(ends_at.checked_sub(MARGIN).unwrap_or(Timestamp::MIN)).await
    }

    /// Sweeps until `deadline`.
    ///
    /// # Errors
    ///
    /// When something could not be done.
    pub async fn sweep(&self, deadline: Timestamp) -> Result<Report, SweepFailed> {
        let ports = Ports {
            operations: self.operations(),
            watch: &*self.watch,
            announce: &*self.announce,
            outbox: &*self.outbox,
            publish: &*self.publish,
            flush: &*self.flush,
            pending_flush: &*self.pending_flush,
            clock: &*self.clock,
        };
        let report = sweep(&ports, &Settings { unused_days: self.unused_days, deadline }).await;
        log(&report);
        if report.failures.is_empty() { Ok(report) } else { Err(SweepFailed(report.failures.len())) }
    }

    fn operations(&self) -> ReconcilePorts<'_> {
        ReconcilePorts {
            open: &*self.open,
            change: ChangePorts { find: &*self.find, save: &*self.save, clock: &*self.clock },
            workflow: WorkflowPorts {
                start: Some(&*self.start),
                answer: Some(&*self.answer),
                oversee: Some(&*self.oversee),
            },
            request: RequestPorts {
                services: &*self.services,
                find: &*self.find,
                save: &*self.save,
                start: &*self.start,
                clock: &*self.clock,
                ids: &*self.ids,
            },
        }
    }
}

fn log(report: &Report) {
    for failure in &report.failures {
        tracing::error!(error = %Chain(failure), "a part of the sweep failed");
    }
    tracing::info!(
        operations = report.operations,
        told = report.told,
        ended = report.ended,
        expired = report.expired,
        tokens = report.tokens,
        api_keys = report.api_keys,
        announced = report.announced,
        published = report.published,
        flushed = report.flushed,
        finished = report.finished,
        "swept"
    );
}
