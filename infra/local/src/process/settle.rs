//! Finishing runs whose supervisor could not: after a crash of the stack or of the supervisor.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use gatehouse_domain::clock::Clock;

use super::{
    directory::{RunDirectory, RunsDirectory},
    events::EventLog,
    identity::ProcessIdentity,
    record::{Outcome, Record},
};

/// How long a killed supervisor may take to disappear.
const DEATH_TAKES: Duration = Duration::from_secs(2);

/// Finishes every run that was going when an earlier stack stopped, and deletes old runs.
pub(super) fn settle_all(runs: &RunsDirectory, clock: &dyn Clock) -> io::Result<()> {
    let mut finished = Vec::new();
    for run in runs.all()? {
        match settle(&run, Outcome::stack_stopped(), clock) {
            Ok(record) => finished.push(record),
            Err(error) => {
                tracing::warn!(run = %run.path().display(), %error, "a run's files cannot be read; skipped");
            }
        }
    }
    runs.retire(finished)
}

/// Makes sure that nothing of a run is left, and that its record and its events say how it ended: in
/// `outcome`, unless they know better. Doing it again changes nothing.
pub(super) fn settle(run: &RunDirectory, outcome: Outcome, clock: &dyn Clock) -> io::Result<Record> {
    stop_supervisor(&read(run)?);
    // Read again: until it was gone, the supervisor may have written.
    let mut record = read(run)?;
    if record.ending().is_none() {
        if let Some(command) = &record.command {
            command.kill_group(&record.id);
        }
        record = record.ended(outcome, clock.now());
        run.write(&record)?;
    }
    if let Some(ending) = record.ending() {
        EventLog::open(&run.events())?.close(ending)?;
    }
    Ok(record)
}

fn read(run: &RunDirectory) -> io::Result<Record> {
    run.read()?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Ends the supervisor at once: it may still be giving the command time to stop.
fn stop_supervisor(record: &Record) {
    let Some(supervisor) = &record.supervisor else { return };
    supervisor.kill();
    wait_until_gone(supervisor);
}

fn wait_until_gone(process: &ProcessIdentity) {
    let begun = Instant::now();
    while process.is_running() && begun.elapsed() < DEATH_TAKES {
        thread::sleep(Duration::from_millis(1));
    }
}
