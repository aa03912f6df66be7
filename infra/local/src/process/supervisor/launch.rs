//! Starting the command so that it never runs unrecorded.
//!
//! The supervisor starts this program once more as the leader of a new process group. That process waits
//! until its number is on disk and it is told what to run; then it *becomes* the command. If the supervisor
//! dies before, it ends without having run anything.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead, BufReader, ErrorKind, Write},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Child,
};

use super::{
    super::{directory::RunDirectory, identity::BUILD_VARIABLE, identity::ProcessIdentity, record::Record},
    LAUNCH, SUBCOMMAND,
    pipes::Pipes,
    stack::channel_on_stdin,
};

/// Becoming the command takes milliseconds; a directory on a dead network drive takes for ever.
const BECOMING_TAKES: Duration = Duration::from_secs(10);

/// What a command needs to run.
#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    command: Vec<String>,
    environment: BTreeMap<String, String>,
    directory: PathBuf,
}

/// A process that waits to become the command.
pub(super) struct Launcher {
    pub(super) process: Child,
    pub(super) pipes: Pipes,
    channel: tokio::net::UnixStream,
}

impl Launcher {
    /// Starts it.
    pub(super) fn start(merge_stderr: bool) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (pipes, [stdout, stderr]) = Pipes::open(merge_stderr)?;
        let mut command = Command::new(this_program()?);
        command
            .args([SUBCOMMAND, LAUNCH])
            .stdin(OwnedFd::from(theirs))
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0);
        let process = tokio::process::Command::from(command).spawn()?;
        Ok(Self { process, pipes, channel: tokio::net::UnixStream::from_std(ours)? })
    }

    /// Which process it is, and with that which the command and its group will be.
    pub(super) fn identity(&self) -> Option<ProcessIdentity> {
        self.process.id().map(ProcessIdentity::of)
    }

    /// Lets it become the command of `record`. Returns `Err` with what a person can do when it could not.
    pub(super) async fn go(&mut self, run: &RunDirectory, record: &Record) -> io::Result<Result<(), String>> {
        let plan = Plan::of(run, record)?;
        let mut line = serde_json::to_vec(&plan)?;
        line.push(b'\n');
        let answer = tokio::time::timeout(BECOMING_TAKES, self.exchange(&line)).await;
        Ok(match answer {
            Ok(answer) if answer.is_empty() => Ok(()),
            Ok(answer) => Err(answer),
            Err(_) => {
                self.process.start_kill()?;
                Err(format!("the command did not start within {} s", BECOMING_TAKES.as_secs()))
            }
        })
    }

    /// The channel is closed by becoming the command, so an empty answer means that all is well. When the
    /// process dies instead, its exit status tells, so errors here need no attention.
    async fn exchange(&mut self, line: &[u8]) -> String {
        let mut answer = Vec::new();
        let _dead = self.channel.write_all(line).await;
        let _dead = self.channel.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Plan {
    fn of(run: &RunDirectory, record: &Record) -> io::Result<Self> {
        let mut environment = record.environment.clone();
        environment.insert(BUILD_VARIABLE.to_owned(), record.id.clone());
        let directory = match &record.target.directory {
            Some(directory) => directory.into(),
            None => run.workspace()?,
        };
        Ok(Self { command: record.target.command.clone(), environment, directory })
    }

    /// Replaces this process. Returns only when that did not work, with what a person can do.
    fn execute(&self) -> String {
        let Some((program, arguments)) = self.command.split_first() else {
            return "the job's command is empty".to_owned();
        };
        if !fs::metadata(&self.directory).is_ok_and(|directory| directory.is_dir()) {
            return format!("there is no directory `{}` to run in", self.directory.display());
        }
        let error = Command::new(program)
            .args(arguments)
            .envs(&self.environment)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .exec();
        explain(program, &self.directory, &error)
    }
}

/// The role of the process that becomes the command.
pub(super) fn become_command() -> ExitCode {
    end_with_supervisor();
    let Ok(channel) = channel_on_stdin() else { return ExitCode::FAILURE };
    let mut line = String::new();
    let read = BufReader::new(&channel).read_line(&mut line);
    if read.is_err() || !line.ends_with('\n') {
        return ExitCode::FAILURE;
    }
    let answer = match serde_json::from_str::<Plan>(&line) {
        Ok(plan) => plan.execute(),
        Err(error) => format!("the supervisor cannot be understood: {error}"),
    };
    let _supervisor_gone = (&channel).write_all(answer.as_bytes());
    ExitCode::FAILURE
}

/// Where the system can, the command is killed the moment its supervisor is.
fn end_with_supervisor() {
    #[cfg(target_os = "linux")]
    let _the_stack_does_it_a_little_later = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
}

/// This very program, even when its file was replaced by a newer build meanwhile.
fn this_program() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { env::current_exe() }
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
