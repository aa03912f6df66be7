//! One sweep.

use std::num::NonZeroU16;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    clock::Clock,
    janitor::{
        due::{self, Due},
        watch::{Announce, Marks, Outbox, Publish, PublishError, Subject, Watch},
    },
    operations::reconcile::{ReconcileError, ReconcilePorts},
    paging::{Limit, ListError, PageRequest},
    revision::EditOutcome,
    revocation::{FlushAuthorizer, FlushError, PendingFlush},
    store::StoreError,
};

/// How much is looked at between two looks at the clock.
const PAGE: u8 = 25;

/// What a sweep needs.
pub struct Ports<'a> {
    /// Looks after operations.
    pub operations: ReconcilePorts<'a>,
    /// Reads what is watched.
    pub watch: &'a dyn Watch,
    /// Decides that something is announced.
    pub announce: &'a dyn Announce,
    /// What is to be published.
    pub outbox: &'a dyn Outbox,
    /// Publishes it.
    pub publish: &'a dyn Publish,
    /// Makes API Gateway forget.
    pub flush: &'a dyn FlushAuthorizer,
    /// Keeps that it has to.
    pub pending_flush: &'a dyn PendingFlush,
    /// Tells the time.
    pub clock: &'a dyn Clock,
}

/// How a sweep goes.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// After how many days without use a token is announced as unused.
    pub unused_days: NonZeroU16,
    /// When to stop; the next sweep goes on.
    pub deadline: Timestamp,
}

/// What a sweep did.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// How many operations were looked at that are open, or owe their workflows something.
    pub operations: usize,
    /// To how many of their workflows was said what they were owed.
    pub told: usize,
    /// How many operations were ended.
    pub ended: usize,
    /// How many environments are being deprovisioned because their time was over.
    pub expired: usize,
    /// How many tokens were looked at.
    pub tokens: usize,
    /// How many API keys were looked at.
    pub api_keys: usize,
    /// How many announcements were decided on.
    pub announced: usize,
    /// How many were published, those of earlier sweeps included.
    pub published: usize,
    /// Whether a flush was owed, and was made.
    pub flushed: bool,
    /// Whether everything was looked at before the deadline.
    pub finished: bool,
    /// What went wrong. One thing that does keeps no other from being done.
    #[serde(skip)]
    pub failures: Vec<SweepError>,
}

/// Something that a sweep could not do. The next one tries again.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A list could not be read.
    #[error("could not read the list")]
    List(#[from] ListError),
    /// An operation, or an environment whose time is over, could not be looked after.
    #[error(transparent)]
    Operations(#[from] ReconcileError),
    /// A flush that is owed still is.
    #[error(transparent)]
    Flush(#[from] FlushError),
    /// What is to be published still is.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Looks at everything once, or at as much as there is time for.
pub async fn sweep(ports: &Ports<'_>, settings: &Settings) -> Report {
    let mut sweep =
        Sweep { ports, settings, report: Report::default(), has_news: true, publishes: true, unanswered: 0 };
    let flushed = sweep.flush().await;
    sweep.note(flushed);
    // What an earlier sweep left.
    sweep.publish().await;
    let operations = sweep.operations().await;
    let environments = sweep.environments().await;
    let ring = sweep.key_ring().await;
    let keys = sweep.api_keys().await;
    let tokens = sweep.tokens().await;
    let outcomes = [operations, environments, ring, keys, tokens];
    sweep.report.finished = outcomes.iter().all(|outcome| matches!(outcome, Ok(true)));
    for outcome in outcomes {
        sweep.note(outcome.map(drop));
    }
    // What was decided on before a failure.
    sweep.publish().await;
    sweep.report
}

pub(super) struct Sweep<'a> {
    pub(super) ports: &'a Ports<'a>,
    settings: &'a Settings,
    pub(super) report: Report,
    /// Whether the outbox may hold something.
    has_news: bool,
    /// Whether the last attempt to publish worked. One that did not is enough for one sweep.
    publishes: bool,
    /// How often the workflow engine was asked in vain.
    pub(super) unanswered: usize,
}

impl Sweep<'_> {
    pub(super) fn note(&mut self, outcome: Result<(), SweepError>) {
        self.report.failures.extend(outcome.err());
    }

    pub(super) fn is_late(&self) -> bool {
        self.ports.clock.now() >= self.settings.deadline
    }

    /// Makes a flush that is owed.
    async fn flush(&mut self) -> Result<(), SweepError> {
        let Some(since) = self.ports.pending_flush.pending_flush().await? else { return Ok(()) };
        self.ports.flush.flush_authorizer().await?;
        self.report.flushed = true;
        Ok(self.ports.pending_flush.flush_done(since).await?)
    }

    /// Looks at the ring. Whether there was time for it.
    async fn key_ring(&mut self) -> Result<bool, SweepError> {
        if self.is_late() {
            return Ok(false);
        }
        let Some(ring) = self.ports.watch.watched_key_ring().await? else { return Ok(true) };
        let due = due::of_key_ring(&ring, self.ports.clock.now());
        self.decide(&Subject::KeyRing, &ring.marks, due).await?;
        self.publish().await;
        Ok(true)
    }

    /// Looks at API keys, a page at a time. Whether there was time for all.
    async fn api_keys(&mut self) -> Result<bool, SweepError> {
        let mut request = first_page();
        while !self.is_late() {
            let page = self.ports.watch.watched_api_keys(&request).await?;
            let now = self.ports.clock.now();
            for key in &page.items {
                let due = due::of_api_key(key, now);
                self.decide(&Subject::ApiKey(key.thing.id.clone()), &key.marks, due).await?;
            }
            self.report.api_keys += page.items.len();
            self.publish().await;
            request.cursor = page.next;
            if request.cursor.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks at tokens, a page at a time. Whether there was time for all.
    async fn tokens(&mut self) -> Result<bool, SweepError> {
        let mut request = first_page();
        while !self.is_late() {
            let page = self.ports.watch.watched_tokens(&request).await?;
            let now = self.ports.clock.now();
            for token in &page.items {
                let due = due::of_token(token, self.settings.unused_days, now);
                self.decide(&Subject::Token(token.thing.jti.clone()), &token.marks, due).await?;
            }
            self.report.tokens += page.items.len();
            self.publish().await;
            request.cursor = page.next;
            if request.cursor.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes down what is due, if anything is.
    async fn decide(&mut self, subject: &Subject, previous: &Marks, due: Due) -> Result<(), SweepError> {
        let Due { marks, announcements } = due;
        if announcements.is_empty() {
            return Ok(());
        }
        match self.ports.announce.announce(subject, previous, &marks, &announcements).await? {
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
    async fn publish(&mut self) {
        if !self.has_news || !self.publishes {
            return;
        }
        self.has_news = false;
        let published = self.drain().await;
        self.publishes = published.is_ok();
        self.note(published);
    }

    /// What cannot be published is passed over, so that it does not hold up what stands behind it.
    async fn drain(&mut self) -> Result<(), SweepError> {
        let mut outcome = Ok(());
        let mut request = first_page();
        while !self.is_late() {
            let page = self.ports.outbox.to_publish(&request).await?;
            for (announcement, sent) in page.items.iter().zip(self.ports.publish.publish(&page.items).await) {
                match sent {
                    Ok(()) => {
                        self.report.published += 1;
                        self.ports.outbox.published(announcement).await?;
                    }
                    Err(error) => outcome = Err(error.into()),
                }
            }
            request.cursor = page.next;
            if request.cursor.is_none() {
                break;
            }
        }
        outcome
    }
}

pub(super) fn first_page() -> PageRequest {
    PageRequest { limit: Limit::new(PAGE).unwrap_or_default(), cursor: None }
}
