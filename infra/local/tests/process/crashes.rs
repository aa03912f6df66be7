//! What is left when the stack or a supervisor is killed: nothing that runs, and a run that says so.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use gatehouse_domain::ci::{LogStream, ReasonCode, RunEventBody, RunStatus};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::stack::{Stack, eventually, open, processes_of, sh, text};

/// Names the data directory of a stack that is to be killed.
const DOOMED: &str = "GATEHOUSE_TEST_DOOMED_STACK";

/// Two grandchildren that ignore being asked to stop, and a child that does not.
const STUBBORN: &str = "(trap '' TERM; sleep 1000; sleep 1000) & (trap '' TERM; sleep 1000; sleep 1000) & \
    echo ready; sleep 1000";

const STOPPED: &str = "the local stack stopped while the run was going";

/// Not a test of its own: the other tests run this one as the stack that they kill.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the way to hand a path to this test in a process of its own")]
async fn a_stack_to_be_killed() {
    let Some(directory) = std::env::var_os(DOOMED).map(PathBuf::from) else { return };
    let provider = open(&directory, Duration::from_millis(200));
    let stack = Stack { directory: tempfile::tempdir_in(&directory).unwrap(), provider };
    for number in 0.. {
        stack.start(&format!("run_{number}"), &sh(STUBBORN)).await;
        if number == 4 {
            std::future::pending::<()>().await;
        }
    }
}

struct DoomedStack {
    process: Child,
    directory: tempfile::TempDir,
}

impl DoomedStack {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crashes::a_stack_to_be_killed"])
            .env(DOOMED, directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, directory }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn runs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path().join("runs")).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("run_")).collect()
    }

    fn has_started(&self, id: &str) -> bool {
        log_of(self.directory.path(), id).contains("ready")
    }

    async fn nothing_is_left(&self) {
        for id in self.runs() {
            eventually("nothing is left", || processes_of(self.directory.path(), &id).is_empty()).await;
        }
    }

    fn reopen(self) -> Stack {
        let provider = open(self.directory.path(), Duration::from_secs(30));
        Stack { directory: self.directory, provider }
    }
}

fn log_of(directory: &Path, id: &str) -> String {
    fs::read_to_string(directory.join("runs").join(id).join("events.jsonl")).unwrap_or_default()
}

async fn assert_interrupted(stack: &Stack, id: &str) {
    let build = stack.build(id).await;
    assert_eq!(build.status, RunStatus::Errored, "{id}");
    let reason = build.reason.unwrap();
    assert_eq!((reason.code, reason.detail.as_str()), (ReasonCode::Interrupted, STOPPED), "{id}");
    let events = stack.all_events(id).await;
    let ends = events.iter().filter(|event| event.body == RunEventBody::End).count();
    assert_eq!((ends, &events.last().unwrap().body), (1, &RunEventBody::End), "{id}");
}

#[tokio::test]
async fn a_killed_stack_leaves_no_process() {
    let mut doomed = DoomedStack::start();
    eventually("the last run started", || doomed.has_started("run_4")).await;
    doomed.kill();
    doomed.nothing_is_left().await;
    let stack = doomed.reopen();
    for number in 0..5 {
        assert_interrupted(&stack, &format!("run_{number}")).await;
    }
}

#[tokio::test]
async fn a_new_stack_does_not_wait_for_what_the_killed_one_left() {
    let mut doomed = DoomedStack::start();
    eventually("the last run started", || doomed.has_started("run_4")).await;
    doomed.kill();
    let stack = doomed.reopen();
    for number in 0..5 {
        let id = format!("run_{number}");
        assert_interrupted(&stack, &id).await;
        eventually("nothing is left", || processes_of(stack.directory.path(), &id).is_empty()).await;
    }
}

#[tokio::test]
async fn a_stack_that_is_killed_at_any_moment_leaves_nothing_unrecorded() {
    for moment in 0..25 {
        let mut doomed = DoomedStack::start();
        eventually("it opened", || doomed.directory.path().join("runs/.lock").exists()).await;
        // Not to wait for something: to hit another moment each time.
        tokio::time::sleep(Duration::from_millis(moment * 6)).await;
        doomed.kill();
        if moment % 2 == 0 {
            doomed.nothing_is_left().await;
        }
        let runs = doomed.runs();
        let stack = doomed.reopen();
        for id in runs {
            eventually("nothing is left", || processes_of(stack.directory.path(), &id).is_empty()).await;
            // A run whose record had not been created was never promised to anybody.
            if stack.directory.path().join("runs").join(&id).exists() {
                assert_interrupted(&stack, &id).await;
            }
        }
    }
}

#[tokio::test]
async fn a_stack_that_is_killed_with_its_supervisors_leaves_recorded_processes_that_are_ended() {
    let mut doomed = DoomedStack::start();
    eventually("the last run started", || doomed.has_started("run_4")).await;
    let supervisors: Vec<_> =
        (0..5).map(|number| supervisor_of(doomed.directory.path(), &format!("run_{number}"))).collect();
    doomed.process.kill().unwrap();
    for supervisor in supervisors {
        kill(supervisor, Signal::SIGKILL).unwrap();
    }
    doomed.process.wait().unwrap();
    let stack = doomed.reopen();
    for number in 0..5 {
        let id = format!("run_{number}");
        assert_interrupted(&stack, &id).await;
        eventually("nothing is left", || processes_of(stack.directory.path(), &id).is_empty()).await;
    }
}

#[tokio::test]
async fn a_run_whose_supervisor_is_killed_is_errored_at_once() {
    let stack = Stack::new();
    stack.start("run_1", &sh(STUBBORN)).await;
    stack.wait_for_output("run_1", "ready").await;
    kill(supervisor_of(stack.directory.path(), "run_1"), Signal::SIGKILL).unwrap();
    let events = stack.all_events("run_1").await;
    assert_eq!(text(&events, LogStream::Stdout), "ready\n");
    let build = stack.build("run_1").await;
    assert_eq!(build.status, RunStatus::Errored);
    let detail = build.reason.unwrap().detail;
    assert!(detail.starts_with("the run's supervisor process ended unexpectedly"), "{detail}");
    eventually("nothing is left", || processes_of(stack.directory.path(), "run_1").is_empty()).await;
}

#[tokio::test]
async fn a_supervisor_that_is_asked_to_end_ends_its_run_first() {
    let stack = Stack::with_grace(Duration::from_millis(50));
    stack.start("run_1", &sh(STUBBORN)).await;
    stack.wait_for_output("run_1", "ready").await;
    kill(supervisor_of(stack.directory.path(), "run_1"), Signal::SIGTERM).unwrap();
    stack.all_events("run_1").await;
    assert_interrupted(&stack, "run_1").await;
    eventually("nothing is left", || processes_of(stack.directory.path(), "run_1").is_empty()).await;
}

#[tokio::test]
async fn a_clean_stop_ends_every_run() {
    let stack = Stack::with_grace(Duration::from_millis(50));
    for id in ["run_1", "run_2"] {
        stack.start(id, &sh(STUBBORN)).await;
        stack.wait_for_output(id, "ready").await;
    }
    stack.provider.stop().await;
    for id in ["run_1", "run_2"] {
        assert_interrupted(&stack, id).await;
        eventually("nothing is left", || processes_of(stack.directory.path(), id).is_empty()).await;
    }
}

#[tokio::test]
async fn a_dropped_provider_ends_every_run() {
    let stack = Stack::with_grace(Duration::from_millis(50));
    stack.start("run_1", &sh(STUBBORN)).await;
    stack.wait_for_output("run_1", "ready").await;
    let Stack { provider, directory } = stack;
    drop(provider);
    eventually("nothing is left", || processes_of(directory.path(), "run_1").is_empty()).await;
    eventually("the run has its end", || log_of(directory.path(), "run_1").ends_with("\"end\"}\n")).await;
}

#[tokio::test]
async fn a_torn_last_line_is_never_told() {
    let stack = Stack::new();
    stack.start("run_1", &sh("echo ready; sleep 1000")).await;
    stack.wait_for_output("run_1", "ready").await;
    let directory = stack.directory.path().to_owned();
    let supervisor = supervisor_of(&directory, "run_1");
    kill(supervisor, Signal::SIGSTOP).unwrap();
    let log = directory.join("runs/run_1/events.jsonl");
    File::options().append(true).open(log).unwrap().write_all(b"{\"at\":\"2026-01-0").unwrap();
    kill(supervisor, Signal::SIGKILL).unwrap();
    let events = stack.all_events("run_1").await;
    assert_eq!(text(&events, LogStream::Stdout), "ready\n");
    let live_positions: Vec<_> = events.iter().map(|event| event.position.clone()).collect();
    let again = stack.reopened().await.all_events("run_1").await;
    assert_eq!(again.iter().map(|event| event.position.clone()).collect::<Vec<_>>(), live_positions);
}

/// The pid that the run's record has.
fn supervisor_of(directory: &Path, id: &str) -> Pid {
    let record = fs::read(directory.join("runs").join(id).join("record.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let pid = record["supervisor"]["pid"].as_i64().unwrap();
    Pid::from_raw(i32::try_from(pid).unwrap())
}
