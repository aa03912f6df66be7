//! What a real Concourse answered and streamed, byte for byte: `recordings/concourse/README.md` says where it is
//! from.

use std::{fs, path::PathBuf};

use serde_json::Value;

/// A request to a real Concourse, and what it answered.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// What it is about.
    pub note: String,
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub answer: Answer,
}

/// What a real Concourse answered.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// 0 where nothing came at all.
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// The body, unless it was shortened.
    pub body: Option<String>,
    /// Ids and names of builds, where these stand in place of the body.
    pub ids: Option<String>,
}

/// The requests and answers of a file, such as `trigger` of `7.14.3`.
///
/// # Panics
///
/// Where there is no such file.
pub fn exchanges(version: &str, name: &str) -> Vec<Exchange> {
    let file = folder().join(version).join(format!("{name}.http"));
    let text = fs::read(file).expect("a transcript");
    let text = String::from_utf8_lossy(&text);
    let mut reader = TranscriptReader::default();
    text.lines().skip(1).for_each(|line| reader.take(line));
    reader.finish()
}

/// Where in a transcript the next line stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Within {
    #[default]
    Notes,
    Request,
    RequestBody,
    Answer,
    AnswerBody,
}

#[derive(Debug, Default)]
struct TranscriptReader {
    within: Within,
    note: String,
    current: Option<Exchange>,
    read: Vec<Exchange>,
}

impl TranscriptReader {
    fn take(&mut self, line: &str) {
        if let Some((method, target)) = request_line(line) {
            self.end();
            self.within = Within::Request;
            let (method, target) = (method.to_owned(), target.to_owned());
            let note = std::mem::take(&mut self.note);
            self.current = Some(Exchange { note, method, target, ..Exchange::default() });
            return;
        }
        let Some(exchange) = &mut self.current else { return self.take_note(line) };
        match (self.within, line) {
            (Within::Request, ">") => self.within = Within::RequestBody,
            (Within::Request, _) if line.starts_with("> ") => exchange.headers.extend(header(&line[2..])),
            (Within::Request | Within::RequestBody, _) if line.starts_with("< HTTP/") => {
                self.within = Within::Answer;
                let status = line.split(' ').nth(2).and_then(|status| status.parse().ok());
                exchange.answer.status = status.expect("a status");
            }
            (Within::RequestBody, _) => exchange.body.push_str(line),
            (Within::Answer, "<") => {
                self.within = Within::AnswerBody;
                exchange.answer.body = Some(String::new());
            }
            (Within::Answer, _) if line.starts_with("< (ids and names") => {
                exchange.answer.ids = line.split_once(") ").map(|(_, ids)| ids.to_owned());
            }
            (Within::Answer, _) if line.starts_with("< ") => {
                exchange.answer.headers.extend(header(&line[2..]));
            }
            (Within::AnswerBody, "# (no newline at the end)") => {
                self.within = Within::Notes;
                if let Some(body) = &mut exchange.answer.body {
                    body.truncate(body.trim_end_matches('\n').len());
                }
            }
            (Within::AnswerBody, _) if line.starts_with("# … shortened") => exchange.answer.body = None,
            (_, _) if line.starts_with("# ") => {
                self.end();
                self.take_note(line);
            }
            (Within::AnswerBody, _) => {
                if let Some(body) = &mut exchange.answer.body {
                    body.push_str(line);
                    body.push('\n');
                }
            }
            _ => {}
        }
    }

    fn take_note(&mut self, line: &str) {
        if let Some(note) = line.strip_prefix("# ") {
            note.clone_into(&mut self.note);
        }
    }

    fn end(&mut self) {
        self.within = Within::Notes;
        if let Some(mut exchange) = self.current.take() {
            // The blank line behind a body is none of it.
            if let Some(body) = &mut exchange.answer.body
                && (body.ends_with("\n\n") || body == "\n")
            {
                body.pop();
            }
            self.read.push(exchange);
        }
    }

    fn finish(mut self) -> Vec<Exchange> {
        self.end();
        self.read
    }
}

fn request_line(line: &str) -> Option<(&str, &str)> {
    let mut parts = line.strip_prefix("> ")?.split(' ');
    let (method, target) = (parts.next()?, parts.next()?);
    let is_one = method.bytes().all(|byte| byte.is_ascii_uppercase()) && target.starts_with('/');
    is_one.then_some((method, target))
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(": ")?;
    Some((name.to_ascii_lowercase(), value.to_owned()))
}

/// The stream of a build's events, and its plan.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Version and scenario: `7.14.3/steps-retry`.
    pub name: String,
    /// The answer to `/plan`, where it was recorded.
    pub plan: Option<Value>,
    /// The data of each event, without the `end` of the stream.
    pub events: Vec<String>,
}

/// Every stream that was recorded.
///
/// # Panics
///
/// Where the recordings cannot be read.
pub fn streams() -> Vec<Recording> {
    let mut all: Vec<_> = ["7.14.3", "8.3.0-dev"].into_iter().flat_map(of_version).collect();
    all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    all
}

/// Where the recordings are.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recordings/concourse")
}

fn of_version(version: &str) -> Vec<Recording> {
    let folder = folder().join(version);
    let files = fs::read_dir(&folder)
        .expect("the recordings are there")
        .map(|file| file.expect("a file").file_name());
    let scenarios = files.filter_map(|file| {
        let name = file.to_str()?.strip_prefix("events-")?.strip_suffix(".sse")?;
        Some(name.to_owned())
    });
    let read = |name: String| fs::read_to_string(folder.join(name)).ok();
    let recording = |scenario: String| {
        let stream = read(format!("events-{scenario}.sse")).expect("a stream");
        let plan = read(format!("plan-{scenario}.json"));
        Recording {
            name: format!("{version}/{scenario}"),
            plan: plan.map(|plan| serde_json::from_str(&plan).expect("a plan is JSON")),
            events: stream
                .lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .map(str::to_owned)
                .collect(),
        }
    };
    scenarios.map(recording).collect()
}
