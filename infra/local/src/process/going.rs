//! Runs that go on, and the task that looks after each.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use gatehouse_domain::clock::Clock;
use tokio::{io::AsyncReadExt, sync::watch};

use super::{
    directory::RunDirectory,
    record::{Outcome, Record},
    settle::settle,
    spawn::{SupervisorCommand, Waiting},
    supervisor::Order,
};

/// How far a run is, as far as those who wait for it must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Whether its command can be started is not known yet.
    Starting,
    /// The command runs, or has ended, or could not be started.
    Started,
}

/// A run that goes on.
#[derive(Debug)]
pub(super) struct Going {
    orders: Mutex<Orders>,
    /// Marked as changed when there are new events, closed when the run has ended.
    changes: watch::Receiver<Phase>,
}

/// Where the supervisor takes its orders.
#[derive(Debug)]
enum Orders {
    NotYet,
    Open(UnixStream),
    Closed,
}

impl Going {
    /// Tells of new events from now on.
    pub(super) fn changes(&self) -> watch::Receiver<Phase> {
        self.changes.clone()
    }

    /// Returns when the run's record says whether the command could be started.
    pub(super) async fn started(&self) {
        let mut changes = self.changes();
        // Closed without it: the run has ended already.
        drop(changes.wait_for(|phase| *phase == Phase::Started).await);
    }

    /// Returns when the run has ended.
    pub(super) async fn ended(&self) {
        let mut changes = self.changes();
        while changes.changed().await.is_ok() {}
    }

    /// Gives an order. A run that has ended meanwhile takes none.
    pub(super) async fn order(&self, order: Order) {
        self.started().await;
        if let Orders::Open(channel) = &mut *locked(&self.orders) {
            let _ended_already = channel.write_all(&[order.byte()]);
        }
    }

    /// Ends the run as the stack's death does.
    pub(super) fn abandon(&self) {
        let orders = std::mem::replace(&mut *locked(&self.orders), Orders::Closed);
        if let Orders::Open(channel) = orders {
            let _ended_already = channel.shutdown(std::net::Shutdown::Write);
        }
    }

    /// Lets the supervisor go, unless the run was abandoned meanwhile.
    fn let_go(&self, channel: &UnixStream) -> io::Result<()> {
        let mut orders = locked(&self.orders);
        if matches!(*orders, Orders::Closed) {
            return channel.shutdown(std::net::Shutdown::Write);
        }
        let mut channel = channel.try_clone()?;
        channel.write_all(&[Order::Go.byte()])?;
        *orders = Orders::Open(channel);
        Ok(())
    }

    /// Passes on what the supervisor tells until it ends. Returns what came of the run if the supervisor
    /// has not written it down.
    async fn supervise(&self, mut waiting: Waiting, changed: &watch::Sender<Phase>) -> io::Result<Outcome> {
        let news = waiting.channel.try_clone()?;
        self.let_go(&waiting.channel)?;
        drop(waiting.channel);
        pass_on(news, changed).await?;
        let status = waiting.process.wait().await?;
        Ok(match *locked(&self.orders) {
            Orders::Closed => Outcome::stack_stopped(),
            Orders::NotYet | Orders::Open(_) => {
                Outcome::interrupted(format!("the run's supervisor process ended unexpectedly ({status})"))
            }
        })
    }
}

/// Marks a change for each piece of news until there is no more.
async fn pass_on(news: UnixStream, changed: &watch::Sender<Phase>) -> io::Result<()> {
    let mut news = tokio::net::UnixStream::from_std(news)?;
    let mut bytes = [0; 64];
    // An error is an end as well: nobody is left to tell anything.
    while news.read(&mut bytes).await.is_ok_and(|read| read > 0) {
        changed.send_replace(Phase::Started);
    }
    Ok(())
}

/// The runs that go on, by id.
#[derive(Debug)]
pub(super) struct GoingRuns {
    runs: Mutex<HashMap<String, Arc<Going>>>,
    /// Kept until the last run has ended, even when the provider is gone.
    _lock: File,
}

impl GoingRuns {
    /// None, while `lock` is held.
    pub(super) fn new(lock: File) -> Self {
        Self { runs: Mutex::default(), _lock: lock }
    }

    /// The run `id`, if it goes on.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Going>> {
        locked(&self.runs).get(id).cloned()
    }

    /// Every run that goes on.
    pub(super) fn all(&self) -> Vec<Arc<Going>> {
        locked(&self.runs).values().cloned().collect()
    }

    /// Adds a run, or returns the one that has the id already.
    fn add(&self, id: &str) -> Result<(Arc<Going>, watch::Sender<Phase>), Arc<Going>> {
        let mut runs = locked(&self.runs);
        if let Some(existing) = runs.get(id) {
            return Err(existing.clone());
        }
        let (sender, changes) = watch::channel(Phase::Starting);
        let going = Arc::new(Going { orders: Mutex::new(Orders::NotYet), changes });
        runs.insert(id.to_owned(), going.clone());
        Ok((going, sender))
    }

    fn remove(&self, id: &str) {
        locked(&self.runs).remove(id);
    }
}

/// All that one run needs to go through its life, whoever asked for it.
pub(super) struct NewRun {
    pub(super) run: RunDirectory,
    pub(super) record: Record,
    pub(super) all: Arc<GoingRuns>,
    pub(super) supervisor: SupervisorCommand,
    pub(super) clock: Arc<dyn Clock>,
}

impl NewRun {
    /// Starts the run unless there is one with its id, and returns when its record says whether the command
    /// could be started. It goes on when the caller goes away.
    pub(super) async fn start(self) {
        match self.all.add(&self.record.id) {
            Err(existing) => existing.started().await,
            Ok((going, changed)) => {
                tokio::spawn(self.live(going.clone(), changed));
                going.started().await;
            }
        }
    }

    /// Lives until the run has ended; dropping `changed` tells everybody.
    async fn live(self, going: Arc<Going>, changed: watch::Sender<Phase>) {
        if let Err(error) = self.create_and_run(&going, &changed).await {
            tracing::error!(run = %self.run.path().display(), %error, "a run's files cannot be written");
        }
        self.all.remove(&self.record.id);
        // Who waits for the end may open the directory anew: let go of it first.
        drop(self);
        drop(changed);
    }

    async fn create_and_run(&self, going: &Going, changed: &watch::Sender<Phase>) -> io::Result<()> {
        let (run, record) = (self.run.clone(), self.record.clone());
        if !blocking(move || run.create(&record)).await? {
            return Ok(());
        }
        let outcome = self.supervised(going, changed).await.unwrap_or_else(|error| {
            Outcome::could_not_start(format!("the run's supervisor cannot be started: {error}"))
        });
        let (run, clock) = (self.run.clone(), self.clock.clone());
        blocking(move || settle(&run, outcome, &*clock)).await?;
        Ok(())
    }

    async fn supervised(&self, going: &Going, changed: &watch::Sender<Phase>) -> io::Result<Outcome> {
        let (run, record, supervisor) = (self.run.clone(), self.record.clone(), self.supervisor.clone());
        let waiting = blocking(move || supervisor.start(&run, record)).await?;
        going.supervise(waiting, changed).await
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does file work where it holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
