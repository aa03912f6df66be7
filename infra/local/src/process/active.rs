//! Runs between their start and their end, and the task that looks after each.

use std::{
    collections::HashMap,
    fs::File,
    future, io,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gatehouse_domain::{
    ci::{Build, LogStream, RunStatus},
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
    events::{self, StoredBody, StoredEvent},
    output::{Output, Piece},
    record::{Outcome, Record, State},
    watcher::Watcher,
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
#[derive(Debug)]
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
        let mut changes = self.changes();
        changes.wait_for(Option::is_some).await.ok()?.clone()
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
    runs: Mutex<HashMap<String, Arc<ActiveRun>>>,
    /// Both are kept until the last run has ended, even when the provider is gone.
    _watcher: Watcher,
    _lock: File,
}

impl ActiveRuns {
    pub fn new(watcher: Watcher, lock: File) -> Self {
        Self { runs: Mutex::default(), _watcher: watcher, _lock: lock }
    }

    pub fn find(&self, id: &str) -> Option<Arc<ActiveRun>> {
        self.locked().get(id).cloned()
    }

    pub fn all(&self) -> Vec<Arc<ActiveRun>> {
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
    ) -> Arc<ActiveRun> {
        let mut runs = self.locked();
        if let Some(existing) = runs.get(&record.id) {
            return existing.clone();
        }
        let (sender, orders) = mpsc::unbounded_channel();
        let changed = watch::Sender::new(None);
        let active = Arc::new(ActiveRun { orders: sender, changes: changed.subscribe() });
        runs.insert(record.id.clone(), active.clone());
        let run = Run { directory, record, grace, clock, orders, changed };
        tokio::spawn(self.clone().live(run));
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

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Arc<ActiveRun>>> {
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

#[derive(Clone, Copy)]
enum StopCause {
    Cancelled,
    StackStopped,
}

/// What became of the wish to stop a command.
#[derive(Default)]
struct Stop {
    cause: Option<StopCause>,
    kill_at: Option<Instant>,
}

impl Run {
    async fn live(&mut self) -> io::Result<()> {
        let (directory, record) = (self.directory.clone(), self.record.clone());
        if !blocking(move || directory.create(&record)).await? {
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
        self.write_record().await?;
        let (log, ending) = (self.directory.events(), self.record.ending().cloned());
        // Not just appended: a full disk may have left a torn line.
        blocking(move || ending.map_or(Ok(()), |ending| events::close(&log, &ending))).await?;
        self.publish();
        Ok(())
    }

    /// Starts the command and notes which process it is, so that the next stack can end it.
    async fn launch(&mut self) -> Result<(RunningCommand, Output), String> {
        let (directory, record) = (self.directory.clone(), self.record.clone());
        // Dropped when it comes too late, which ends the command.
        let starting = blocking(move || Ok(RunningCommand::start(&directory, &record)));
        let started = timeout(STARTING_TAKES, starting).await;
        let started = started
            .map_err(|_| format!("the command did not start within {} s", STARTING_TAKES.as_secs()))?;
        let (command, output) = started.map_err(|error| error.to_string())??;
        let unstarted = self.record.clone();
        self.record.process = command.identity();
        self.record.state = State::Running { started_at: self.clock.now() };
        if let Err(error) = self.write_record().await {
            self.record = unstarted;
            return Err(format!("the run's record cannot be written: {error}"));
        }
        Ok((command, output))
    }

    /// Stays with the command to its end.
    async fn attend(&mut self, mut command: RunningCommand, mut output: Output) -> io::Result<Outcome> {
        let mut stop = Stop::default();
        let command_line = command_line(&self.record.target.command);
        let status = StoredBody::Status { status: RunStatus::Running, reason: None };
        self.log([status, StoredBody::Started { command_line }])?;
        self.publish();
        let exit = loop {
            // What ends the run goes first, and is looked for in between: output may never pause.
            tokio::task::consume_budget().await;
            tokio::select! {
                biased;
                exit = command.wait() => break exit?,
                Some(order) = self.orders.recv() => self.obey(order, &mut command, &mut stop).await?,
                () = until(stop.kill_at) => {
                    stop.kill_at = None;
                    command.signal(Signal::SIGKILL);
                }
                pieces = output.next() => self.log(logs(pieces?))?,
            }
        };
        self.log(logs(output.finish()?))?;
        Ok(outcome(exit, stop.cause))
    }

    async fn obey(&mut self, order: Order, command: &mut RunningCommand, stop: &mut Stop) -> io::Result<()> {
        // What has ended by itself was not cancelled, however late its end is noticed.
        if command.has_ended()? {
            return Ok(());
        }
        let first = stop.cause.is_none();
        let cause = match order {
            Order::Terminate | Order::Kill => StopCause::Cancelled,
            Order::StackStops => StopCause::StackStopped,
        };
        stop.cause.get_or_insert(cause);
        if order == Order::Kill {
            stop.kill_at = None;
            command.signal(Signal::SIGKILL);
        } else if first {
            stop.kill_at = Some(Instant::now() + self.grace);
            command.signal(Signal::SIGTERM);
        }
        match self.record.state {
            State::Running { started_at } if first => {
                self.record.state = State::Cancelling { started_at };
                self.write_record().await?;
                self.log([StoredBody::Status { status: RunStatus::Cancelling, reason: None }])
            }
            _ => Ok(()),
        }
    }

    fn log(&self, bodies: impl IntoIterator<Item = StoredBody>) -> io::Result<()> {
        let at = self.clock.now();
        let events: Vec<_> = bodies.into_iter().map(|body| StoredEvent { at, body }).collect();
        events::append(&self.directory.events(), &events)?;
        self.changed.send_modify(|_| {});
        Ok(())
    }

    /// Lets those continue who wait for the start.
    fn publish(&self) {
        self.changed.send_modify(|started| {
            started.get_or_insert_with(|| self.record.clone().into_build());
        });
    }

    async fn write_record(&self) -> io::Result<()> {
        let (directory, record) = (self.directory.clone(), self.record.clone());
        blocking(move || directory.write(&record)).await
    }
}

fn logs(pieces: Vec<Piece>) -> impl Iterator<Item = StoredBody> {
    pieces.into_iter().map(|(stream, text): (LogStream, String)| StoredBody::Log { stream, text })
}

/// What came of a command that ended with `exit`.
fn outcome(exit: ExitStatus, stopped: Option<StopCause>) -> Outcome {
    match (stopped, exit.code()) {
        (Some(StopCause::StackStopped), _) => Outcome::stack_stopped(),
        (Some(StopCause::Cancelled), exit_status) => Outcome::Cancelled { exit_status },
        (None, Some(0)) => Outcome::Succeeded,
        (None, Some(exit_status)) => Outcome::Failed { exit_status },
        (None, None) => {
            let number = exit.signal().unwrap_or_default();
            let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
            Outcome::interrupted(format!(
                "the command was killed by signal {number} ({name}), not by Gatehouse"
            ))
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => future::pending().await,
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
