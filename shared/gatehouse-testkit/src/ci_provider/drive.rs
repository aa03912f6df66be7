//! Starting, waiting and reading, as the cases do it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use gatehouse_domain::ci::{
    Build, BuildId, CancelMode, Checkpoint, CiError, CiErrorKind, CiProvider, LogStream, Position, RunEvent,
    RunEventBody, RunStatus, StartKind, StartRequest, Target,
};

use super::bench::{Bench, Job};

/// After how long a test that hangs gives up.
const GIVE_UP: Duration = Duration::from_mins(1);

/// How often a run is looked at whose status is waited for.
const POLL: Duration = Duration::from_millis(10);

pub(super) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(GIVE_UP, what).await.expect("it happens before the test gives up")
}

/// A start that was prepared, as the domain does before it starts a run.
pub(super) struct Prepared {
    id: String,
    target: Target,
    kind: StartKind,
    checkpoint: Checkpoint,
}

impl Prepared {
    pub(super) async fn new(bench: &dyn Bench, job: Job, kind: StartKind) -> Result<Self, CiError> {
        Self::of_target(bench, bench.target(job), kind).await
    }

    pub(super) async fn of_target(
        bench: &dyn Bench,
        target: Target,
        kind: StartKind,
    ) -> Result<Self, CiError> {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let checkpoint = bench.provider().checkpoint(&target).await?;
        let id = format!("run_{}", COUNT.fetch_add(1, Ordering::SeqCst));
        Ok(Self { id, target, kind, checkpoint })
    }

    /// Starts the run once.
    pub(super) async fn start(&self, provider: &dyn CiProvider) -> Result<Build, CiError> {
        let environment = BTreeMap::new();
        in_time(provider.start(&self.request(&environment))).await
    }

    /// The runs that this start may have begun.
    pub(super) async fn found(&self, provider: &dyn CiProvider) -> Vec<BuildId> {
        let environment = BTreeMap::new();
        let found = in_time(provider.started_since(&self.request(&environment))).await.unwrap();
        found.into_iter().map(|build| build.id).collect()
    }

    fn request<'a>(&'a self, environment: &'a BTreeMap<String, String>) -> StartRequest<'a> {
        StartRequest {
            id: &self.id,
            target: &self.target,
            kind: &self.kind,
            environment,
            checkpoint: &self.checkpoint,
        }
    }
}

/// A run that was started.
pub(super) struct Started<'a> {
    bench: &'a dyn Bench,
    pub(super) target: Target,
    pub(super) id: BuildId,
}

impl<'a> Started<'a> {
    pub(super) async fn new(bench: &'a dyn Bench, job: Job) -> Self {
        Self::start(bench, job, StartKind::Trigger).await
    }

    pub(super) async fn start(bench: &'a dyn Bench, job: Job, kind: StartKind) -> Self {
        let prepared = Prepared::new(bench, job, kind).await.unwrap();
        let build = prepared.start(&*bench.provider()).await.unwrap();
        assert_eq!(build.target, prepared.target, "the run is one of the job");
        Self { bench, target: prepared.target, id: build.id }
    }

    pub(super) async fn build(&self) -> Build {
        in_time(self.bench.provider().build(&self.target, &self.id)).await.unwrap()
    }

    /// Waits until the run has ended.
    pub(super) async fn ended(&self) -> Build {
        self.when(RunStatus::is_terminal).await
    }

    /// Waits until the status is one that `is` holds of.
    pub(super) async fn when(&self, is: impl Fn(RunStatus) -> bool) -> Build {
        let provider = self.bench.provider();
        let poll = async {
            loop {
                let build = provider.build(&self.target, &self.id).await.unwrap();
                if is(build.status) {
                    return build;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        in_time(poll).await
    }

    /// Every event behind `after`, to the end.
    pub(super) async fn events(&self, after: Option<Position>) -> Result<Vec<RunEvent>, CiError> {
        let provider = self.bench.provider();
        in_time(provider.events(self.target.clone(), self.id.clone(), after).try_collect()).await
    }

    /// Returns when the run has written `text`, which must be before it ends.
    pub(super) async fn wrote(&self, text: &str) {
        let mut events = self.bench.provider().events(self.target.clone(), self.id.clone(), None);
        let mut seen = Vec::new();
        while !output(&seen).contains(text) {
            let event = in_time(events.next()).await.expect("the run writes it before its end");
            seen.push(event.unwrap());
        }
    }

    pub(super) async fn cancel(&self, mode: CancelMode) -> Result<(), CiError> {
        in_time(self.bench.provider().cancel(&self.target, &self.id, mode)).await
    }

    pub(super) fn rerun(&self) -> StartKind {
        StartKind::Rerun { build: self.id.clone() }
    }
}

/// What was written to standard output.
pub(super) fn output(events: &[RunEvent]) -> String {
    let logs = events.iter().filter_map(|event| match &event.body {
        RunEventBody::Log { stream: LogStream::Stdout, text, .. } => Some(text.as_str()),
        _ => None,
    });
    logs.collect()
}

/// The first thing that a stream of events says of a run that cannot be watched.
pub(super) async fn first_error(
    provider: Arc<dyn CiProvider>,
    target: Target,
    build: BuildId,
    after: Option<Position>,
) -> CiErrorKind {
    let mut events = provider.events(target, build, after);
    let first = in_time(events.next()).await.expect("the stream says why it is none");
    let kind = first.expect_err("the stream must not begin").kind;
    assert!(in_time(events.next()).await.is_none(), "an error ends the stream");
    kind
}
