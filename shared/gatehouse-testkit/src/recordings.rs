//! What a real Concourse answered and streamed, byte for byte: `recordings/concourse/README.md` says where it is
//! from.

use std::{fs, path::PathBuf};

use serde_json::Value;

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
