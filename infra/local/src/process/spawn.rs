//! Starting supervisors, from the stack's side.

use std::{
    fs::File,
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use tokio::process::Child;

use super::{directory::RunDirectory, identity::ProcessIdentity, record::Record, supervisor::arguments};

/// How supervisors are started.
#[derive(Debug, Clone)]
pub(super) struct SupervisorCommand {
    pub(super) executable: PathBuf,
    pub(super) grace: Duration,
}

/// A supervisor that was started and waits for its first order.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) process: Child,
    /// Takes orders and tells of new events. Its closing ends the run.
    pub(super) channel: UnixStream,
}

impl SupervisorCommand {
    /// Starts a supervisor and writes down which process it is. It does nothing before its first order, and
    /// ends when none can come, so that a crash in between leaves nothing behind.
    pub(super) fn start(&self, run: &RunDirectory, mut record: Record) -> io::Result<Waiting> {
        let (channel, theirs) = UnixStream::pair()?;
        channel.set_nonblocking(true)?;
        let process = self.command(run, theirs)?.spawn()?;
        record.supervisor = process.id().map(ProcessIdentity::of);
        run.write(&record)?;
        Ok(Waiting { process, channel })
    }

    fn command(&self, run: &RunDirectory, channel: UnixStream) -> io::Result<tokio::process::Command> {
        let mut command = Command::new(&self.executable);
        command
            .args(arguments(run.path(), self.grace))
            .stdin(OwnedFd::from(channel))
            .stdout(Stdio::null())
            .stderr(File::create(run.supervisor_log())?)
            // Ctrl-C in the terminal is for the stack, which then ends its runs in order.
            .process_group(0);
        Ok(command.into())
    }
}
