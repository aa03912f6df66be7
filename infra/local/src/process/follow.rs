//! Reading a run's events: from any position on, and then as they are written.

use std::{
    fs::File,
    io::{self, BufRead},
    os::unix::fs::FileExt,
    path::Path,
};

use futures_util::stream;
use gatehouse_domain::ci::{CiError, CiErrorKind, EventStream, Position, RunEvent};
use tokio::sync::watch;

use super::{
    events::{StoredBody, StoredEvent},
    going::Phase,
};

/// As much is read at once. A longer line takes several reads.
const READ_SIZE: usize = 16 * 1024;

/// One reader of one run.
pub(super) struct Follower {
    file: File,
    buffer: Vec<u8>,
    /// As much of `buffer` was read.
    filled: usize,
    /// As much of it was delivered.
    delivered: usize,
    /// Where in the file the next line begins.
    position: u64,
    /// Tells of new events; `None` when no more will be written.
    changes: Option<watch::Receiver<Phase>>,
    finished: bool,
}

impl Follower {
    /// Reads what is behind `after`: a position is where its event ends in the file.
    pub(super) fn open(
        path: &Path,
        after: Option<&Position>,
        changes: Option<watch::Receiver<Phase>>,
    ) -> Result<Self, CiError> {
        let file = File::open(path).map_err(unreadable)?;
        let position = after.map_or(Ok(0), |position| offset(&file, position))?;
        let finished = StoredEvent::is_end_before(&file, position).map_err(unreadable)?;
        Ok(Self { file, buffer: vec![0; READ_SIZE], filled: 0, delivered: 0, position, changes, finished })
    }

    /// The events. Dropping the stream closes the file.
    pub(super) fn into_stream(self) -> EventStream {
        Box::pin(stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            follower.finished |= event.is_err();
            Some((event, follower))
        }))
    }

    async fn next(&mut self) -> Option<Result<RunEvent, CiError>> {
        while !self.finished {
            if let Some(event) = self.next_read() {
                return Some(event);
            }
            if let Err(error) = self.read_more().await {
                return Some(Err(error));
            }
        }
        None
    }

    /// The next event of those that were read.
    fn next_read(&mut self) -> Option<Result<RunEvent, CiError>> {
        let mut rest = &self.buffer[self.delivered..self.filled];
        let length = rest.skip_until(b'\n').ok()?;
        let line = self.buffer[self.delivered..][..length].strip_suffix(b"\n")?;
        let event = serde_json::from_slice::<StoredEvent>(line);
        self.delivered += length;
        self.position += length as u64;
        let position = Position(self.position.to_string());
        Some(event.map_err(unreadable).map(|event| {
            self.finished = event.body == StoredBody::End;
            event.into_run_event(position)
        }))
    }

    /// Reads on, waiting until there is something.
    async fn read_more(&mut self) -> Result<(), CiError> {
        // Replaying a long log must let others run too.
        tokio::task::consume_budget().await;
        self.buffer.copy_within(self.delivered..self.filled, 0);
        self.filled -= self.delivered;
        self.delivered = 0;
        loop {
            // Seen before the read: what is written after it wakes us.
            let open = self.changes.as_mut().map(watch::Receiver::borrow_and_update).is_some();
            if self.read().map_err(unreadable)? > 0 {
                return Ok(());
            }
            if !open {
                return Err(CiError::new(CiErrorKind::Protocol, "events", "the run's log has no end"));
            }
            self.wait().await;
        }
    }

    async fn wait(&mut self) {
        if let Some(changes) = &mut self.changes
            && changes.changed().await.is_err()
        {
            self.changes = None;
        }
    }

    /// Reads without handing the work to another thread: what is followed was written just now and is in
    /// memory, and 200 readers that wake at once would need as many threads.
    fn read(&mut self) -> io::Result<usize> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled + READ_SIZE, 0);
        }
        let read = self.file.read_at(&mut self.buffer[self.filled..], self.position + self.filled as u64)?;
        self.filled += read;
        Ok(read)
    }
}

/// The offset that `position` is, when an event ends there.
fn offset(file: &File, position: &Position) -> Result<u64, CiError> {
    let refused = || {
        let advice = format!("`{}` is no position in this run's events", position.0);
        CiError::new(CiErrorKind::Refused, "events", advice)
    };
    let offset = position.0.parse().map_err(|_| refused())?;
    let mut before = [0];
    match offset {
        0 => Ok(0),
        _ if file.read_at(&mut before, offset - 1).is_ok_and(|read| read == 1) && before == *b"\n" => {
            Ok(offset)
        }
        _ => Err(refused()),
    }
}

fn unreadable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CiError {
    CiError::new(CiErrorKind::Protocol, "events", "the run's log cannot be read").caused_by(cause)
}
