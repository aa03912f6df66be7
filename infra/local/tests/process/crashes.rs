//! What is left when the stack is killed: nothing that runs, and runs whose records show it.

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

use crate::stack::{Stack, eventually, open, processes_of, sh, text, watcher_of};

/// Names the data directory of a stack that is to be killed.
const TO_BE_KILLED: &str = "GATEHOUSE_TEST_STACK_TO_BE_KILLED";

/// Two grandchildren that ignore being asked to stop, and a child that does not.
const STUBBORN: &str = "(trap '' TERM; sleep 1000; sleep 1000) & (trap '' TERM; sleep 1000; sleep 1000) & \
    echo ready; sleep 1000";

const STOPPED: &str = "the local stack stopped while the run was going";

/// Not a test of its own: the other tests run this one as the stack that they kill.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the way to hand a path to this test in a process of its own")]
async fn a_stack_to_be_killed() {
    let Some(directory) = std::env::var_os(TO_BE_KILLED).map(PathBuf::from) else { return };
    let provider = open(&directory, Duration::from_millis(200));
    let stack = Stack { directory: tempfile::tempdir_in(&directory).unwrap(), provider };
    for number in 0.. {
        stack.start(&format!("run_{number}"), &sh(STUBBORN)).await;
        if number == 4 {
            std::future::pending::<()>().await;
        }
    }
}

struct KilledStack {
    process: Child,
    directory: tempfile::TempDir,
}

impl KilledStack {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crashes::a_stack_to_be_killed"])
            .env(TO_BE_KILLED, directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, directory }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The watcher first, which would not wait.
    fn kill_with_watcher(&mut self) {
        for watcher in watcher_of(self.directory.path()) {
            kill(Pid::from_raw(watcher.try_into().unwrap()), Signal::SIGKILL).unwrap();
        }
        self.kill();
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
    let mut killed = KilledStack::start();
    eventually("the last run started", || killed.has_started("run_4")).await;
    killed.kill();
    killed.nothing_is_left().await;
    let stack = killed.reopen();
    for number in 0..5 {
        assert_interrupted(&stack, &format!("run_{number}")).await;
    }
}

#[tokio::test]
async fn a_new_stack_does_not_wait_for_what_the_killed_one_left() {
    let mut killed = KilledStack::start();
    eventually("the last run started", || killed.has_started("run_4")).await;
    killed.kill();
    let stack = killed.reopen();
    for number in 0..5 {
        let id = format!("run_{number}");
        assert_interrupted(&stack, &id).await;
        eventually("nothing is left", || processes_of(stack.directory.path(), &id).is_empty()).await;
    }
}

#[tokio::test]
async fn a_stack_that_is_killed_at_any_moment_leaves_nothing_unrecorded() {
    for moment in 0..25 {
        let mut killed = KilledStack::start();
        eventually("it opened", || killed.directory.path().join("runs/.lock").exists()).await;
        // Not to wait for something: to hit another moment each time.
        tokio::time::sleep(Duration::from_millis(moment * 6)).await;
        killed.kill();
        if moment % 2 == 0 {
            killed.nothing_is_left().await;
        }
        let runs = killed.runs();
        let stack = killed.reopen();
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
async fn a_killed_stack_has_its_runs_recorded_without_a_new_one() {
    let mut killed = KilledStack::start();
    eventually("the last run started", || killed.has_started("run_4")).await;
    killed.kill();
    for number in 0..5 {
        let id = format!("run_{number}");
        let directory = killed.directory.path();
        eventually("the run has its end", || log_of(directory, &id).ends_with("\"end\"}\n")).await;
    }
    eventually("the watcher ends", || watcher_of(killed.directory.path()).is_empty()).await;
}

#[tokio::test]
async fn a_stack_that_is_killed_with_its_watcher_leaves_recorded_processes_that_are_ended() {
    let mut killed = KilledStack::start();
    eventually("the last run started", || killed.has_started("run_4")).await;
    killed.kill_with_watcher();
    assert!(!processes_of(killed.directory.path(), "run_4").is_empty(), "nobody has ended them");
    let stack = killed.reopen();
    for number in 0..5 {
        let id = format!("run_{number}");
        assert_interrupted(&stack, &id).await;
        eventually("nothing is left", || processes_of(stack.directory.path(), &id).is_empty()).await;
    }
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
async fn a_torn_last_line_is_never_shown() {
    let mut killed = KilledStack::start();
    eventually("the last run started", || killed.has_started("run_4")).await;
    killed.kill_with_watcher();
    let log = killed.directory.path().join("runs/run_4/events.jsonl");
    File::options().append(true).open(log).unwrap().write_all(b"{\"at\":\"2026-01-0").unwrap();
    let stack = killed.reopen();
    let events = stack.all_events("run_4").await;
    assert_eq!(text(&events, LogStream::Stdout), "ready\n");
    let positions: Vec<_> = events.iter().map(|event| event.position.clone()).collect();
    let again = stack.reopened().await.all_events("run_4").await;
    assert_eq!(again.iter().map(|event| event.position.clone()).collect::<Vec<_>>(), positions);
}
