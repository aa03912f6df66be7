//! A process provider in a directory of its own, and what tests ask of it.

use std::{collections::BTreeMap, fs, future::Future, path::Path, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt};
use gatehouse_domain::{
    ci::{
        Build, BuildId, CancelMode, Checkpoint, CiError, CiProvider, EventStream, LogStream, Position,
        ProcessTarget, RunEvent, RunEventBody, StartKind, StartRequest, Target,
    },
    clock::Clock,
};
use gatehouse_local::process::{ProcessProvider, ProcessSettings, RUN_VARIABLE, WATCHER};
use gatehouse_runtime::clock::SystemClock;
use tempfile::TempDir;

/// Long enough for a hung test to be told from a slow machine.
const FOR_EVER: Duration = Duration::from_mins(1);

pub struct Stack {
    // Dropped first: what it still runs must not write into a directory that is being deleted.
    pub provider: Arc<ProcessProvider>,
    pub directory: TempDir,
}

impl Stack {
    pub fn new() -> Self {
        Self::with_grace(Duration::from_secs(30))
    }

    pub fn with_grace(grace: Duration) -> Self {
        gatehouse_testkit::log::watch();
        let directory = tempfile::tempdir().unwrap();
        let provider = open(directory.path(), grace);
        Self { provider, directory }
    }

    pub async fn start(&self, id: &str, target: &Target) -> Build {
        self.start_with(id, target, &[]).await
    }

    pub async fn start_with(&self, id: &str, target: &Target, environment: &[(&str, &str)]) -> Build {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.try_start(id, target, &StartKind::Trigger, &environment).await.unwrap()
    }

    pub async fn rerun(&self, id: &str, of: &str, target: &Target) -> Result<Build, CiError> {
        let kind = StartKind::Rerun { build: BuildId(of.to_owned()) };
        self.try_start(id, target, &kind, &BTreeMap::new()).await
    }

    pub async fn try_start(
        &self,
        id: &str,
        target: &Target,
        kind: &StartKind,
        environment: &BTreeMap<String, String>,
    ) -> Result<Build, CiError> {
        let checkpoint = self.provider.checkpoint(target).await?;
        self.provider.start(&StartRequest { id, target, kind, environment, checkpoint: &checkpoint }).await
    }

    pub async fn found(&self, id: &str, target: &Target) -> Vec<Build> {
        let (kind, environment, checkpoint) = (StartKind::Trigger, BTreeMap::new(), Checkpoint::default());
        let request =
            StartRequest { id, target, kind: &kind, environment: &environment, checkpoint: &checkpoint };
        self.provider.started_since(&request).await.unwrap()
    }

    pub async fn build(&self, id: &str) -> Build {
        self.provider.build(&sh("any"), &BuildId(id.to_owned())).await.unwrap()
    }

    pub async fn cancel(&self, id: &str, mode: CancelMode) {
        self.provider.cancel(&sh("any"), &BuildId(id.to_owned()), mode).await.unwrap();
    }

    pub fn events(&self, id: &str, after: Option<Position>) -> EventStream {
        self.provider.clone().events(sh("any"), BuildId(id.to_owned()), after)
    }

    /// Every event to the end of the run.
    pub async fn all_events(&self, id: &str) -> Vec<RunEvent> {
        in_time(self.events(id, None).try_collect()).await.unwrap()
    }

    /// Runs `script` to its end.
    pub async fn run(&self, id: &str, script: &str) -> (Build, Vec<RunEvent>) {
        self.start(id, &sh(script)).await;
        let events = self.all_events(id).await;
        (self.build(id).await, events)
    }

    /// Returns when the run's output contains `text`.
    pub async fn wait_for_output(&self, id: &str, text: &str) {
        let mut seen = String::new();
        let mut events = self.events(id, None);
        while !seen.contains(text) {
            let event = in_time(events.next()).await.expect("the run says it before its end").unwrap();
            seen.extend(output(&[event]).into_iter().map(|(_, text)| text));
        }
    }

    /// The same directory under a new provider.
    pub async fn reopened(self) -> Self {
        let Self { directory, provider } = self;
        in_time(provider.stop()).await;
        drop(provider);
        let provider = open(directory.path(), Duration::from_secs(30));
        Self { provider, directory }
    }
}

pub fn open(directory: &Path, grace: Duration) -> Arc<ProcessProvider> {
    let settings =
        ProcessSettings { grace, ..ProcessSettings::new(directory, env!("CARGO_BIN_EXE_gatehouse")) };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Arc::new(ProcessProvider::open(&settings, clock).unwrap())
}

pub fn target(command: &[&str]) -> ProcessTarget {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    ProcessTarget { command, directory: None, merge_stderr: false }
}

/// A shell script as a target.
pub fn sh(script: &str) -> Target {
    Target::Process(target(&["sh", "-c", script]))
}

/// The log events' streams and texts.
pub fn output(events: &[RunEvent]) -> Vec<(LogStream, String)> {
    let logs = events.iter().filter_map(|event| match &event.body {
        RunEventBody::Log { stream, text, .. } => Some((*stream, text.clone())),
        _ => None,
    });
    logs.collect()
}

/// All that was written to `wanted`.
pub fn text(events: &[RunEvent], wanted: LogStream) -> String {
    output(events).into_iter().filter(|(stream, _)| *stream == wanted).map(|(_, text)| text).collect()
}

pub async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(FOR_EVER, work).await.expect("it happens before the test gives up")
}

/// Returns when `condition` holds.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(FOR_EVER, waiting).await.is_ok(), "never: {what}");
}

/// The processes that belong to the run `id` in `directory`: the command with all that it started.
pub fn processes_of(directory: &Path, id: &str) -> Vec<u32> {
    let run = directory.canonicalize().unwrap().join("runs").join(id);
    let marked = format!("{RUN_VARIABLE}={}", run.display());
    processes(|process| has(process, "environ", &marked))
}

/// The watcher of the stack in `directory`.
pub fn watcher_of(directory: &Path) -> Vec<u32> {
    let directory = directory.display().to_string();
    processes(|process| has(process, "cmdline", WATCHER) && has(process, "cmdline", &directory))
}

fn has(process: &Path, file: &str, wanted: &str) -> bool {
    let words = fs::read(process.join(file)).unwrap_or_default();
    words.split(|byte| *byte == 0).any(|word| word == wanted.as_bytes())
}

fn processes(wanted: impl Fn(&Path) -> bool) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter(|entry| wanted(&entry.path()));
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
