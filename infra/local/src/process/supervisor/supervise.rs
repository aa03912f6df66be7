//! The supervisor's own work: one run from its first order to its end.

use std::{future, io, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use gatehouse_domain::{ci::RunStatus, clock::Clock};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    process::Child,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

use super::{
    super::{
        directory::RunDirectory,
        events::{EventLog, StoredBody, StoredEvent},
        record::{Outcome, Record, State},
    },
    Order,
    launch::Launcher,
    output::{Journal, Output},
    pipes::Pipes,
    stack::{self, FromStack, Orders},
};

/// Waits for the order to go, runs the command of `run`, and writes down how it ended.
pub(super) async fn supervise(run: &RunDirectory, grace: Duration, clock: &dyn Clock) -> io::Result<()> {
    let (orders, news) = stack::connect()?;
    let mut orders = orders;
    if orders.next().await != FromStack::Order(Order::Go) {
        return Ok(());
    }
    let record = run.read()?.ok_or(io::ErrorKind::NotFound)?;
    let journal = Journal::new(EventLog::open(&run.events())?, news, clock);
    Supervisor { run, record, journal, grace, clock }.supervise(&mut orders).await
}

struct Supervisor<'a> {
    run: &'a RunDirectory,
    record: Record,
    journal: Journal<'a>,
    grace: Duration,
    clock: &'a dyn Clock,
}

/// Why a command was stopped.
#[derive(Clone, Copy)]
enum Cause {
    Cancelled,
    StackGone,
}

/// A command's process group.
struct Group {
    leader: Child,
    /// Taken at the start: the leader's number is its group's too.
    id: Pid,
    /// Why it was asked to stop, if it was.
    stopped: Option<Cause>,
    /// When it will be killed.
    kill_at: Option<Instant>,
}

impl Supervisor<'_> {
    async fn supervise(mut self, orders: &mut Orders) -> io::Result<()> {
        let outcome = match self.launch().await? {
            Ok(launcher) => self.attend(launcher, orders).await?,
            Err(why) => {
                self.record.state = State::Queued;
                Outcome::could_not_start(why)
            }
        };
        self.record = self.record.ended(outcome, self.clock.now());
        // The record first: whoever sees the end of the events must find it ended.
        self.run.write(&self.record)?;
        let closing = self.record.ending().map(StoredEvent::closing);
        self.journal.append(&closing.unwrap_or_default())
    }

    /// Starts the command, whose process is on disk before it runs.
    async fn launch(&mut self) -> io::Result<Result<Launcher, String>> {
        let mut launcher = match Launcher::start(self.record.target.merge_stderr) {
            Ok(launcher) => launcher,
            Err(error) => return Ok(Err(format!("no process can be started: {error}"))),
        };
        self.record.command = launcher.identity();
        self.record.state = State::Running { started_at: self.clock.now() };
        self.run.write(&self.record)?;
        let became = launcher.go(self.run, &self.record).await?;
        Ok(became.map(|()| launcher))
    }

    /// Stays with the command to its end.
    async fn attend(&mut self, launcher: Launcher, orders: &mut Orders) -> io::Result<Outcome> {
        let mut group = Group::led_by(launcher.process)?;
        let mut pipes = launcher.pipes;
        let mut output = Output::new();
        let exit = self.attend_to(&mut group, &mut pipes, &mut output, orders).await;
        // Whatever the command left behind in its group ends with it, also when we cannot go on.
        group.signal(Signal::SIGKILL);
        let exit = exit?;
        pipes.drain(|stream, bytes| output.received(stream, bytes, &mut self.journal))?;
        output.finish(&mut self.journal)?;
        Ok(outcome(exit, group.stopped))
    }

    async fn attend_to(
        &mut self,
        group: &mut Group,
        pipes: &mut Pipes,
        output: &mut Output,
        orders: &mut Orders,
    ) -> io::Result<ExitStatus> {
        let mut terminated = signal(SignalKind::terminate())?;
        self.say_that_it_runs()?;
        loop {
            // What ends the run goes first, and is looked for in between: output may never pause.
            tokio::task::consume_budget().await;
            tokio::select! {
                biased;
                exit = group.leader.wait() => return exit,
                order = orders.next() => self.obey(order, group)?,
                _ = terminated.recv() => self.obey(FromStack::Gone, group)?,
                () = until(group.kill_at) => group.kill(),
                read = pipes.read() => {
                    let (stream, bytes) = read?;
                    output.received(stream, bytes, &mut self.journal)?;
                }
                () = until(output.deadline()) => output.flush(&mut self.journal)?,
            }
        }
    }

    fn obey(&mut self, order: FromStack, group: &mut Group) -> io::Result<()> {
        if group.leader.try_wait()?.is_some() {
            return Ok(());
        }
        let first = group.stopped.is_none();
        match order {
            FromStack::Order(Order::Go) => return Ok(()),
            FromStack::Order(Order::Terminate) => group.stop(Cause::Cancelled, self.grace),
            FromStack::Gone => group.stop(Cause::StackGone, self.grace),
            FromStack::Order(Order::Kill) => {
                group.stopped.get_or_insert(Cause::Cancelled);
                group.kill();
            }
        }
        if first { self.say_that_it_stops() } else { Ok(()) }
    }

    fn say_that_it_runs(&mut self) -> io::Result<()> {
        let status = RunStatus::Running;
        let command_line = command_line(&self.record.target.command);
        self.journal
            .write([StoredBody::Status { status, reason: None }, StoredBody::Started { command_line }])
    }

    fn say_that_it_stops(&mut self) -> io::Result<()> {
        if let State::Running { started_at } = self.record.state {
            self.record.state = State::Cancelling { started_at };
            self.run.write(&self.record)?;
        }
        self.journal.write([StoredBody::Status { status: RunStatus::Cancelling, reason: None }])
    }
}

impl Group {
    fn led_by(leader: Child) -> io::Result<Self> {
        let id = leader.id().and_then(|id| i32::try_from(id).ok()).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { leader, id: Pid::from_raw(id), stopped: None, kill_at: None })
    }

    /// Asks it to stop, and sees to it that it has after `grace`. Asking again changes nothing.
    fn stop(&mut self, cause: Cause, grace: Duration) {
        if self.stopped.is_none() {
            self.stopped = Some(cause);
            self.kill_at = Some(Instant::now() + grace);
            self.signal(Signal::SIGTERM);
        }
    }

    fn kill(&mut self) {
        self.kill_at = None;
        self.signal(Signal::SIGKILL);
    }

    /// The group's number is ours for as long as the leader was not waited for, and for the moment after it.
    fn signal(&self, signal: Signal) {
        let _already_gone = killpg(self.id, signal);
    }
}

/// What came of a command that ended with `exit`.
fn outcome(exit: ExitStatus, stopped: Option<Cause>) -> Outcome {
    match (stopped, exit.code()) {
        (Some(Cause::StackGone), _) => Outcome::stack_stopped(),
        (Some(Cause::Cancelled), exit_status) => Outcome::Cancelled { exit_status },
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
