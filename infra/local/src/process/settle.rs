//! Finishing the runs of a stack that was killed: by its watcher, or by the next stack.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use gatehouse_domain::clock::Clock;

use super::{
    directory::{RunDirectory, RunsDirectory},
    leftovers::kill_leftovers,
    log,
    record::{Outcome, Record},
};

/// The hidden sub-command whose work is [`watch`], followed by the data directory.
pub const WATCHER: &str = "process-watcher";

/// The process that ends what the stack leaves behind when it is killed. One per stack, because a killed
/// process cannot clean up after itself, and a parent-death signal reaches the command but not what the
/// command has started.
#[derive(Debug)]
pub struct Watcher(Child);

impl Watcher {
    pub fn start(program: &Path, data: &Path) -> io::Result<Self> {
        let mut command = Command::new(program);
        command
            .arg(WATCHER)
            .arg(data)
            // Never written to: its end is the stack's.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in the terminal is for the stack, which then ends its runs in order.
            .process_group(0);
        command.spawn().map(Self)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _already_gone = self.0.wait();
    }
}

/// Waits for the end of the stack that holds the other end of `stdin`, and does then what the next start
/// would do: ends what is left of its runs and records them as interrupted. Does nothing where the next
/// stack is there already.
pub fn watch(mut stdin: impl Read, data: &Path, clock: &dyn Clock) -> io::Result<()> {
    io::copy(&mut stdin, &mut io::sink())?;
    let runs = RunsDirectory::open(data)?;
    let _settling: File = runs.lock_settling()?;
    match runs.lock() {
        // Only to see that it is free: a new stack may take it at once, and waits for the other lock.
        Ok(lock) => drop(lock),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error),
    }
    settle_all(&runs, clock)
}

/// Finishes every run that an earlier stack has left, and deletes old runs.
pub fn settle_all(runs: &RunsDirectory, clock: &dyn Clock) -> io::Result<()> {
    let mut finished = Vec::new();
    for run in runs.all()? {
        match settle(&run, clock) {
            Ok(record) => finished.push(record),
            Err(error) => {
                tracing::warn!(run = %run.path().display(), %error, "a run's files cannot be read; skipped");
            }
        }
    }
    runs.retire(finished)
}

/// Makes sure that nothing of a run is left, and that its record and its log show how it ended. Doing it
/// again changes nothing, so it may be killed at any moment as well.
fn settle(run: &RunDirectory, clock: &dyn Clock) -> io::Result<Record> {
    let mut record = run.read()?;
    if !record.status.is_terminal() {
        kill_leftovers(record.process.as_ref(), run.path());
        record.end(Outcome::stack_stopped(), clock.now());
        run.write(&record)?;
    }
    // The stack may have been killed between the record's end and the log's.
    log::close(&run.log(), &record)?;
    Ok(record)
}
