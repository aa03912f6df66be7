//! What a command writes, as log events.

use std::{io, time::Duration};

use gatehouse_domain::{ci::LogStream, clock::Clock};
use tokio::time::Instant;

use super::{
    super::events::{EventLog, StoredBody, StoredEvent},
    pipes::READ_SIZE,
    stack::News,
    text::Pending,
};

/// How long the beginning of a line waits for its end before it is an event of its own, as prompts and
/// progress bars must be.
const PATIENCE: Duration = Duration::from_millis(5);

/// Writes events down and tells the stack.
pub(super) struct Journal<'a> {
    log: EventLog,
    news: News,
    clock: &'a dyn Clock,
}

impl<'a> Journal<'a> {
    pub(super) fn new(log: EventLog, news: News, clock: &'a dyn Clock) -> Self {
        Self { log, news, clock }
    }

    /// Writes what happened now.
    pub(super) fn write(&mut self, bodies: impl IntoIterator<Item = StoredBody>) -> io::Result<()> {
        let at = self.clock.now();
        let events: Vec<_> = bodies.into_iter().map(|body| StoredEvent { at, body }).collect();
        self.append(&events)
    }

    /// Writes events that have their time.
    pub(super) fn append(&mut self, events: &[StoredEvent]) -> io::Result<()> {
        self.log.append(events)?;
        self.news.tell();
        Ok(())
    }
}

/// Output of both streams on its way into the journal.
///
/// At most one stream has the beginning of a line waiting: when the other one writes, what waits goes
/// first, so that events are in the order of arrival.
pub(super) struct Output {
    stdout: Pending,
    stderr: Pending,
    /// The stream that wrote last.
    latest: LogStream,
    waiting_since: Option<Instant>,
}

impl Output {
    pub(super) fn new() -> Self {
        let (stdout, stderr) = (Pending::default(), Pending::default());
        Self { stdout, stderr, latest: LogStream::Stdout, waiting_since: None }
    }

    /// Takes in what `stream` wrote.
    pub(super) fn received(
        &mut self,
        stream: LogStream,
        bytes: &[u8],
        journal: &mut Journal<'_>,
    ) -> io::Result<()> {
        if stream != self.latest {
            self.flush(journal)?;
            self.latest = stream;
        }
        let lines = self.pending(stream).push(bytes);
        let lines_came = lines.is_some();
        log(journal, stream, lines)?;
        match self.pending(stream).flushable() {
            0 => self.waiting_since = None,
            READ_SIZE.. => self.flush(journal)?,
            _ if lines_came => self.waiting_since = Some(Instant::now()),
            _ => self.waiting_since = self.waiting_since.or_else(|| Some(Instant::now())),
        }
        Ok(())
    }

    /// When to flush, if nothing comes until then.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + PATIENCE)
    }

    /// Makes an event of the beginning of a line.
    pub(super) fn flush(&mut self, journal: &mut Journal<'_>) -> io::Result<()> {
        self.waiting_since = None;
        let text = self.pending(self.latest).flush();
        log(journal, self.latest, text)
    }

    /// Makes events of all that is left.
    pub(super) fn finish(&mut self, journal: &mut Journal<'_>) -> io::Result<()> {
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            let text = self.pending(stream).finish();
            log(journal, stream, text)?;
        }
        Ok(())
    }

    fn pending(&mut self, stream: LogStream) -> &mut Pending {
        match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        }
    }
}

fn log(journal: &mut Journal<'_>, stream: LogStream, text: Option<String>) -> io::Result<()> {
    match text {
        Some(text) => journal.write([StoredBody::Log { stream, text }]),
        None => Ok(()),
    }
}
