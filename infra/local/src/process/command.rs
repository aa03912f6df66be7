//! The command of a run, as the leader of a process group.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
    process::{ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::process::Child;

use super::{
    directory::RunDirectory,
    leftovers::{BUILD_VARIABLE, ProcessIdentity, RUN_VARIABLE},
    output::Output,
    record::Record,
};

/// Dropping it ends the whole group.
#[derive(Debug)]
pub struct RunningCommand {
    leader: Child,
    /// `None` once the leader was waited for: its number, which is the group's, may then be given to another.
    group: Option<Pid>,
}

impl RunningCommand {
    /// Starts the command of `record`. Must be called inside a runtime.
    ///
    /// # Errors
    /// What a person can do about it.
    pub fn start(run: &RunDirectory, record: &Record) -> Result<(Self, Output), String> {
        let Some((program, arguments)) = record.target.command.split_first() else {
            return Err("the job's command is empty".to_owned());
        };
        let no_process = |error: io::Error| format!("no process can be started: {error}");
        let directory = match &record.target.directory {
            Some(directory) => directory.into(),
            None => run.workspace().map_err(no_process)?,
        };
        if !fs::metadata(&directory).is_ok_and(|directory| directory.is_dir()) {
            return Err(format!("there is no directory `{}` to run in", directory.display()));
        }
        let (output, [stdout, stderr]) = Output::open(record.target.merge_stderr).map_err(no_process)?;
        let leader = tokio::process::Command::new(program)
            .args(arguments)
            .envs(&record.environment)
            .env(BUILD_VARIABLE, &record.id)
            .env(RUN_VARIABLE, run.path())
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .map_err(|error| explain(program, &directory, &error))?;
        let group = leader.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok((Self { leader, group }, output))
    }

    /// `None` once it has ended.
    pub fn identity(&self) -> Option<ProcessIdentity> {
        self.group.and_then(ProcessIdentity::of)
    }

    /// Waits for the end of the command itself. May be dropped and called again.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let exit = self.leader.wait().await;
        self.end_group();
        exit
    }

    /// Whether the command itself has ended, noticed or not.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.leader.try_wait()?.is_some())
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            let _already_gone = killpg(group, signal);
        }
    }

    /// What the command left behind in its group ends with it. The group's number is still its own, for as
    /// long as the leader was not waited for, and for the moment after it.
    fn end_group(&mut self) {
        self.signal(Signal::SIGKILL);
        self.group = None;
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        self.end_group();
    }
}

fn explain(program: &str, directory: &Path, error: &io::Error) -> String {
    let directory = directory.display();
    match error.kind() {
        ErrorKind::NotFound if program.contains('/') => format!(
            "there is no program `{program}` (relative paths start in `{directory}`), or the interpreter in \
             its first line is missing"
        ),
        ErrorKind::NotFound => {
            format!(
                "there is no program `{program}` in any directory of PATH; for shell syntax, name a shell"
            )
        }
        ErrorKind::PermissionDenied => {
            format!("`{program}` may not be executed, or the directory `{directory}` not entered")
        }
        _ => format!("`{program}` cannot be started: {error}"),
    }
}
