//! Reconciles operations, has environments looked at for drift, announces what expires, is not used or is due for rotation, makes pending flushes, and
//! takes away what was left pinned for runs. A schedule calls it, and anybody who may invoke it; what the event says makes no difference.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use gatehouse_domain::{
    ci::ProviderDirectory,
    clock::System,
    error::Chain,
    janitor::{
        FillInError, ListOperationsError, Publish, Report, Settings, fill_in_sharing, list_unlisted, sweep,
    },
    operations::{
        change::WorkflowPorts,
        workflow::{AnswerTask, OverseeWorkflow, StartWorkflow},
    },
    revocation::FlushAuthorizer,
    runs::pins,
};
use gatehouse_store::Table;
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::Value;

/// How long before the function is ended a sweep begins nothing new: longer than what it has begun takes
/// when every call is tried as often as it may be.
const MARGIN: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub struct Janitor {
    pub table: Arc<Table>,
    pub start: Arc<dyn StartWorkflow>,
    pub answer: Arc<dyn AnswerTask>,
    pub oversee: Arc<dyn OverseeWorkflow>,
    pub publish: Arc<dyn Publish>,
    pub flush: Arc<dyn FlushAuthorizer>,
    /// The CI systems, for what is pinned in them.
    pub providers: Arc<dyn ProviderDirectory>,
    pub system: Arc<dyn System>,
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
        let workflow = WorkflowPorts {
            start: Some(&*self.start),
            answer: Some(&*self.answer),
            oversee: Some(&*self.oversee),
        };
        let settings = Settings { unused_days: self.unused_days, deadline };
        let (publish, flush) = (&*self.publish, &*self.flush);
        let filled = self.fill_in_sharing(deadline).await;
        let report = sweep(&*self.table, workflow, publish, flush, &*self.system, &settings).await;
        log(&report);
        let listed = self.list_unlisted(deadline).await;
        // At the end, since a CI system may be slow, and nothing else is to wait for it.
        let pinned = self.settle_pins(deadline).await;
        let failures =
            report.failures.len() + usize::from(filled.is_err()) + usize::from(listed.is_err()) + pinned;
        if failures == 0 { Ok(report) } else { Err(SweepFailed(failures)) }
    }

    /// Takes away what starters of runs left pinned. Returns how much of that failed.
    async fn settle_pins(&self, deadline: Timestamp) -> usize {
        if self.system.now() >= deadline {
            return 0;
        }
        match pins::settle_all(&*self.table, &*self.providers, &*self.system, deadline).await {
            Ok((settled, failures)) => {
                if settled > 0 {
                    tracing::info!(settled, "took away what was left pinned");
                }
                for failure in &failures {
                    tracing::error!(error = %Chain(failure), "could not take away what is pinned");
                }
                failures.len()
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "could not read what is pinned");
                1
            }
        }
    }

    /// Before the sweep, which may never come to its end: it is little work, and most of it only once.
    async fn fill_in_sharing(&self, deadline: Timestamp) -> Result<(), FillInError> {
        if self.system.now() >= deadline {
            return Ok(());
        }
        let filled = fill_in_sharing(&*self.table, &*self.system).await;
        match &filled {
            Ok(0) => {}
            Ok(providers) => tracing::info!(providers, "filled in which tenants may use what of providers"),
            Err(error) => {
                tracing::error!(error = %Chain(error), "could not fill in which tenants may use what");
            }
        }
        filled.map(drop)
    }

    /// Behind the sweep, which nobody's old operations have to wait for; once in an installation.
    async fn list_unlisted(&self, deadline: Timestamp) -> Result<(), ListOperationsError> {
        let listed = list_unlisted(&*self.table, &*self.system, deadline).await;
        match &listed {
            Ok(0) => {}
            Ok(operations) => tracing::info!(operations, "listed operations that are older than their lists"),
            Err(error) => tracing::error!(error = %Chain(error), "could not list older operations"),
        }
        listed.map(drop)
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
        drift_checks = report.drift_checks,
        tokens = report.tokens,
        api_keys = report.api_keys,
        announced = report.announced,
        published = report.published,
        flushed = report.flushed,
        resumed = report.resumed,
        finished = report.finished,
        "swept"
    );
}
