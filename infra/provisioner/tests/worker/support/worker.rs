//! The worker as a process of its own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use super::{CALLBACK_TOKEN, OPERATION, TASK_TOKEN, gatehouse::Gatehouse, place::Place, wait::in_time};

/// A worker that is to start.
pub struct Worker {
    command: Command,
    log: PathBuf,
}

/// A worker that runs. Dropping it kills it.
pub struct Running {
    process: Child,
    log: PathBuf,
}

/// How a worker ended.
pub struct Ended {
    pub status: ExitStatus,
    /// What it wrote to its own log.
    pub log: String,
}

impl Worker {
    /// The worker of the first attempt, which plans, or of the second, which applies.
    pub fn new(place: &Place, gatehouse: &Gatehouse, phase: &str, terraform: &Path) -> Self {
        let log = place.path().join("worker.log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatehouse-provisioner"));
        command
            .env_remove("GATEHOUSE_LOG")
            .env("GATEHOUSE_OPERATION_ID", OPERATION)
            .env("GATEHOUSE_PHASE", phase)
            .env("GATEHOUSE_ATTEMPT", if phase == "apply" { "2" } else { "1" })
            .env("GATEHOUSE_CALLBACK_URL", gatehouse.url())
            .env("GATEHOUSE_CALLBACK_TOKEN", CALLBACK_TOKEN)
            .env("GATEHOUSE_TASK_TOKEN", TASK_TOKEN)
            .env("GATEHOUSE_STATE", format!("file://{}/state", place.path().display()))
            .env("GATEHOUSE_ARTIFACTS", format!("file://{}/artifacts", place.path().display()))
            .env("GATEHOUSE_MODULES", place.modules())
            .env("GATEHOUSE_TERRAFORM", terraform)
            .env("TMPDIR", place.temporary())
            // What a developer has set is not what is tried here.
            .env_remove("TF_CLI_CONFIG_FILE")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        Self { command, log }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub fn start(mut self) -> Running {
        self.command.stdout(File::create(&self.log).unwrap());
        Running { process: self.command.spawn().unwrap(), log: self.log }
    }

    /// Runs it to its end.
    pub async fn run(self) -> Ended {
        self.start().ended().await
    }
}

impl Running {
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    pub async fn ended(mut self) -> Ended {
        let status = in_time("the end of the worker", self.process.wait()).await.unwrap();
        Ended { status, log: fs::read_to_string(&self.log).unwrap() }
    }
}

impl Ended {
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("{}", self.status))
    }
}
