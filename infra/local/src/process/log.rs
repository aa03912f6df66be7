//! A run's events: `events.jsonl`, one JSON object in a line, only ever appended to. A position is where its
//! event ends in the file.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use async_stream::try_stream;
use futures_core::Stream;
use gatehouse_domain::ci::{CiError, CiErrorKind, Position, RunEvent, RunEventBody, RunStatus, StepPhase};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::record::Record;

/// A run has one step.
pub const STEP: &str = "run";

/// How the last line of every finished run ends, and no other.
const LAST_LINE_ENDS: &[u8] = b",\"body\":\"end\"}\n";

/// No line is longer: a piece of output has up to 32 KiB, and JSON takes up to six bytes for one.
const LONGEST_LINE: u64 = 256 * 1024;

/// As much is read at once. A longer line takes several reads.
const READ_SIZE: usize = 16 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    at: Timestamp,
    body: RunEventBody,
}

pub fn status(status: RunStatus) -> RunEventBody {
    RunEventBody::Status { status, provider_status: status.as_str().to_owned(), reason: None }
}

/// Appends events with one write, so that a killed writer leaves all or none of them, or a torn line.
pub fn append(path: &Path, at: Timestamp, bodies: impl IntoIterator<Item = RunEventBody>) -> io::Result<()> {
    let mut lines = Vec::new();
    for body in bodies {
        serde_json::to_writer(&mut lines, &Line { at, body })?;
        lines.push(b'\n');
    }
    File::options().append(true).open(path)?.write_all(&lines)
}

/// Removes the torn last line that a killed writer may have left, and appends what is missing of the events
/// that end the run of `record`. No reader has seen the torn line, because readers take whole ones only.
pub fn close(path: &Path, record: &Record) -> io::Result<()> {
    let Some(finished_at) = record.finished_at else { return Ok(()) };
    let mut file = File::options().read(true).write(true).open(path)?;
    let start = file.metadata()?.len().saturating_sub(LONGEST_LINE);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.read_to_end(&mut tail)?;
    tail.truncate(tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1));
    file.set_len(start + tail.len() as u64)?;
    let last = tail.split_inclusive(|byte| *byte == b'\n').next_back().unwrap_or_default();
    let last = serde_json::from_slice(last).ok().map(|line: Line| line.body);
    let mut missing = closing(record);
    if let Some(written) = missing.iter().position(|body| last.as_ref() == Some(body)) {
        missing.drain(..=written);
    }
    append(path, finished_at, missing)
}

/// The events that end every run, in this order.
fn closing(record: &Record) -> Vec<RunEventBody> {
    let mut bodies = Vec::new();
    if record.started_at.is_some() {
        let exit_status = record.exit_status.map(i64::from);
        let succeeded = Some(record.status == RunStatus::Succeeded);
        let phase = StepPhase::Finished { exit_status, succeeded };
        bodies.push(RunEventBody::Step { step: STEP.to_owned(), name: None, phase, facts: Box::default() });
    }
    if let Some(reason) = &record.reason {
        bodies.push(RunEventBody::Error { step: Some(STEP.to_owned()), message: reason.detail.clone() });
    }
    let provider_status = record.status.as_str().to_owned();
    bodies.push(RunEventBody::Status {
        status: record.status,
        provider_status,
        reason: record.reason.clone(),
    });
    bodies.push(RunEventBody::End);
    bodies
}

/// The events behind `after`, and then those that are written while `changes` tells of new ones; `None` when
/// no more will be written.
///
/// It reads without handing the work to another thread: what is followed was written just now and is in
/// memory, and 200 readers that wake at once would need as many threads.
pub fn follow<T: Send + Sync>(
    path: PathBuf,
    after: Option<Position>,
    mut changes: Option<watch::Receiver<T>>,
) -> impl Stream<Item = Result<RunEvent, CiError>> + Send {
    try_stream! {
        let file = File::open(path).map_err(unreadable)?;
        let mut offset = after.map_or(Ok(0), |position| offset(&file, &position))?;
        let mut finished = is_end_before(&file, offset).map_err(unreadable)?;
        let mut file = BufReader::with_capacity(READ_SIZE, file);
        file.seek(SeekFrom::Start(offset)).map_err(unreadable)?;
        // As much of the next line as there is.
        let mut line = Vec::new();
        while !finished {
            // Replaying a long log must let others run too.
            tokio::task::consume_budget().await;
            // Before the read: what is written after it wakes us.
            if let Some(open) = &mut changes {
                open.mark_unchanged();
            }
            file.read_until(b'\n', &mut line).map_err(unreadable)?;
            if line.ends_with(b"\n") {
                let Line { at, body } = serde_json::from_slice(&line).map_err(unreadable)?;
                offset += line.len() as u64;
                line.clear();
                finished = body == RunEventBody::End;
                yield RunEvent { position: Some(Position(offset.to_string())), body, time: Some(at) };
            } else if let Some(open) = &mut changes {
                if open.changed().await.is_err() {
                    changes = None;
                }
            } else {
                Err(CiError::new(CiErrorKind::Protocol, "events", "the run's log has no end"))?;
            }
        }
    }
}

/// The offset that `position` is, when an event ends there.
fn offset(file: &File, position: &Position) -> Result<u64, CiError> {
    let ends_a_line = |offset: u64| {
        let mut before = [0];
        offset == 0 || (file.read_exact_at(&mut before, offset - 1).is_ok() && before == *b"\n")
    };
    position.0.parse().ok().filter(|offset| ends_a_line(*offset)).ok_or_else(|| {
        let advice = format!("`{}` is no position in this run's events", position.0);
        CiError::new(CiErrorKind::Refused, "events", advice)
    })
}

/// Whether the event that ends at `offset` is the last one.
fn is_end_before(file: &File, offset: u64) -> io::Result<bool> {
    let mut found = [0; LAST_LINE_ENDS.len()];
    match offset.checked_sub(LAST_LINE_ENDS.len() as u64) {
        Some(start) => file.read_exact_at(&mut found, start).map(|()| found == LAST_LINE_ENDS),
        None => Ok(false),
    }
}

fn unreadable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CiError {
    CiError::new(CiErrorKind::Protocol, "events", "the run's log cannot be read").caused_by(cause)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use gatehouse_domain::ci::{LogStream, ProcessTarget, Reason, ReasonCode};

    use super::*;

    fn ended() -> Record {
        Record {
            id: "run_1".into(),
            target: ProcessTarget { command: vec!["true".into()], directory: None, merge_stderr: false },
            environment: BTreeMap::new(),
            process: None,
            status: RunStatus::Errored,
            reason: Some(Reason { code: ReasonCode::Interrupted, detail: "why".into() }),
            exit_status: None,
            created_at: Timestamp::UNIX_EPOCH,
            started_at: Some(Timestamp::UNIX_EPOCH),
            finished_at: Some(Timestamp::UNIX_EPOCH),
        }
    }

    fn line(text: &str) -> RunEventBody {
        RunEventBody::Log { step: Some(STEP.into()), stream: LogStream::Stdout, text: text.into() }
    }

    fn encoded(bodies: &[RunEventBody]) -> Vec<u8> {
        let lines = bodies.iter().map(|body| {
            let line = Line { at: Timestamp::UNIX_EPOCH, body: body.clone() };
            serde_json::to_string(&line).unwrap() + "\n"
        });
        lines.collect::<String>().into_bytes()
    }

    #[test]
    fn closing_completes_a_log_that_was_cut_anywhere() {
        let long = line(&"x".repeat(10_000));
        let mut events = vec![line("a\n"), long];
        events.extend(closing(&ended()));
        let whole = encoded(&events);
        let logged = encoded(&events[..2]).len();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        for cut in logged..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            close(&path, &ended()).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn closing_removes_a_torn_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let longest = line(&"\u{1}".repeat(32 * 1024));
        for (kept, torn) in [
            (vec![], "{\"at\":"),
            (vec![line("a")], "{"),
            (vec![line("a"), line("b")], "x"),
            (vec![longest.clone(), longest], "x"),
        ] {
            let mut bytes = encoded(&kept);
            bytes.extend_from_slice(torn.as_bytes());
            fs::write(&path, bytes).unwrap();
            close(&path, &ended()).unwrap();
            let expected = [kept, closing(&ended())].concat();
            assert_eq!(fs::read(&path).unwrap(), encoded(&expected));
        }
    }

    #[test]
    fn the_last_line_of_a_closed_log_is_known_as_such() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        fs::write(&path, encoded(&[line("a")])).unwrap();
        close(&path, &ended()).unwrap();
        let file = File::open(&path).unwrap();
        let length = file.metadata().unwrap().len();
        assert!(is_end_before(&file, length).unwrap());
        assert!(!is_end_before(&file, encoded(&[line("a")]).len() as u64).unwrap());
    }
}
