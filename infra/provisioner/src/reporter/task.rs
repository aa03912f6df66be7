//! The task that reports.

use std::{future, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc::UnboundedReceiver, oneshot},
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until},
};

use super::{
    pending::Pending,
    text::{LINE_LIMIT, cut},
};
use crate::{
    callbacks::{Callbacks, Command, Delivery, RefusalKind, StepState},
    stop::{Stop, StopCause},
};

/// How long a message is repeated that something depends on.
pub(crate) const IMPORTANT: Duration = Duration::from_mins(10);

/// How long any other is.
const PASSING: Duration = Duration::from_mins(1);

/// How long any other is once the end waits to be reported.
const LAST: Duration = Duration::from_secs(10);

/// What the worker reports.
pub(super) enum Message {
    Line(String),
    Step(&'static str, StepState),
    Percentage(u8),
    Finish(Box<Command>, oneshot::Sender<bool>),
    /// Dropped when everything that was reported before has been sent.
    Settle(oneshot::Sender<()>),
}

pub(super) struct ReportTask {
    callbacks: Callbacks,
    inbox: UnboundedReceiver<Message>,
    hurry: Arc<Notify>,
    stop: Stop,
    heartbeat: Interval,
    unsent: Unsent,
}

/// What was reported and not yet sent.
#[derive(Default)]
struct Unsent {
    pending: Pending,
    finish: Option<(Box<Command>, oneshot::Sender<bool>)>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl ReportTask {
    pub(super) fn new(
        callbacks: Callbacks,
        inbox: UnboundedReceiver<Message>,
        hurry: Arc<Notify>,
        stop: Stop,
        heartbeat_seconds: u32,
    ) -> Self {
        let every = Duration::from_secs(heartbeat_seconds.max(1).into());
        let mut heartbeat = interval_at(Instant::now() + every, every);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { callbacks, inbox, hurry, stop, heartbeat, unsent: Unsent::default() }
    }

    /// Reports until the attempt is over, nobody listens any more, or there is nothing left to report.
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
            if self.unsent.is_urgent() {
                if let Some(progress) = self.unsent.pending.take() {
                    return Some(Command::Progress(progress));
                }
                self.unsent.waiting.clear();
                if self.unsent.finish.is_some() {
                    return None;
                }
            }
            tokio::select! {
                biased;
                _ = self.heartbeat.tick() => return Some(Command::Heartbeat),
                message = self.inbox.recv() => self.unsent.take(message?),
                () = until(self.unsent.pending.due()) => return self.unsent.pending.take().map(Command::Progress),
            }
        }
    }

    /// Sends it, and keeps what the worker reports meanwhile.
    async fn send(&mut self, command: &Command) {
        let Self { callbacks, inbox, hurry, unsent, .. } = self;
        let patience = if unsent.finish.is_some() { LAST } else { PASSING };
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
                Some(message) = inbox.recv() => unsent.take(message),
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
            // Where nobody listens, what else waits need not be tried one by one before the end is reported.
            Delivery::Lost if self.unsent.finish.is_some() => self.unsent.pending = Pending::default(),
            Delivery::Lost => tracing::warn!("a message was given up"),
        }
    }

    /// Sends the last message.
    async fn close(mut self) {
        let Some((ending, known)) = self.unsent.finish.take() else { return };
        let mut delivery = self.callbacks.send(&ending, IMPORTANT, future::pending()).await;
        if let (Delivery::Refused(refusal), Command::Success { .. }) = (&delivery, &*ending)
            && refusal.kind() == RefusalKind::BadMessage
        {
            // The attempt is still open: better to end it with a reason than to let it fall silent.
            let reason =
                cut(&format!("the work is done, but its result was not taken: {refusal}"), LINE_LIMIT);
            let failure = Command::Failure { reason, cancelled: false, unchanged: false };
            self.callbacks.send(&failure, IMPORTANT, future::pending()).await;
            delivery = Delivery::Lost;
        }
        if let Delivery::Refused(refusal) = &delivery {
            tracing::error!(cause = %refusal, "the end of the attempt was refused");
        }
        known.send(matches!(delivery, Delivery::Taken(_))).ok();
    }
}

impl Unsent {
    fn take(&mut self, message: Message) {
        match message {
            Message::Line(line) => self.pending.line(line),
            Message::Step(step, state) => self.pending.step(step, state),
            Message::Percentage(percentage) => self.pending.percentage(percentage),
            Message::Finish(ending, known) => self.finish = Some((ending, known)),
            Message::Settle(waiting) => self.waiting.push(waiting),
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
