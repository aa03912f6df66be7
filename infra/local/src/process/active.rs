//! Runs between their start and their end, and the task that looks after each.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::OptionFuture;
use gatehouse_domain::{
    ci::{Build, RunEventBody, RunStatus, StepFacts, StepPhase},
    clock::Clock,
};
use nix::sys::signal::Signal;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{
    command::RunningCommand,
    directory::RunDirectory,
    log::{self, STEP},
    output::{Output, Piece},
    record::{Outcome, Record},
    settle::Watcher,
};

/// Starting a command takes milliseconds; in a directory on a dead network drive it takes for ever.
const STARTING_TAKES: Duration = Duration::from_secs(10);

/// The run as it was when its command had been started or could not be; `None` before. Marked as changed
/// with every new event, and closed when the run has ended.
pub type Changes = watch::Receiver<Option<Build>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Ask the command to stop, and kill it if it has not after the grace.
    Terminate,
    Kill,
    /// As [`Order::Terminate`], for a stack that is about to end.
    StackStops,
}

/// A run that has not ended, for those who wait for it or order it about.
#[derive(Debug, Clone)]
pub struct ActiveRun {
    orders: mpsc::UnboundedSender<Order>,
    changes: Changes,
}

impl ActiveRun {
    /// Marks what happens from now on.
    pub fn changes(&self) -> Changes {
        self.changes.clone()
    }

    /// The run when its command had been started or could not be; `None` when it could not even be recorded.
    pub async fn started(&self) -> Option<Build> {
        self.changes().wait_for(Option::is_some).await.ok()?.clone()
    }

    pub async fn ended(&self) {
        let mut changes = self.changes();
        while changes.changed().await.is_ok() {}
    }

    /// A run that has ended meanwhile ignores it.
    pub fn order(&self, order: Order) {
        let _ended_already = self.orders.send(order);
    }
}

/// The runs that have not ended, by id.
#[derive(Debug)]
pub struct ActiveRuns {
    runs: Mutex<HashMap<String, ActiveRun>>,
    /// Both are kept until the last run has ended, even when the provider is gone.
    _watcher: Watcher,
    _lock: File,
}

impl ActiveRuns {
    pub fn new(watcher: Watcher, lock: File) -> Self {
        Self { runs: Mutex::default(), _watcher: watcher, _lock: lock }
    }

    pub fn find(&self, id: &str) -> Option<ActiveRun> {
        self.locked().get(id).cloned()
    }

    pub fn all(&self) -> Vec<ActiveRun> {
        self.locked().values().cloned().collect()
    }

    /// Starts a run in a task of its own, which continues when the caller goes away. Returns the one that
    /// has the id already where there is one.
    pub fn start(
        self: &Arc<Self>,
        directory: RunDirectory,
        record: Record,
        grace: Duration,
        clock: Arc<dyn Clock>,
    ) -> ActiveRun {
        let mut runs = self.locked();
        if let Some(existing) = runs.get(&record.id) {
            return existing.clone();
        }
        let (sender, orders) = mpsc::unbounded_channel();
        let changed = watch::Sender::new(None);
        let active = ActiveRun { orders: sender, changes: changed.subscribe() };
        runs.insert(record.id.clone(), active.clone());
        tokio::spawn(self.clone().live(Run { directory, record, grace, clock, orders, changed }));
        active
    }

    async fn live(self: Arc<Self>, mut run: Run) {
        if let Err(error) = run.live().await {
            tracing::error!(run = %run.directory.path().display(), %error, "a run's files cannot be written");
        }
        self.locked().remove(&run.record.id);
        // Whoever waits for the end may open the directory anew, for which this may hold the last lock.
        drop(self);
        drop(run);
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, ActiveRun>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the task of a run works with. Dropping it shows everybody that the run has ended.
struct Run {
    directory: RunDirectory,
    record: Record,
    grace: Duration,
    clock: Arc<dyn Clock>,
    orders: mpsc::UnboundedReceiver<Order>,
    changed: watch::Sender<Option<Build>>,
}

impl Run {
    async fn live(&mut self) -> io::Result<()> {
        if !self.blocking(RunDirectory::create).await? {
            return Ok(());
        }
        let outcome = match self.launch().await {
            Ok((command, output)) => self.attend(command, output).await.unwrap_or_else(|error| {
                Outcome::interrupted(format!("what the command writes cannot be kept: {error}"))
            }),
            Err(why) => Outcome::could_not_start(why),
        };
        self.record.end(outcome, self.clock.now());
        // The record first: whoever sees the end of the events must find it ended.
        self.blocking(RunDirectory::write).await?;
        // Not just appended: a full disk may have left a torn line.
        self.blocking(|directory, record| log::close(&directory.log(), record)).await?;
        self.publish();
        Ok(())
    }

    /// Starts the command and notes which process it is, so that the next stack can end it.
    async fn launch(&mut self) -> Result<(RunningCommand, Output), String> {
        // Dropped when it comes too late, which ends the command.
        let starting = self.blocking(|directory, record| Ok(RunningCommand::start(directory, record)));
        let started = timeout(STARTING_TAKES, starting).await;
        let started = started
            .map_err(|_| format!("the command did not start within {} s", STARTING_TAKES.as_secs()))?;
        let (command, output) = started.map_err(|error| error.to_string())??;
        let unstarted = self.record.clone();
        self.record.process = command.identity();
        self.record.status = RunStatus::Running;
        self.record.started_at = Some(self.clock.now());
        if let Err(error) = self.blocking(RunDirectory::write).await {
            self.record = unstarted;
            return Err(format!("the run's record cannot be written: {error}"));
        }
        Ok((command, output))
    }

    /// Stays with the command to its end.
    async fn attend(&mut self, mut command: RunningCommand, mut output: Output) -> io::Result<Outcome> {
        let facts = StepFacts { command: self.record.target.command.clone(), ..StepFacts::default() };
        let started = RunEventBody::Step {
            step: STEP.to_owned(),
            name: Some(command_line(&facts.command)),
            phase: StepPhase::Started,
            facts: Box::new(facts),
        };
        self.log([log::status(RunStatus::Running), started])?;
        self.publish();
        let (mut stopped_by, mut kill_at) = (None, None);
        let exit = loop {
            // What ends the run goes first, and is looked for in between: output may never pause.
            tokio::task::consume_budget().await;
            tokio::select! {
                biased;
                exit = command.wait() => break exit?,
                Some(order) = self.orders.recv() => {
                    // What has ended by itself was not cancelled, however late its end is noticed.
                    if command.has_ended()? {
                        continue;
                    }
                    if order == Order::Kill {
                        command.signal(Signal::SIGKILL);
                    } else if stopped_by.is_none() {
                        command.signal(Signal::SIGTERM);
                        kill_at = Some(Instant::now() + self.grace);
                    }
                    if stopped_by.is_none() {
                        stopped_by = Some(order);
                        self.record.status = RunStatus::Cancelling;
                        self.blocking(RunDirectory::write).await?;
                        self.log([log::status(RunStatus::Cancelling)])?;
                    }
                }
                Some(()) = OptionFuture::from(kill_at.map(sleep_until)) => {
                    kill_at = None;
                    command.signal(Signal::SIGKILL);
                }
                pieces = output.next() => self.log_output(pieces?)?,
            }
        };
        self.log_output(output.finish()?)?;
        Ok(outcome(exit, stopped_by))
    }

    fn log_output(&self, pieces: Vec<Piece>) -> io::Result<()> {
        let log = |(stream, text)| RunEventBody::Log { step: Some(STEP.to_owned()), stream, text };
        self.log(pieces.into_iter().map(log))
    }

    fn log(&self, bodies: impl IntoIterator<Item = RunEventBody>) -> io::Result<()> {
        log::append(&self.directory.log(), self.clock.now(), bodies)?;
        self.changed.send_modify(|_| {});
        Ok(())
    }

    /// Lets those continue who wait for the start.
    fn publish(&self) {
        self.changed.send_modify(|started| {
            started.get_or_insert_with(|| self.record.clone().into_build());
        });
    }

    /// Does with the run's directory and its record, as it is now, what may take its time.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&RunDirectory, &Record) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (directory, record) = (self.directory.clone(), self.record.clone());
        blocking(move || work(&directory, &record)).await
    }
}

/// What came of a command that ended with `exit`, after it was asked to stop or not.
fn outcome(exit: ExitStatus, stopped_by: Option<Order>) -> Outcome {
    match (stopped_by, exit.code()) {
        (Some(Order::StackStops), _) => Outcome::stack_stopped(),
        (Some(Order::Terminate | Order::Kill), code) => Outcome::exited(RunStatus::Cancelled, code),
        (None, Some(0)) => Outcome::exited(RunStatus::Succeeded, Some(0)),
        (None, Some(code)) => Outcome::exited(RunStatus::Failed, Some(code)),
        (None, None) => {
            let number = exit.signal().unwrap_or_default();
            let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
            Outcome::interrupted(format!(
                "the command was killed by signal {number} ({name}), not by Gatehouse"
            ))
        }
    }
}

/// The command as a person would type it, cut where it gets long.
fn command_line(words: &[String]) -> String {
    const LONGEST: usize = 200;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let quote = |word: &String| {
        let plain = !word.is_empty() && word.chars().all(plain);
        if plain { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    let line = words.iter().map(quote).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Does file work where it holds up nobody.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let words = ["sh", "-c", "echo it's $X", ""].map(str::to_owned);
        assert_eq!(command_line(&words), r"sh -c 'echo it'\''s $X' ''");
        assert_eq!(command_line(&["ä".repeat(300)]).chars().count(), 201);
    }
}
