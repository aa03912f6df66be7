//! A run's events as they are kept: `events.jsonl`, one JSON object in a line, only ever appended to.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use gatehouse_domain::ci::{LogStream, Position, Reason, RunEvent, RunEventBody, RunStatus, StepPhase};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::OperationOutcome;

/// How the last line of every finished run ends, and no other.
const LAST_LINE_ENDS: &[u8] = b",\"body\":\"end\"}\n";

/// A run has one step.
const STEP: &str = "run";

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredEvent {
    pub(super) at: Timestamp,
    pub(super) body: StoredBody,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredBody {
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
    pub(super) fn closing(ending: &OperationOutcome) -> Vec<Self> {
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

    /// Whether the event that ends at `position` of the file is the last one.
    pub(super) fn is_end_before(file: &File, position: u64) -> io::Result<bool> {
        let mut found = [0; LAST_LINE_ENDS.len()];
        match position.checked_sub(LAST_LINE_ENDS.len() as u64) {
            Some(start) => file.read_exact_at(&mut found, start).map(|()| found == LAST_LINE_ENDS),
            None => Ok(false),
        }
    }

    /// The event as callers of the provider see it.
    pub(super) fn into_run_event(self, position: Position) -> RunEvent {
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

/// The writing end of a run's events.
#[derive(Debug)]
pub(super) struct EventLog {
    file: File,
    encoded: Vec<u8>,
}

impl EventLog {
    /// Opens the file for appending.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).append(true).open(path)?;
        Ok(Self { file, encoded: Vec::new() })
    }

    /// Appends `events` with one write, so that a killed writer leaves all or none of them.
    pub(super) fn append(&mut self, events: &[StoredEvent]) -> io::Result<()> {
        self.encoded.clear();
        for event in events {
            serde_json::to_writer(&mut self.encoded, event)?;
            self.encoded.push(b'\n');
        }
        self.file.write_all(&self.encoded)
    }

    /// Removes a torn last line and appends what is missing of the closing events.
    pub(super) fn close(&mut self, ending: &OperationOutcome) -> io::Result<()> {
        let last = self.remove_torn_line()?;
        let closing = StoredEvent::closing(ending);
        let is_last = |event: &StoredEvent| last.as_ref().is_some_and(|last| last.body == event.body);
        let present = closing.iter().position(is_last).map_or(0, |index| index + 1);
        self.append(&closing[present..])
    }

    /// Cuts off what is behind the last newline and returns the last event. No reader has seen a torn
    /// line, because readers take whole ones only.
    fn remove_torn_line(&self) -> io::Result<Option<StoredEvent>> {
        let length = self.file.metadata()?.len();
        let end = self.newline_before(length)?.map_or(0, |newline| newline + 1);
        self.file.set_len(end)?;
        if end == 0 {
            return Ok(None);
        }
        let start = self.newline_before(end - 1)?.map_or(0, |newline| newline + 1);
        let mut line = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut line, start)?;
        Ok(serde_json::from_slice(&line).ok())
    }

    /// Where the last newline before `end` is.
    fn newline_before(&self, mut end: u64) -> io::Result<Option<u64>> {
        let mut block = [0; 4096];
        while end > 0 {
            let start = end.saturating_sub(4096);
            let read = &mut block[..usize::try_from(end - start).map_err(io::Error::other)?];
            self.file.read_exact_at(read, start)?;
            if let Some(index) = read.iter().rposition(|byte| *byte == b'\n') {
                return Ok(Some(start + index as u64));
            }
            end = start;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::record::Outcome, *};

    fn ending() -> OperationOutcome {
        OperationOutcome {
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
            EventLog::open(&path).unwrap().close(&ending()).unwrap();
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
            EventLog::open(&path).unwrap().close(&ending()).unwrap();
            let expected = [kept, StoredEvent::closing(&ending())].concat();
            assert_eq!(fs::read(&path).unwrap(), encoded(&expected));
        }
    }
}
