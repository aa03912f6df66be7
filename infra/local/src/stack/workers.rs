//! The provisioner on this machine: what ECS is on AWS, a child process here.
//!
//! A worker is this program itself under a hidden sub-command, so that there is nothing else to install but
//! Terraform. It works on when the stack is killed, as it would on AWS, and reports again once the stack is
//! back.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    task::JoinSet,
    time::timeout,
};

use crate::step_functions::TaskError;

/// The hidden sub-command that makes this program a worker.
pub const PROVISIONER: &str = "provisioner";

/// How long workers may take to end when the stack stops: Terraform comes to a safe end first.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// What the workers are given.
#[derive(Debug, Clone)]
pub(super) struct WorkerSettings {
    /// The `gatehouse` program.
    pub program: PathBuf,
    /// Terraform, where there is one.
    pub terraform: Option<PathBuf>,
    /// The directory of modules.
    pub modules: PathBuf,
    /// Where state, plan files and logs are kept.
    pub directory: PathBuf,
}

/// The workers that were started and have not ended.
#[derive(Clone)]
pub(super) struct Workers {
    settings: Arc<WorkerSettings>,
    running: Arc<Mutex<JoinSet<()>>>,
    stopping: tokio::sync::watch::Sender<bool>,
}

/// The part of ECS `RunTask` that matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RunTask {
    overrides: Overrides,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Overrides {
    container_overrides: Vec<ContainerOverride>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerOverride {
    environment: Vec<Variable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Variable {
    name: String,
    value: String,
}

impl std::fmt::Debug for Variable {
    /// Values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Workers {
    pub(super) fn new(settings: WorkerSettings) -> Self {
        Self {
            settings: Arc::new(settings),
            running: Arc::default(),
            stopping: tokio::sync::watch::Sender::new(false),
        }
    }

    /// Starts a worker as the parameters of ECS `RunTask` say.
    pub(super) fn start(&self, parameters: Value) -> Result<(), TaskError> {
        let refused = |error: &dyn std::fmt::Display| TaskError::new("AmazonECS.Unknown", error.to_string());
        let task: RunTask = serde_json::from_value(parameters).map_err(|error| refused(&error))?;
        let variables: Vec<_> = task
            .overrides
            .container_overrides
            .into_iter()
            .flat_map(|container| container.environment)
            .collect();
        let child = self.spawn(&variables).map_err(|error| refused(&error))?;
        let stopping = self.stopping.subscribe();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended are released.
        while running.try_join_next().is_some() {}
        running.spawn(wait(child, stopping));
        Ok(())
    }

    fn spawn(&self, variables: &[Variable]) -> io::Result<Child> {
        let WorkerSettings { program, terraform, modules, directory } = &*self.settings;
        let mut command = Command::new(program);
        command
            .arg(PROVISIONER)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| is_passed_on(name)))
            .env("GATEHOUSE_STATE", url(&directory.join("state")))
            .env("GATEHOUSE_ARTIFACTS", url(&directory.join("artifacts")))
            .env("GATEHOUSE_MODULES", modules)
            .envs(terraform.iter().map(|terraform| ("GATEHOUSE_TERRAFORM", terraform)))
            .envs(variables.iter().map(|variable| (&variable.name, &variable.value)))
            .stdin(Stdio::null())
            .stdout(log_file(directory, variables)?)
            .stderr(Stdio::inherit())
            // Ctrl-C in the terminal is for the stack, which then ends its workers in order.
            .process_group(0);
        command.spawn()
    }

    /// Asks every worker to stop, and waits for them.
    pub(super) async fn stop(&self) {
        self.stopping.send_replace(true);
        let mut running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async { while running.join_next().await.is_some() {} };
        // Who takes longer works on, and is heard when the stack is back.
        let _in_time = timeout(STOP_GRACE, ended).await;
        running.detach_all();
    }
}

/// Waits for the end of a worker, and asks it to stop when the stack does.
async fn wait(mut child: Child, mut stopping: tokio::sync::watch::Receiver<bool>) {
    tokio::select! {
        _ended = child.wait() => return,
        _stopping = stopping.wait_for(|stopping| *stopping) => {}
    }
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(id) = id {
        // An error means that it has just ended.
        let _sent = kill(Pid::from_raw(id), Signal::SIGTERM);
    }
    let _ended = child.wait().await;
}

/// What of this program's environment a worker needs: where programs are, and how to reach a mirror of
/// Terraform's providers.
fn is_passed_on(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    let plain =
        ["PATH", "HOME", "TMPDIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "GATEHOUSE_LOG"];
    plain.contains(&name.as_ref()) || name.starts_with("TF_")
}

/// Each worker's own log, which the error of one that fails to report names.
fn log_file(directory: &Path, variables: &[Variable]) -> io::Result<File> {
    let value = |wanted: &str| variables.iter().find(|variable| variable.name == wanted).map(|it| &*it.value);
    let operation = value("GATEHOUSE_OPERATION_ID").filter(|id| id.bytes().all(|byte| byte != b'/'));
    let attempt =
        value("GATEHOUSE_ATTEMPT").filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let name = format!("{}-{}.log", operation.unwrap_or("worker"), attempt.unwrap_or("0"));
    let logs = directory.join("logs");
    std::fs::create_dir_all(&logs)?;
    File::create(logs.join(name))
}

fn url(directory: &Path) -> String {
    url::Url::from_directory_path(directory).map(String::from).unwrap_or_default()
}

/// The program that `GATEHOUSE_TERRAFORM` names, or the `terraform` that the shell would find.
pub fn find_terraform() -> Option<PathBuf> {
    let named = gatehouse_runtime::env::optional("GATEHOUSE_TERRAFORM").map(PathBuf::from);
    if let Some(named) = named.filter(|named| named.components().count() > 1) {
        return named.is_file().then_some(named);
    }
    let program =
        gatehouse_runtime::env::optional("GATEHOUSE_TERRAFORM").unwrap_or_else(|| "terraform".to_owned());
    let path = gatehouse_runtime::env::optional("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(&program)).find(|file| file.is_file())
}
