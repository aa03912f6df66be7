//! Telling Gatehouse how the work goes, while it goes.
//!
//! A task of its own owns the callbacks: never more than one is under way, heartbeats go out however silent
//! Terraform is, and work never waits for Gatehouse. It also hears in the answers that the worker must stop.

mod desk;
mod pending;

use std::sync::Arc;

use tokio::sync::{
    Notify,
    mpsc::{self, UnboundedSender},
    oneshot,
};

pub(crate) use self::desk::IMPORTANT;
use self::desk::{Desk, Note};
use crate::{
    callbacks::{Callbacks, Command, StepState},
    mask::Mask,
    stop::Stop,
    work::WorkOrder,
};

/// A line of a log is cut to so many bytes.
const LINE_LIMIT: usize = 1000;

/// The worker's side: what it says here is masked, and sent in its turn.
#[derive(Clone)]
pub(crate) struct Reporter {
    notes: UnboundedSender<Note>,
    hurry: Arc<Notify>,
    mask: Mask,
    operation_id: Arc<str>,
}

impl Reporter {
    /// Starts the task that reports on this work order.
    pub(crate) fn start(callbacks: Callbacks, order: &WorkOrder, mask: Mask, stop: Stop) -> Self {
        let (notes, inbox) = mpsc::unbounded_channel();
        let hurry = Arc::<Notify>::default();
        let desk = Desk::new(callbacks, inbox, hurry.clone(), stop, order.heartbeat_seconds);
        tokio::spawn(desk.work());
        Self { notes, hurry, mask, operation_id: order.operation_id.as_str().into() }
    }

    /// The secrets that are hidden in everything that is said here.
    pub(crate) fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Passes on what Terraform printed, which may be more than one line.
    pub(crate) fn log(&self, text: &str) {
        for line in self.mask.text(text).lines().filter(|line| !line.trim().is_empty()) {
            let line = cut(line, LINE_LIMIT);
            tracing::info!(operation_id = &*self.operation_id, "{line}");
            self.say(Note::Line(line));
        }
    }

    /// Says how a step stands.
    pub(crate) fn step(&self, step: &'static str, state: StepState) {
        tracing::info!(operation_id = &*self.operation_id, step, ?state, "step");
        self.say(Note::Step(step, state));
    }

    /// Says how much of an apply is done.
    pub(crate) fn percentage(&self, percentage: u8) {
        self.say(Note::Percentage(percentage));
    }

    /// Returns when everything that was said before was sent or given up, so that Gatehouse has had the chance
    /// to object.
    pub(crate) async fn settled(&self) {
        let (waiting, sent) = oneshot::channel();
        self.say(Note::Settle(waiting));
        // It is dropped, never used.
        sent.await.ok();
    }

    /// Says how the attempt ended, after everything that was said before. Returns whether Gatehouse knows.
    pub(crate) async fn finish(&self, ending: Command) -> bool {
        let (known, answer) = oneshot::channel();
        self.say(Note::Finish(Box::new(ending), known));
        // Whatever is being repeated without an answer has become less important.
        self.hurry.notify_one();
        answer.await.unwrap_or(false)
    }

    fn say(&self, note: Note) {
        // Where the task has ended, nobody wants to hear anything more.
        self.notes.send(note).ok();
    }
}

/// The first `limit` bytes of the text, or a little less: no character is cut in two.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = (0..=limit - MARK.len()).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "lo…");
        assert_eq!(cut("äääää", 8), "ää…");
        assert_eq!(cut(&"ä".repeat(1000), 1000).len(), 1 + 1000 - 2);
    }
}
