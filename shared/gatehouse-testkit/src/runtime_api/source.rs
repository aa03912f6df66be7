//! What comes of one answer, be it complete, broken, late or from a process that is gone.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::error::FunctionError;
use super::life::Life;
use super::server::{Message, Outcome};

/// How long after the end of the process its last bytes may still be on their way.
const LAST_BYTES: Duration = Duration::from_millis(250);

/// Messages of one answer, until it or the function ends or the time is up.
pub(super) struct Source {
    messages: mpsc::Receiver<Outcome>,
    life: Life,
    deadline: Instant,
}

impl Source {
    pub(super) fn new(messages: mpsc::Receiver<Outcome>, life: Life, deadline: Duration) -> Self {
        Self { messages, life, deadline: Instant::now() + deadline }
    }

    pub(super) async fn next(&mut self) -> Result<Message, FunctionError> {
        tokio::select! {
            biased;
            outcome = self.messages.recv() => understood(outcome),
            error = self.life.ended() => {
                match tokio::time::timeout(LAST_BYTES, self.messages.recv()).await {
                    Ok(outcome) => understood(outcome),
                    Err(_) => Err(error),
                }
            }
            () = tokio::time::sleep_until(self.deadline.into()) => {
                self.life.kill();
                Err(FunctionError::TimedOut)
            }
        }
    }

    /// Reads the whole answer. Also tells whether it was streamed.
    pub(super) async fn collect(&mut self) -> Result<(Bytes, bool), FunctionError> {
        let mut body = BytesMut::new();
        let mut streamed = false;
        loop {
            match self.next().await? {
                Message::Head { streaming, .. } => streamed = streaming,
                Message::Chunk { bytes, .. } => body.extend_from_slice(&bytes),
                Message::End => return Ok((body.freeze(), streamed)),
            }
        }
    }
}

fn understood(outcome: Option<Outcome>) -> Result<Message, FunctionError> {
    outcome.unwrap_or(Err(FunctionError::Truncated))
}
