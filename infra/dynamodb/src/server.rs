//! Starting and stopping dynoxide.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    thread::{Builder, JoinHandle},
    time::Duration,
};

use axum::{Router, extract::DefaultBodyLimit, routing::post};
use dynoxide::Database;
use gatehouse_loopback::guarded;
use tokio::{
    net::TcpListener,
    runtime,
    sync::oneshot,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tracing::{debug, error};

use crate::operations;

/// What DynamoDB takes, in bytes.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// How often expired items are removed. DynamoDB takes up to a few days, so nothing may rely on it.
const SWEEP_EVERY: Duration = Duration::from_hours(1);

/// Where the items are kept.
#[derive(Clone, Debug)]
pub enum Storage {
    /// In memory, until the process ends.
    Memory,
    /// In a SQLite file, which need not exist yet. Its directory must.
    File(PathBuf),
}

/// A DynamoDB that is being served on loopback.
///
/// It has a thread of its own, because SQLite waits for the disk: nothing else shall wait with it.
#[derive(Debug)]
pub struct DynamoDb {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Why DynamoDB did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot open the table's file {}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("cannot make a table in memory: {0}")]
    Memory(String),
    /// No loopback port, or no thread.
    #[error("cannot serve DynamoDB on loopback")]
    Serve(#[from] io::Error),
}

impl DynamoDb {
    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// When the file cannot be opened or nothing can be served.
    pub async fn start(storage: Storage) -> Result<Self, StartError> {
        // What is in memory does not live so long, and is of tests, whose clock is not the machine's: what expired by the
        // latter is still there for them.
        let sweeps = matches!(storage, Storage::File(_));
        let database = spawn_blocking(move || open(storage)).await.map_err(io::Error::other)??;
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = Builder::new()
            .name("dynamodb".into())
            .spawn(move || runtime.block_on(serve(listener, database, sweeps, stopped)))?;
        Ok(Self { address, stop, thread })
    }

    /// What the SDK is given as `endpoint_url`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers the open requests, then closes the file.
    pub async fn stop(self) {
        self.stop.send(()).ok();
        spawn_blocking(|| self.thread.join()).await.ok();
    }
}

fn open(storage: Storage) -> Result<Database, StartError> {
    match storage {
        Storage::Memory => Database::memory().map_err(|error| StartError::Memory(error.to_string())),
        Storage::File(path) => Database::new(&path.to_string_lossy())
            .map_err(|error| StartError::File { path, reason: error.to_string() }),
    }
}

async fn serve(
    listener: std::net::TcpListener,
    database: Database,
    sweeps: bool,
    stopped: oneshot::Receiver<()>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return error!(%error, "DynamoDB cannot listen"),
    };
    let sweeper = sweeps.then(|| tokio::spawn(sweep(database.clone())));
    let shutdown = async { stopped.await.unwrap_or_default() };
    let router = Router::new()
        .route("/", post(operations::answer))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(database);
    if let Err(error) = axum::serve(listener, guarded(router)).with_graceful_shutdown(shutdown).await {
        error!(%error, "DynamoDB stopped");
    }
    if let Some(sweeper) = sweeper {
        sweeper.abort();
    }
}

async fn sweep(database: Database) {
    let mut ticks = interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let database = database.clone();
        match spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(removed)) => debug!(removed, "expired items are removed"),
            Ok(Err(error)) => error!(%error, "expired items could not be removed"),
            Err(_) => return,
        }
    }
}
