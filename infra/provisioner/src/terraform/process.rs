//! One Terraform process, from its start to its end.
//!
//! It writes to files and not to pipes: if the worker is killed, Terraform must not die of a broken pipe in the
//! middle of an apply. It goes on alone, writes its state and releases the lock.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{environment, error::TerraformError, lines::Lines};
use crate::{reporter, stop::Stop};

/// How often what it wrote is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// As much of what it writes to standard error is kept.
const COMPLAINTS_LIMIT: usize = 16 * 1024;

/// A process that is to run.
pub(super) struct Process<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: Vec<OsString>,
    pub(super) directory: &'a Path,
    /// Where the files are made that it writes to.
    pub(super) output: &'a Path,
    pub(super) stop: &'a Stop,
    /// How long it may take to end once it was interrupted.
    pub(super) stop_timeout: Duration,
}

/// A process that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// What it wrote to standard error.
    pub(super) complaints: String,
    /// Whether it had to be killed.
    pub(super) killed: bool,
    /// Whether everything that it wrote to standard output was taken.
    pub(super) heard: bool,
}

/// A process that runs, as the leader of a group of its own: Ctrl-C in a terminal is for the worker, which
/// interrupts Terraform once. The second interrupt would make it drop everything.
struct Running {
    leader: Child,
    id: Pid,
    kill_at: Option<Instant>,
    killed: bool,
}

impl Process<'_> {
    /// Runs it to its end. Every line that it writes to standard output is given to `take` soon after.
    pub(super) async fn run(&self, take: &mut (dyn FnMut(&str) + Send)) -> Result<Ended, TerraformError> {
        let [output, complaints] = ["stdout", "stderr"].map(|name| self.output.join(name));
        let mut running = self.start(&output, &complaints)?;
        let (status, heard) = self.attend(&mut running, &output, take).await.map_err(TerraformError::Run)?;
        // Whatever a module's commands left behind ends with it.
        running.signal_group(Signal::SIGKILL);
        let complaints = fs::read(&complaints).unwrap_or_default();
        let complaints = reporter::cut(&String::from_utf8_lossy(&complaints), COMPLAINTS_LIMIT);
        Ok(Ended { status, complaints, killed: running.killed, heard })
    }

    fn start(&self, output: &Path, complaints: &Path) -> Result<Running, TerraformError> {
        let file = |path| File::create(path).map(Stdio::from).map_err(TerraformError::Run);
        let mut command = Command::new(self.program);
        command
            .args(&self.arguments)
            .current_dir(self.directory)
            .stdin(Stdio::null())
            .stdout(file(output)?)
            .stderr(file(complaints)?)
            .process_group(0);
        environment::reduce(&mut command);
        let leader = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => TerraformError::Missing(self.program.to_owned()),
            _ => TerraformError::Run(error),
        })?;
        Running::led_by(leader).map_err(TerraformError::Run)
    }

    async fn attend(
        &self,
        running: &mut Running,
        output: &Path,
        take: &mut (dyn FnMut(&str) + Send),
    ) -> io::Result<(ExitStatus, bool)> {
        let mut lines = Lines::open(output)?;
        let mut look = interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut asked, mut heard) = (false, true);
        let status = loop {
            tokio::select! {
                biased;
                status = running.leader.wait() => break status?,
                () = self.stop.asked(), if !asked => {
                    asked = true;
                    running.interrupt(self.stop_timeout);
                }
                () = until(running.kill_at) => running.kill(),
                _ = look.tick() => heard &= note(lines.read(take)),
            }
        };
        heard &= note(lines.finish(take));
        Ok((status, heard))
    }
}

impl Running {
    fn led_by(leader: Child) -> io::Result<Self> {
        let id = leader.id().and_then(|id| i32::try_from(id).ok()).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { leader, id: Pid::from_raw(id), kill_at: None, killed: false })
    }

    /// Asks Terraform alone: it tells its providers and the commands of modules itself.
    fn interrupt(&mut self, limit: Duration) {
        self.kill_at = Some(Instant::now() + limit);
        let _already_gone = kill(self.id, Signal::SIGINT);
    }

    fn kill(&mut self) {
        self.kill_at = None;
        self.killed = true;
        self.signal_group(Signal::SIGKILL);
    }

    /// The group's number is ours for as long as the leader was not waited for, and for the moment after it.
    fn signal_group(&self, signal: Signal) {
        let _already_gone = killpg(self.id, signal);
    }
}

/// What Terraform says is worth less than what it does: it goes on when it cannot be read. Returns whether it could.
fn note(read: io::Result<()>) -> bool {
    read.inspect_err(|error| tracing::warn!(cause = %error, "what Terraform writes could not be read"))
        .is_ok()
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
