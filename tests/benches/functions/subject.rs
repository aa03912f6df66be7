//! The functions to measure: where they are and what they are given.

use std::fs;
use std::path::{Path, PathBuf};

/// The function that shows what the runtime alone costs.
pub const DO_NOTHING: &str = "do-nothing";

/// Every function, the one that does nothing first.
pub const NAMES: [&str; 12] = [
    DO_NOTHING,
    "authorizer",
    "callbacks",
    "catalog",
    "deployer",
    "identity",
    "janitor",
    "jobs",
    "meta",
    "runs",
    "streams",
    "tokens",
];

/// Which event of a function is taken when it is there; else the first one is.
const PREFERRED_EVENTS: [(&str, &str); 9] = [
    ("authorizer", "api-key"),
    ("callbacks", "begin-attempt"),
    ("catalog", "list-services"),
    ("identity", "show-caller"),
    ("jobs", "list-jobs"),
    ("meta", "show-health"),
    ("runs", "list-runs"),
    ("streams", "show-status"),
    ("tokens", "list-tokens"),
];

pub struct Subject {
    pub name: &'static str,
    pub binary: PathBuf,
    pub event: Vec<u8>,
    pub event_name: String,
}

/// What would be needed and is not there.
pub struct Missing(pub String);

impl Subject {
    pub fn find(name: &'static str) -> Result<Self, Missing> {
        let binary = binary(name)?;
        let (event_name, event) = event(name)?;
        Ok(Self { name, binary, event, event_name })
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn binary(name: &str) -> Result<PathBuf, Missing> {
    // This program is target/<profile>/deps/<name>.
    let this = std::env::current_exe().map_err(|error| Missing(error.to_string()))?;
    let target = this.ancestors().nth(3).unwrap_or(Path::new("target"));
    let folder = if name == DO_NOTHING { "release/examples" } else { "release" };
    let candidates = [target.join("lambda").join(name).join("bootstrap"), target.join(folder).join(name)];
    let found = candidates.iter().find(|path| runs_here(path)).cloned();
    found.ok_or_else(|| Missing(format!("{} that this machine can run", candidates[1].display())))
}

/// Tells whether the file is an ELF program for this machine's processor: functions are often built for another.
fn runs_here(path: &Path) -> bool {
    let machine = match std::env::consts::ARCH {
        "x86_64" => 0x3e,
        "aarch64" => 0xb7,
        _ => return path.exists(),
    };
    fs::read(path).is_ok_and(|program| {
        program.starts_with(b"\x7fELF") && program.get(18..20) == Some(&u16::to_le_bytes(machine))
    })
}

fn event(name: &str) -> Result<(String, Vec<u8>), Missing> {
    if name == DO_NOTHING {
        return Ok(("{}".to_owned(), b"{}".to_vec()));
    }
    let folder = root().join("events").join(name);
    let files = fs::read_dir(&folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
    let is_preferred = |path: &Path| {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        PREFERRED_EVENTS.contains(&(name, stem))
    };
    files.sort_by_key(|path| (!is_preferred(path), path.clone()));
    let readable = files.iter().find_map(|path| Some((path, fs::read(path).ok()?)));
    let (path, event) = readable.ok_or_else(|| Missing(format!("event in {}", folder.display())))?;
    let event_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((event_name, event))
}
