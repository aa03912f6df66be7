//! The life of the function's process, and what it printed.

use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::error::FunctionError;

/// How long the outputs of an ended process are read on: a child of its own may still hold them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Whether the process lives, and what it printed.
#[derive(Clone, Debug)]
pub(super) struct Life {
    exit: watch::Receiver<Option<Result<ExitStatus, String>>>,
    kill: watch::Sender<bool>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Life {
    pub(super) fn watch(mut child: Child, tasks: &mut JoinSet<()>) -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let outputs = [child.stdout.take().map(boxed), child.stderr.take().map(boxed)];
        let mut readers = JoinSet::new();
        for output in outputs.into_iter().flatten() {
            readers.spawn(read_lines(output, lines.clone()));
        }
        let kill = watch::Sender::new(false);
        let mut killed = kill.subscribe();
        let (sender, exit) = watch::channel(None);
        tasks.spawn(async move {
            let killed = async { drop(killed.wait_for(|kill| *kill).await) };
            let ended = tokio::select! {
                status = child.wait() => Some(status),
                () = killed => None,
            };
            let status = match ended {
                Some(status) => status,
                None => match child.start_kill() {
                    Ok(()) => child.wait().await,
                    Err(error) => Err(error),
                },
            };
            // What it printed last is wanted most.
            let read = async { while readers.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(LAST_WORDS, read).await;
            sender.send_replace(Some(status.map_err(|error| error.to_string())));
        });
        Self { exit, kill, lines }
    }

    /// Waits until the process has ended.
    pub(super) async fn ended(&self) -> FunctionError {
        let mut exit = self.exit.clone();
        let status = match exit.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(status))) => status.to_string(),
            Ok(Some(Err(error))) => error.clone(),
            _ => "an unknown status".to_owned(),
        };
        let lines = self.lines();
        let last_lines = lines[lines.len().saturating_sub(10)..].join("\n");
        FunctionError::Exited { status, last_lines }
    }

    pub(super) fn kill(&self) {
        self.kill.send_replace(true);
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Output = Box<dyn AsyncRead + Send + Unpin>;

fn boxed(output: impl AsyncRead + Send + Unpin + 'static) -> Output {
    Box::new(output)
}

async fn read_lines(output: Output, lines: Arc<Mutex<Vec<String>>>) {
    let mut reader = BufReader::new(output).split(b'\n');
    while let Ok(Some(line)) = reader.next_segment().await {
        let line = String::from_utf8_lossy(&line).into_owned();
        lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}
