//! Reading a run's events: from any position on, and then as they are written.

use std::{
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::Path,
};

use futures_util::stream;
use gatehouse_domain::ci::{CiError, CiErrorKind, EventStream, Position, RunEvent};
use tokio::sync::watch;

use super::{
    active::Changes,
    events::{StoredBody, StoredEvent, is_end_before},
};

/// As much is read at once. A longer line takes several reads.
const READ_SIZE: usize = 16 * 1024;

/// One reader of one run.
///
/// It reads without handing the work to another thread: what is followed was written just now and is in
/// memory, and 200 readers that wake at once would need as many threads.
pub struct Follower {
    file: BufReader<File>,
    /// As much of the next line as there is.
    line: Vec<u8>,
    /// Where the last whole line ended.
    position: u64,
    /// Marked as changed with new events; `None` when no more will be written.
    changes: Option<Changes>,
    finished: bool,
}

impl Follower {
    /// Reads what is behind `after`: a position is where its event ends in the file.
    pub fn open(path: &Path, after: Option<&Position>, changes: Option<Changes>) -> Result<Self, CiError> {
        let mut file = File::open(path).map_err(unreadable)?;
        let position = after.map_or(Ok(0), |position| offset(&file, position))?;
        let finished = is_end_before(&file, position).map_err(unreadable)?;
        file.seek(SeekFrom::Start(position)).map_err(unreadable)?;
        let file = BufReader::with_capacity(READ_SIZE, file);
        Ok(Self { file, line: Vec::new(), position, changes, finished })
    }

    /// Dropping the stream closes the file.
    pub fn into_stream(self) -> EventStream {
        Box::pin(stream::try_unfold(self, |mut follower| async move {
            Ok(follower.next().await?.map(|event| (event, follower)))
        }))
    }

    async fn next(&mut self) -> Result<Option<RunEvent>, CiError> {
        // Replaying a long log must let others run too.
        tokio::task::consume_budget().await;
        while !self.finished {
            // Seen before the read: what is written after it wakes us.
            let open = self.changes.as_mut().map(watch::Receiver::borrow_and_update).is_some();
            self.file.read_until(b'\n', &mut self.line).map_err(unreadable)?;
            if self.line.ends_with(b"\n") {
                return self.event().map(Some);
            }
            if !open {
                return Err(CiError::new(CiErrorKind::Protocol, "events", "the run's log has no end"));
            }
            self.wait().await;
        }
        Ok(None)
    }

    fn event(&mut self) -> Result<RunEvent, CiError> {
        let event: StoredEvent = serde_json::from_slice(&self.line).map_err(unreadable)?;
        self.position += self.line.len() as u64;
        self.line.clear();
        self.finished = event.body == StoredBody::End;
        Ok(event.into_run_event(Position(self.position.to_string())))
    }

    async fn wait(&mut self) {
        if let Some(changes) = &mut self.changes
            && changes.changed().await.is_err()
        {
            self.changes = None;
        }
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
