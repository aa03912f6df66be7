//! One sweep.

use std::num::NonZeroU16;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    catalog::FindService,
    clock::System,
    janitor::{
        due::{self, Due},
        watch::{Announce, Marks, Outbox, Publish, PublishError, RememberRound, Round, Subject, Watch},
    },
    operations::{
        FindOperation, SaveOperation,
        change::WorkflowPorts,
        drift_check::{DriftCheckError, DriftSchedules},
        reconcile::{ListOpenOperations, ReconcileError},
    },
    paging::{Limit, ListError, PageRequest},
    revision::EditOutcome,
    revocation::{FlushAuthorizer, FlushError, PendingFlush},
    store::StoreError,
};

/// How much of a list is read at once whose things take calls of their own.
const PAGE: u8 = 25;

/// What a sweep reads and writes.
pub trait SweepStore:
    ListOpenOperations
    + FindOperation
    + SaveOperation
    + FindService
    + DriftSchedules
    + Watch
    + RememberRound
    + Announce
    + Outbox
    + PendingFlush
{
}

impl<T> SweepStore for T where
    T: ListOpenOperations
        + FindOperation
        + SaveOperation
        + FindService
        + DriftSchedules
        + Watch
        + RememberRound
        + Announce
        + Outbox
        + PendingFlush
{
}

/// What a deployment decides about its sweeps.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// After how many days without use a token is announced as unused.
    pub unused_days: NonZeroU16,
    /// When to begin nothing new any more; the next sweep does the rest.
    pub deadline: Timestamp,
}

/// What a sweep did.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// How many operations were looked at that are open, or have a signal pending.
    pub operations: usize,
    /// How many pending signals were delivered.
    pub told: usize,
    /// How many operations were ended because nothing else would have.
    pub ended: usize,
    /// How many environments are being deprovisioned because their time was over.
    pub expired: usize,
    /// How many environments are being looked at for drift because that was due.
    pub drift_checks: usize,
    /// How many tokens were looked at.
    pub tokens: usize,
    /// How many API keys were looked at.
    pub api_keys: usize,
    /// How many announcements were decided on.
    pub announced: usize,
    /// How many were published, those of earlier sweeps included.
    pub published: usize,
    /// Whether a flush was pending, and was made.
    pub flushed: bool,
    /// Whether it went on with API keys or tokens where the sweep before stopped.
    pub resumed: bool,
    /// Whether it came to the end of everything before the deadline. With `resumed` the sweeps before have looked at the first
    /// of the API keys and tokens.
    pub finished: bool,
    /// What went wrong. One thing that does keeps no other from being done.
    #[serde(skip)]
    pub failures: Vec<SweepError>,
}

/// Something that a sweep could not do. The next one tries again.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A list could not be read.
    #[error("could not read the list")]
    List(#[from] ListError),
    /// An operation, or an environment whose time is over, could not be looked after.
    #[error(transparent)]
    Operations(#[from] ReconcileError),
    /// An environment could not be looked at for drift, and stays due.
    #[error(transparent)]
    DriftCheck(#[from] DriftCheckError),
    /// A pending flush could not be made, and stays pending.
    #[error(transparent)]
    Flush(#[from] FlushError),
    /// An announcement could not be published, and stays in the outbox.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Looks at everything, or at as much as there is time for, and the next sweep goes on. What fails is in the report, and
/// keeps nothing else from being done.
///
/// Several sweeps may overlap: each thing that one does is a conditional write, which only one of them wins.
pub async fn sweep<S: SweepStore>(
    store: &S,
    workflow: WorkflowPorts<'_>,
    publish: &dyn Publish,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    settings: &Settings,
) -> Report {
    let mut sweep = Sweep {
        store,
        workflow,
        publish,
        flush,
        system,
        settings,
        report: Report::default(),
        has_news: true,
        publishes: true,
        unanswered: 0,
        round: Round::default(),
    };
    // First, since it takes away access that somebody was promised to have lost.
    let flushed = sweep.flush_pending().await;
    sweep.note(flushed);
    // An earlier sweep may have died between deciding and publishing, and changes of operations leave their news to
    // the next sweep.
    sweep.publish_news().await;
    let operations = sweep.operations().await;
    let environments = sweep.environments().await;
    // Behind what is deprovisioned, which need not be looked at any more.
    let drift_checks = sweep.drift_checks().await;
    let ring = sweep.key_ring().await;
    // Last, since they take what time there is.
    let round = sweep.go_round().await;
    let outcomes = [operations, environments, drift_checks, ring, round];
    sweep.report.finished = outcomes.iter().all(|outcome| matches!(outcome, Ok(true)));
    for outcome in outcomes {
        sweep.note(outcome.map(drop));
    }
    // Each part publishes what it decided, unless it failed half-way.
    sweep.publish_news().await;
    sweep.report
}

pub(super) struct Sweep<'a, S> {
    pub(super) store: &'a S,
    pub(super) workflow: WorkflowPorts<'a>,
    publish: &'a dyn Publish,
    flush: &'a dyn FlushAuthorizer,
    pub(super) system: &'a dyn System,
    pub(super) settings: &'a Settings,
    pub(super) report: Report,
    /// Whether the outbox may hold something.
    has_news: bool,
    /// Whether the last attempt to publish worked. One that did not is enough for one sweep.
    publishes: bool,
    /// How often the workflow engine was called and did not answer.
    pub(super) unanswered: usize,
    /// How far the round had come when that was last read or noted.
    pub(super) round: Round,
}

impl<S: SweepStore> Sweep<'_, S> {
    pub(super) fn note(&mut self, outcome: Result<(), SweepError>) {
        self.report.failures.extend(outcome.err());
    }

    pub(super) fn is_late(&self) -> bool {
        self.system.now() >= self.settings.deadline
    }

    /// Makes a pending flush.
    async fn flush_pending(&mut self) -> Result<(), SweepError> {
        let Some(since) = self.store.pending_flush().await? else { return Ok(()) };
        self.flush.flush_authorizer().await?;
        self.report.flushed = true;
        // Only the mark that was read: a revocation since then has set a later one, which needs its own flush.
        Ok(self.store.flush_done(since).await?)
    }

    /// Looks at the key ring. Returns whether there was time for it.
    async fn key_ring(&mut self) -> Result<bool, SweepError> {
        if self.is_late() {
            return Ok(false);
        }
        let Some(ring) = self.store.watched_key_ring().await? else { return Ok(true) };
        let due = due::of_key_ring(&ring, self.system.now());
        self.decide(&Subject::KeyRing, &ring.marks, due).await?;
        self.publish_news().await;
        Ok(true)
    }

    /// Writes down what is due, if anything is.
    pub(super) async fn decide(
        &mut self,
        subject: &Subject,
        previous: &Marks,
        due: Due,
    ) -> Result<(), SweepError> {
        let Due { marks, announcements } = due;
        if announcements.is_empty() {
            return Ok(());
        }
        match self.store.announce(subject, previous, &marks, &announcements).await? {
            EditOutcome::Done => {
                self.report.announced += announcements.len();
                self.has_news = true;
            }
            // Another sweep was faster, or the subject has just been forgotten.
            EditOutcome::Conflict => {}
        }
        Ok(())
    }

    /// Publishes what the outbox has.
    pub(super) async fn publish_news(&mut self) {
        if !self.has_news || !self.publishes {
            return;
        }
        self.has_news = false;
        let published = self.drain().await;
        self.publishes = published.is_ok();
        self.note(published);
    }

    /// What cannot be published is passed over, so that it does not hold up what stands behind it, unless nothing of
    /// its page can be.
    async fn drain(&mut self) -> Result<(), SweepError> {
        let mut outcome = Ok(());
        let mut request = first_page();
        while !self.is_late() {
            let page = self.store.to_publish(&request).await?;
            let before = self.report.published;
            for (announcement, sent) in page.items.iter().zip(self.publish.publish(&page.items).await) {
                match sent {
                    Ok(()) => {
                        self.report.published += 1;
                        // Published before it is forgotten: dying in between publishes it twice, with the same
                        // id, which its receivers can tell; the other order would lose it.
                        self.store.published(announcement).await?;
                    }
                    Err(error) => outcome = Err(error.into()),
                }
            }
            request.cursor = page.next;
            // Where nothing of a page was taken it is the bus that fails, and a long outbox would use up the sweep.
            if request.cursor.is_none() || self.report.published == before {
                break;
            }
        }
        outcome
    }
}

pub(super) fn first_page() -> PageRequest {
    PageRequest { limit: Limit::new(PAGE).unwrap_or_default(), cursor: None, ..PageRequest::default() }
}
