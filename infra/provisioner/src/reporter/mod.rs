//! Reporting to Gatehouse how the work goes, while it goes.
//!
//! A task of its own owns the callbacks: never more than one is under way, heartbeats go out however silent
//! Terraform is, and work never waits for Gatehouse. It also hears in the answers that the worker must stop.

mod pending;
mod task;
mod text;

use std::sync::Arc;

use tokio::sync::{
    Notify,
    mpsc::{self, UnboundedSender},
    oneshot,
};

pub(crate) use self::{task::IMPORTANT, text::cut};
use self::{
    task::{Message, ReportTask},
    text::LINE_LIMIT,
};
use crate::{
    callbacks::{Callbacks, Command, StepState},
    mask::Mask,
    stop::Stop,
    work::WorkOrder,
};

/// The worker's side: what is reported here is masked, and sent in its turn.
#[derive(Clone)]
pub(crate) struct Reporter {
    messages: UnboundedSender<Message>,
    hurry: Arc<Notify>,
    mask: Mask,
    operation_id: Arc<str>,
}

impl Reporter {
    /// Starts the task that reports on this work order.
    pub(crate) fn start(callbacks: Callbacks, order: &WorkOrder, mask: Mask, stop: Stop) -> Self {
        let (messages, inbox) = mpsc::unbounded_channel();
        let hurry = Arc::<Notify>::default();
        let task = ReportTask::new(callbacks, inbox, hurry.clone(), stop, order.heartbeat_seconds);
        tokio::spawn(task.work());
        Self { messages, hurry, mask, operation_id: order.operation_id.as_str().into() }
    }

    /// The secrets that are hidden in everything that is reported here.
    pub(crate) fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Passes on what Terraform printed, which may be more than one line.
    pub(crate) fn log(&self, text: &str) {
        // Masked before it is split and cut: a secret that spans lines, or the cut, would not be found any more.
        for line in self.mask.text(text).lines().filter(|line| !line.trim().is_empty()) {
            let line = cut(line, LINE_LIMIT);
            tracing::info!(operation_id = &*self.operation_id, "{line}");
            self.report(Message::Line(line));
        }
    }

    /// Says how a step stands.
    pub(crate) fn step(&self, step: &'static str, state: StepState) {
        tracing::info!(operation_id = &*self.operation_id, step, ?state, "step");
        self.report(Message::Step(step, state));
    }

    /// Says how much of an apply is done.
    pub(crate) fn percentage(&self, percentage: u8) {
        self.report(Message::Percentage(percentage));
    }

    /// Returns when everything that was reported before was sent or given up, so that Gatehouse has had the chance
    /// to object.
    pub(crate) async fn settled(&self) {
        let (waiting, sent) = oneshot::channel();
        self.report(Message::Settle(waiting));
        // It is dropped, never used.
        sent.await.ok();
    }

    /// Says how the attempt ended, after everything that was reported before. Returns whether Gatehouse knows.
    pub(crate) async fn finish(&self, ending: Command) -> bool {
        let (known, answer) = oneshot::channel();
        self.report(Message::Finish(Box::new(ending), known));
        // Whatever is being repeated without an answer has become less important.
        self.hurry.notify_one();
        answer.await.unwrap_or(false)
    }

    fn report(&self, message: Message) {
        // Where the task has ended, nobody wants to hear anything more.
        self.messages.send(message).ok();
    }
}
