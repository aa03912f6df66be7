//! Being asked to stop: by Gatehouse, by a signal, or by an answer that leaves nothing to do.

use std::{io, sync::Arc};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Why the worker stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// Gatehouse asked for it.
    Cancelled,
    /// The process was sent SIGTERM or SIGINT.
    Signalled,
    /// Gatehouse takes no more reports of this attempt.
    Refused,
}

/// Whether the worker was asked to stop. Clones share it.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<Option<StopCause>>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Stop {
    /// Asks for it. The first cause stays, but a refusal replaces every other: it takes reporting away too.
    pub fn ask(&self, cause: StopCause) {
        self.0.send_if_modified(|known| {
            let news = known.is_none() || (cause == StopCause::Refused && *known != Some(cause));
            if news {
                *known = Some(cause);
            }
            news
        });
    }

    /// Why, if it was asked for.
    pub fn cause(&self) -> Option<StopCause> {
        *self.0.borrow()
    }

    /// Returns when it was asked for.
    pub async fn asked(&self) {
        // It cannot fail: this clone keeps the sender alive.
        self.0.subscribe().wait_for(Option::is_some).await.ok();
    }

    /// Asks for it whenever the process is sent SIGTERM or SIGINT. As process 1 of a container nobody else
    /// handles them, and by default they would do nothing there.
    pub(crate) fn on_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                stop.ask(StopCause::Signalled);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_cause_stays_unless_reports_are_refused() {
        let stop = Stop::default();
        assert_eq!(stop.cause(), None);
        stop.ask(StopCause::Cancelled);
        stop.ask(StopCause::Signalled);
        stop.asked().await;
        assert_eq!(stop.cause(), Some(StopCause::Cancelled));
        stop.ask(StopCause::Refused);
        stop.ask(StopCause::Cancelled);
        assert_eq!(stop.cause(), Some(StopCause::Refused));
    }
}
