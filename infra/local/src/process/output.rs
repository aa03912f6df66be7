//! What a command writes, in pieces: whole lines where possible, of 32 KiB at most.

use std::{
    fs::File,
    future::poll_fn,
    io::{self, ErrorKind, Read},
    process::Stdio,
    task::Poll,
    time::Duration,
};

use futures_util::future::OptionFuture;
use gatehouse_domain::ci::LogStream;
use tokio::{
    net::unix::pipe::{self, Receiver},
    time::{Instant, sleep_until},
};

/// How long the beginning of a line waits for its end before it is a piece of its own, as prompts and
/// progress bars must be.
const LINE_TAKES: Duration = Duration::from_millis(5);

/// As much is read at once. The beginning of a line does not wait once it is as long.
const READ_SIZE: usize = 16 * 1024;

/// No pipe holds more than this by default, on any system.
const LEFT_IN_PIPE: u64 = 1024 * 1024;

pub type Piece = (LogStream, String);

/// The reading ends of one or two pipes.
///
/// At most one stream has the beginning of a line pending: when the other one writes, what is pending goes
/// first, so that pieces are in the order of arrival. Of two streams that were written within the time it
/// takes to wake up, stdout goes first.
#[derive(Debug)]
pub struct Output {
    streams: Vec<Stream>,
    flush_at: Option<Instant>,
}

#[derive(Debug)]
struct Stream {
    name: LogStream,
    /// `None` when all writers are gone.
    pipe: Option<Receiver>,
    pending: Pending,
}

impl Output {
    /// Opens the pipes, with the ends for the command's stdout and stderr. Must be called inside a runtime.
    pub fn open(merge_stderr: bool) -> io::Result<(Self, [Stdio; 2])> {
        let (stdout, out) = Stream::open(LogStream::Stdout)?;
        if merge_stderr {
            let ends = [out.try_clone()?.into(), out.into()];
            return Ok((Self { streams: vec![stdout], flush_at: None }, ends));
        }
        let (stderr, err) = Stream::open(LogStream::Stderr)?;
        Ok((Self { streams: vec![stdout, stderr], flush_at: None }, [out.into(), err.into()]))
    }

    /// What is written next. May be dropped and called again without a loss. Never returns once all writers
    /// are gone and nothing is pending.
    pub async fn next(&mut self) -> io::Result<Vec<Piece>> {
        tokio::select! {
            biased;
            ready = self.readable() => ready?,
            Some(()) = OptionFuture::from(self.flush_at.map(sleep_until)) => {
                self.flush_at = None;
                return Ok(self.streams.iter_mut().filter_map(Stream::flush).collect());
            }
        }
        self.read()
    }

    async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| {
            let pipes = self.streams.iter().filter_map(|stream| stream.pipe.as_ref());
            // Each is polled, so that each wakes this task.
            pipes.fold(Poll::Pending, |ready, pipe| {
                let this = pipe.poll_read_ready(context);
                if this.is_ready() { this } else { ready }
            })
        })
        .await
    }

    /// Reads once from each stream, so that none can keep the other waiting.
    fn read(&mut self) -> io::Result<Vec<Piece>> {
        let (mut pieces, mut buffer) = (Vec::new(), [0; READ_SIZE]);
        for index in 0..self.streams.len() {
            let Some(pipe) = &self.streams[index].pipe else { continue };
            match pipe.try_read(&mut buffer) {
                Ok(0) => self.streams[index].pipe = None,
                Ok(read) => pieces.extend(self.received(index, &buffer[..read])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pieces)
    }

    /// What is left when the command has ended. Does not wait for more: something that left the command's
    /// process group may hold the pipes open for ever.
    pub fn finish(mut self) -> io::Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        for index in 0..self.streams.len() {
            let Some(pipe) = self.streams[index].pipe.take() else { continue };
            // Not by `try_read`, which would believe that there is nothing until the runtime has asked.
            let pipe = File::from(pipe.into_nonblocking_fd()?);
            let mut left = Vec::new();
            match pipe.take(LEFT_IN_PIPE).read_to_end(&mut left) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
            pieces.extend(left.chunks(READ_SIZE).flat_map(|bytes| self.received(index, bytes)));
        }
        pieces.extend(self.streams.iter_mut().filter_map(Stream::finish));
        Ok(pieces)
    }

    fn received(&mut self, index: usize, bytes: &[u8]) -> Vec<Piece> {
        let others = self.streams.iter_mut().enumerate().filter(|(other, _)| *other != index);
        let mut pieces: Vec<_> = others.filter_map(|(_, other)| other.flush()).collect();
        let stream = &mut self.streams[index];
        pieces.extend(stream.pending.push(bytes).map(|text| (stream.name, text)));
        if stream.pending.flushable() >= READ_SIZE {
            pieces.extend(stream.flush());
        }
        if !pieces.is_empty() {
            self.flush_at = None;
        }
        if stream.pending.flushable() > 0 {
            self.flush_at.get_or_insert_with(|| Instant::now() + LINE_TAKES);
        }
        pieces
    }
}

impl Stream {
    /// Opens a pipe, with the end to write to.
    fn open(name: LogStream) -> io::Result<(Self, std::os::fd::OwnedFd)> {
        let (sender, receiver) = pipe::pipe()?;
        Ok((Self { name, pipe: Some(receiver), pending: Pending::default() }, sender.into_blocking_fd()?))
    }

    fn flush(&mut self) -> Option<Piece> {
        self.pending.flush().map(|text| (self.name, text))
    }

    fn finish(&mut self) -> Option<Piece> {
        self.pending.finish().map(|text| (self.name, text))
    }
}

/// Bytes that were read and are not text yet: the beginning of a line whose end may follow at once.
#[derive(Debug, Default)]
struct Pending(Vec<u8>);

impl Pending {
    /// Takes `bytes` in, and gives the whole lines that there are now.
    fn push(&mut self, bytes: &[u8]) -> Option<String> {
        let lines = bytes.iter().rposition(|byte| *byte == b'\n').map(|last| self.0.len() + last + 1);
        self.0.extend_from_slice(bytes);
        self.take(lines.unwrap_or_default())
    }

    /// Gives everything but the beginning of a character whose rest is still to come.
    fn flush(&mut self) -> Option<String> {
        self.take(self.flushable())
    }

    /// Gives everything: nothing more will come.
    fn finish(&mut self) -> Option<String> {
        self.take(self.0.len())
    }

    /// How much a flush would give.
    fn flushable(&self) -> usize {
        let end = self.0.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
        let is_cut = str::from_utf8(end).is_err_and(|error| error.error_len().is_none());
        self.0.len() - if is_cut { end.len() } else { 0 }
    }

    fn take(&mut self, length: usize) -> Option<String> {
        if length == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&self.0[..length]).into_owned();
        self.0.drain(..length);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_lines_come_at_once_and_the_rest_on_demand() {
        let mut pending = Pending::default();
        assert_eq!(pending.push(b"a\nb\nc").as_deref(), Some("a\nb\n"));
        assert_eq!(pending.push(b"d").as_deref(), None);
        assert_eq!(pending.push(b"e\nf").as_deref(), Some("cde\n"));
        assert_eq!(pending.flush().as_deref(), Some("f"));
        assert_eq!(pending.flush(), None);
    }

    #[test]
    fn half_a_character_waits_for_its_rest() {
        let mut pending = Pending::default();
        assert_eq!(pending.push(&"ä€😀".as_bytes()[..8]), None);
        assert_eq!(pending.flush().as_deref(), Some("ä€"));
        assert_eq!((pending.flush(), pending.flushable()), (None, 0));
        assert_eq!(pending.push(&"😀".as_bytes()[3..]), None);
        assert_eq!(pending.flush().as_deref(), Some("😀"));
    }

    #[test]
    fn what_is_no_text_is_marked() {
        let mut pending = Pending::default();
        assert_eq!(pending.push(b"a\xff\xc3\n").as_deref(), Some("a\u{fffd}\u{fffd}\n"));
        pending.push(b"\xe2\x82");
        assert_eq!(pending.flush(), None);
        assert_eq!(pending.finish().as_deref(), Some("\u{fffd}"));
    }

    proptest! {
        #[test]
        fn text_survives_any_cuts_and_flushes(text in ".*(\n.*){0,3}", cuts in prop::collection::vec((1usize..6, any::<bool>()), 0..40)) {
            let mut pending = Pending::default();
            let mut out = String::new();
            let mut rest = text.as_bytes();
            for (length, flush) in cuts {
                let (now, later) = rest.split_at(length.min(rest.len()));
                out.extend(pending.push(now));
                if flush {
                    out.extend(pending.flush());
                }
                rest = later;
            }
            out.extend(pending.push(rest));
            out.extend(pending.finish());
            prop_assert_eq!(out, text);
        }
    }
}
