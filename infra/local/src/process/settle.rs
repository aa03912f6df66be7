//! Finishing the runs of a stack that was killed.

use std::io;

use gatehouse_domain::clock::Clock;

use super::{
    directory::{RunDirectory, RunsDirectory},
    events,
    identity::kill_leftovers,
    record::{Outcome, Record},
};

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

/// Makes sure that nothing of a run is left, and that its record and its events show how it ended. Doing it
/// again changes nothing, so it may be killed at any moment as well.
fn settle(run: &RunDirectory, clock: &dyn Clock) -> io::Result<Record> {
    let mut record = run.read()?.ok_or(io::ErrorKind::NotFound)?;
    if record.ending().is_none() {
        kill_leftovers(record.process.as_ref(), run.path());
        record.end(Outcome::stack_stopped(), clock.now());
        run.write(&record)?;
    }
    // The stack may have been killed between the record's end and the log's.
    if let Some(ending) = record.ending() {
        events::close(&run.events(), ending)?;
    }
    Ok(record)
}
