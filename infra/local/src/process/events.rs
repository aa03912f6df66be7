//! A run's events as they are kept: `events.jsonl`, one JSON object in a line, only ever appended to.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use gatehouse_domain::ci::{LogStream, Position, Reason, RunEvent, RunEventBody, RunStatus, StepPhase};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::Ending;

/// How the last line of every finished run ends, and no other.
const LAST_LINE_ENDS: &[u8] = b",\"body\":\"end\"}\n";

/// A run has one step.
const STEP: &str = "run";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredEvent {
    pub at: Timestamp,
    pub body: StoredBody,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredBody {
    Status {
        status: RunStatus,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    Started {
        command_line: String,
    },
    Log {
        stream: LogStream,
        text: String,
    },
    Finished {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_status: Option<i64>,
        succeeded: bool,
    },
    Error {
        message: String,
    },
    End,
}

impl StoredEvent {
    /// The events that end every run, in this order.
    pub fn closing(ending: &Ending) -> Vec<Self> {
        let status = ending.outcome.status();
        let reason = ending.outcome.reason().cloned();
        let mut bodies = Vec::new();
        if ending.started_at.is_some() {
            let succeeded = status == RunStatus::Succeeded;
            bodies.push(StoredBody::Finished { exit_status: ending.outcome.exit_status(), succeeded });
        }
        if let Some(reason) = &reason {
            bodies.push(StoredBody::Error { message: reason.detail.clone() });
        }
        bodies.extend([StoredBody::Status { status, reason }, StoredBody::End]);
        bodies.into_iter().map(|body| Self { at: ending.finished_at, body }).collect()
    }

    pub fn into_run_event(self, position: Position) -> RunEvent {
        RunEvent { position: Some(position), body: self.body.into_run_event_body(), time: Some(self.at) }
    }
}

impl StoredBody {
    fn into_run_event_body(self) -> RunEventBody {
        let step = || STEP.to_owned();
        match self {
            Self::Status { status, reason } => {
                RunEventBody::Status { status, provider_status: status.as_str().to_owned(), reason }
            }
            Self::Started { command_line } => {
                RunEventBody::Step { step: step(), name: Some(command_line), phase: StepPhase::Started }
            }
            Self::Log { stream, text } => RunEventBody::Log { step: Some(step()), stream, text },
            Self::Finished { exit_status, succeeded } => RunEventBody::Step {
                step: step(),
                name: None,
                phase: StepPhase::Finished { exit_status, succeeded: Some(succeeded) },
            },
            Self::Error { message } => RunEventBody::Error { step: Some(step()), message },
            Self::End => RunEventBody::End,
        }
    }
}

/// Whether the event that ends at `position` of the file is the last one.
pub fn is_end_before(file: &File, position: u64) -> io::Result<bool> {
    let mut found = [0; LAST_LINE_ENDS.len()];
    match position.checked_sub(LAST_LINE_ENDS.len() as u64) {
        Some(start) => file.read_exact_at(&mut found, start).map(|()| found == LAST_LINE_ENDS),
        None => Ok(false),
    }
}

/// Appends `events` with one write, so that a killed writer leaves all or none of them, or a torn line.
pub fn append(path: &Path, events: &[StoredEvent]) -> io::Result<()> {
    let mut encoded = Vec::new();
    for event in events {
        serde_json::to_writer(&mut encoded, event)?;
        encoded.push(b'\n');
    }
    File::options().append(true).open(path)?.write_all(&encoded)
}

/// Removes the torn last line that a killed writer may have left, and appends what is missing of the closing
/// events. No reader has seen the torn line, because readers take whole ones only.
pub fn close(path: &Path, ending: &Ending) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    if is_end_before(&file, file.metadata()?.len())? {
        return Ok(());
    }
    let mut reader = BufReader::new(&file);
    let (mut line, mut last, mut end) = (Vec::new(), Vec::new(), 0);
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        end += line.len() as u64;
        std::mem::swap(&mut line, &mut last);
        line.clear();
    }
    file.set_len(end)?;
    let closing = StoredEvent::closing(ending);
    let last = serde_json::from_slice::<StoredEvent>(&last).ok();
    let is_last = |event: &StoredEvent| last.as_ref().is_some_and(|last| last.body == event.body);
    let present = closing.iter().position(is_last).map_or(0, |index| index + 1);
    append(path, &closing[present..])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::record::Outcome, *};

    fn ending() -> Ending {
        Ending {
            outcome: Outcome::interrupted("why"),
            started_at: Some(Timestamp::UNIX_EPOCH),
            finished_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn line(text: &str) -> StoredEvent {
        let body = StoredBody::Log { stream: LogStream::Stdout, text: text.into() };
        StoredEvent { at: Timestamp::UNIX_EPOCH, body }
    }

    fn encoded(events: &[StoredEvent]) -> Vec<u8> {
        let lines = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n");
        lines.collect::<String>().into_bytes()
    }

    #[test]
    fn closing_completes_a_log_that_was_cut_anywhere() {
        let long = line(&"x".repeat(10_000));
        let mut events = vec![line("a\n"), long];
        events.extend(StoredEvent::closing(&ending()));
        let whole = encoded(&events);
        let logged = encoded(&events[..2]).len();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        for cut in logged..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            close(&path, &ending()).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn closing_removes_a_torn_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        for (kept, torn) in [(vec![], "{\"at\":"), (vec![line("a")], "{"), (vec![line("a"), line("b")], "x")]
        {
            let mut bytes = encoded(&kept);
            bytes.extend_from_slice(torn.as_bytes());
            fs::write(&path, bytes).unwrap();
            close(&path, &ending()).unwrap();
            let expected = [kept, StoredEvent::closing(&ending())].concat();
            assert_eq!(fs::read(&path).unwrap(), encoded(&expected));
        }
    }
}
