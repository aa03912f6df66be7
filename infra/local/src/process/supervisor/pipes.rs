//! The reading ends of what a command writes.

use std::{
    fs::File,
    future,
    io::{self, ErrorKind, PipeReader, Read},
    os::fd::OwnedFd,
    process::Stdio,
};

use gatehouse_domain::ci::LogStream;
use tokio::net::unix::pipe::Receiver;

/// As much is read at once, which bounds an event's size too.
pub(super) const READ_SIZE: usize = 16 * 1024;

/// No pipe holds more than this by default, on any system.
const LEFT_IN_PIPE: usize = 1024 * 1024;

/// One or two pipes. What is read first came first, as far as can be known: of two streams that were
/// written within the time it takes to wake up, stdout goes first.
pub(super) struct Pipes {
    sources: Vec<(LogStream, Receiver)>,
    buffer: Box<[u8]>,
    /// Set when the first stream filled the buffer, so that it cannot keep the second one waiting.
    second_first: bool,
}

impl Pipes {
    /// Opens them, with the ends for the command's stdout and stderr.
    pub(super) fn open(merge_stderr: bool) -> io::Result<(Self, [Stdio; 2])> {
        let (reader, stdout) = io::pipe()?;
        let mut sources = vec![(LogStream::Stdout, receiver(reader)?)];
        let stderr = if merge_stderr {
            stdout.try_clone()?
        } else {
            let (reader, stderr) = io::pipe()?;
            sources.push((LogStream::Stderr, receiver(reader)?));
            stderr
        };
        let buffer = vec![0; READ_SIZE].into_boxed_slice();
        Ok((Self { sources, buffer, second_first: false }, [stdout.into(), stderr.into()]))
    }

    /// What is written next. Never returns once all writers are gone.
    pub(super) async fn read(&mut self) -> io::Result<(LogStream, &[u8])> {
        loop {
            let index = self.readable().await?;
            let (stream, source) = &self.sources[index];
            match source.try_read(&mut self.buffer) {
                Ok(0) => drop(self.sources.remove(index)),
                Ok(read) => {
                    self.second_first = index == 0 && read == self.buffer.len();
                    return Ok((*stream, &self.buffer[..read]));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The index of a source that has something.
    async fn readable(&self) -> io::Result<usize> {
        let (first, second) = match &self.sources[..] {
            [] => return future::pending().await,
            [(_, only)] => return only.readable().await.map(|()| 0),
            [(_, first), (_, second), ..] => (first, second),
        };
        if self.second_first {
            tokio::select! {
                biased;
                ready = second.readable() => ready.map(|()| 1),
                ready = first.readable() => ready.map(|()| 0),
            }
        } else {
            tokio::select! {
                biased;
                ready = first.readable() => ready.map(|()| 0),
                ready = second.readable() => ready.map(|()| 1),
            }
        }
    }

    /// Takes what is in the pipes now, without waiting for more: something that left the command's process
    /// group may hold them open for ever.
    pub(super) fn drain(self, mut take: impl FnMut(LogStream, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = self.buffer;
        for (stream, source) in self.sources {
            let mut source = File::from(source.into_nonblocking_fd()?);
            let mut taken = 0;
            while taken < LEFT_IN_PIPE {
                match source.read(&mut buffer) {
                    Ok(0) => break,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    read => {
                        let read = read?;
                        taken += read;
                        take(stream, &buffer[..read])?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn receiver(reader: PipeReader) -> io::Result<Receiver> {
    Receiver::from_owned_fd(OwnedFd::from(reader))
}
