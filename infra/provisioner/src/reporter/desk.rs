//! The task that reports.

use std::{future, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc::UnboundedReceiver, oneshot},
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until},
};

use super::pending::Pending;
use crate::{
    callbacks::{Callbacks, Command, Delivery, RefusalKind, StepState},
    stop::{Stop, StopCause},
};

/// How long a message is repeated that something depends on.
pub(crate) const IMPORTANT: Duration = Duration::from_mins(10);

/// How long any other is.
const PASSING: Duration = Duration::from_mins(1);

/// How long any other is once the end waits to be told.
const LAST: Duration = Duration::from_secs(10);

/// What the worker says.
pub(super) enum Note {
    Line(String),
    Step(&'static str, StepState),
    Percentage(u8),
    Finish(Box<Command>, oneshot::Sender<bool>),
    /// Dropped when everything that was said before has been sent.
    Settle(oneshot::Sender<()>),
}

pub(super) struct Desk {
    callbacks: Callbacks,
    inbox: UnboundedReceiver<Note>,
    hurry: Arc<Notify>,
    stop: Stop,
    heartbeat: Interval,
    said: Said,
}

/// What was said and not yet sent.
#[derive(Default)]
struct Said {
    pending: Pending,
    finish: Option<(Box<Command>, oneshot::Sender<bool>)>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Desk {
    pub(super) fn new(
        callbacks: Callbacks,
        inbox: UnboundedReceiver<Note>,
        hurry: Arc<Notify>,
        stop: Stop,
        heartbeat_seconds: u32,
    ) -> Self {
        let every = Duration::from_secs(heartbeat_seconds.max(1).into());
        let mut heartbeat = interval_at(Instant::now() + every, every);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { callbacks, inbox, hurry, stop, heartbeat, said: Said::default() }
    }

    /// Reports until the attempt is over, nobody listens any more, or nobody has anything to say.
    pub(super) async fn work(mut self) {
        while let Some(command) = self.next().await {
            self.send(&command).await;
            if self.stop.cause() == Some(StopCause::Refused) {
                return;
            }
        }
        self.close().await;
    }

    /// The next message but the last one; `None` when only that is left.
    async fn next(&mut self) -> Option<Command> {
        loop {
            if self.said.is_urgent() {
                if let Some(progress) = self.said.pending.take() {
                    return Some(Command::Progress(progress));
                }
                self.said.waiting.clear();
                if self.said.finish.is_some() {
                    return None;
                }
            }
            tokio::select! {
                biased;
                _ = self.heartbeat.tick() => return Some(Command::Heartbeat),
                note = self.inbox.recv() => self.said.take(note?),
                () = until(self.said.pending.due()) => return self.said.pending.take().map(Command::Progress),
            }
        }
    }

    /// Sends it, and keeps what the worker says meanwhile.
    async fn send(&mut self, command: &Command) {
        let Self { callbacks, inbox, hurry, said, .. } = self;
        let patience = if said.finish.is_some() { LAST } else { PASSING };
        let hurried = async {
            hurry.notified().await;
            LAST
        };
        let sending = callbacks.send(command, patience, hurried);
        tokio::pin!(sending);
        let delivery = loop {
            tokio::select! {
                biased;
                delivery = &mut sending => break delivery,
                Some(note) = inbox.recv() => said.take(note),
            }
        };
        match delivery {
            Delivery::Taken(answer) if answer.cancel => self.stop.ask(StopCause::Cancelled),
            Delivery::Taken(_) => {}
            Delivery::Refused(refusal) => {
                tracing::warn!(cause = %refusal, "a message was refused");
                if refusal.kind() == RefusalKind::Final {
                    self.stop.ask(StopCause::Refused);
                }
            }
            // Where nobody listens, what else waits need not be tried one by one before the end is told.
            Delivery::Lost if self.said.finish.is_some() => self.said.pending = Pending::default(),
            Delivery::Lost => tracing::warn!("a message was given up"),
        }
    }

    /// Sends the last message.
    async fn close(mut self) {
        let Some((ending, known)) = self.said.finish.take() else { return };
        let mut delivery = self.callbacks.send(&ending, IMPORTANT, future::pending()).await;
        if let (Delivery::Refused(refusal), Command::Success { .. }) = (&delivery, &*ending)
            && refusal.kind() == RefusalKind::BadMessage
        {
            // The attempt is still open: better to end it with a reason than to let it fall silent.
            let reason = super::cut(
                &format!("the work is done, but its result was not taken: {refusal}"),
                super::LINE_LIMIT,
            );
            let failure = Command::Failure { reason, cancelled: false };
            self.callbacks.send(&failure, IMPORTANT, future::pending()).await;
            delivery = Delivery::Lost;
        }
        if let Delivery::Refused(refusal) = &delivery {
            tracing::error!(cause = %refusal, "the end of the attempt was refused");
        }
        known.send(matches!(delivery, Delivery::Taken(_))).ok();
    }
}

impl Said {
    fn take(&mut self, note: Note) {
        match note {
            Note::Line(line) => self.pending.line(line),
            Note::Step(step, state) => self.pending.step(step, state),
            Note::Percentage(percentage) => self.pending.percentage(percentage),
            Note::Finish(ending, known) => self.finish = Some((ending, known)),
            Note::Settle(waiting) => self.waiting.push(waiting),
        }
    }

    /// Whether somebody waits for it to be sent.
    fn is_urgent(&self) -> bool {
        self.finish.is_some() || !self.waiting.is_empty()
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => future::pending().await,
    }
}
