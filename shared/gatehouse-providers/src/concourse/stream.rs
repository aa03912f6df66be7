//! What happens in a build, as a stream that survives what happens to connections.
//!
//! While a build waits there is nothing to read, so it is polled. Then its event stream is opened, resumed
//! behind the last event whenever it is cut, and left at its end, since Concourse keeps it open. Nothing
//! grows with the length of the log: what is kept is one piece of the stream, one record, the names of
//! steps, and the few events that are next.

mod following;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::stream;
use gatehouse_domain::{
    ci::{BuildId, CiError, CiErrorKind, EventStream, Position, Reason, RunEvent, RunEventBody, Target},
    clock::Clock,
    error::Chain,
};
use gatehouse_outbound::Backoff;

use self::following::Connection;
use super::{
    ConcourseProvider,
    client::{Client, Limits},
    error::{About, Call, Effect},
    path,
    plan::StepNames,
    runs, status, wire,
};

/// How often a waiting build is looked at first.
const FIRST_POLL: Duration = Duration::from_secs(1);

/// How often a waiting build is looked at in the long run: a build may wait for days.
const LAST_POLL: Duration = Duration::from_secs(5);

/// The pauses between tries that bring nothing, about 15 s in all. A connection may be cut at any time, so the
/// first new try is made at once.
const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(200), Duration::from_secs(5)).immediate(1).max_failures(8);

const OPERATION: &str = "watch the run";

/// The events of `build` behind `after`.
pub(super) fn events(
    provider: Arc<ConcourseProvider>,
    target: Target,
    build: BuildId,
    after: Option<&Position>,
) -> EventStream {
    let watch = Watch::new(provider, target, build, after);
    Box::pin(stream::unfold(Some(watch), async |watch| {
        let mut watch = watch?;
        let item = watch.next().await;
        let goes_on = matches!(&item, Ok(event) if event.body != RunEventBody::End);
        Some((item, goes_on.then_some(watch)))
    }))
}

/// A build that is watched.
struct Watch {
    provider: Arc<ConcourseProvider>,
    target: Target,
    build: BuildId,
    /// What `new` could not make sense of.
    refusal: Option<CiError>,
    phase: Phase,
    /// Events that are ready: those of one step of the watch.
    ready: VecDeque<RunEvent>,
    names: Option<StepNames>,
    /// The number of the last event that was seen.
    last: Option<u64>,
    /// Whether a caller had seen events before.
    resumed: bool,
    /// Whether the event that ends the build was seen.
    ended: bool,
    /// Whether Concourse was found to say that the build has ended, while the stream was silent.
    silent_after_end: bool,
    /// Counts the tries in a row that bring nothing.
    backoff: Backoff,
}

/// How far a watch is.
enum Phase {
    /// The build waits, or nothing is known of it yet.
    Waiting(Waiting),
    /// The stream is to be opened.
    Closed,
    /// The stream is being opened, or open.
    Following(Connection),
}

/// A build that waits.
struct Waiting {
    told: Option<(String, Option<Reason>)>,
    pause: Duration,
    first: bool,
}

impl Watch {
    fn new(
        provider: Arc<ConcourseProvider>,
        target: Target,
        build: BuildId,
        after: Option<&Position>,
    ) -> Self {
        let last = after.map(|position| position.0.parse().map_err(|_| not_ours(position)));
        let (last, refusal) = match last.transpose() {
            Ok(last) => (last, None),
            Err(error) => (None, Some(error)),
        };
        Self {
            provider,
            target,
            build,
            refusal,
            phase: Phase::Waiting(Waiting { told: None, pause: FIRST_POLL, first: true }),
            ready: VecDeque::new(),
            names: None,
            last,
            resumed: after.is_some(),
            ended: false,
            silent_after_end: false,
            backoff: BACKOFF,
        }
    }

    fn clock(&self) -> &dyn Clock {
        &*self.provider.clock
    }

    async fn next(&mut self) -> Result<RunEvent, CiError> {
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal);
        }
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            match &self.phase {
                Phase::Waiting(_) => self.wait().await?,
                Phase::Closed => self.open().await?,
                Phase::Following(_) => self.follow().await?,
            }
        }
    }

    /// Looks at a build that waits, and tells what has changed.
    async fn wait(&mut self) -> Result<(), CiError> {
        self.pause_between_polls().await;
        let found = match runs::find(&self.provider.client, &self.target, &self.build, OPERATION).await {
            Ok(found) => found,
            Err(error) => return self.try_again(error),
        };
        self.backoff.reset();
        if found.build.reap_time.is_some() {
            self.tell_forgotten(&found.build);
        } else if found.build.status == status::PENDING {
            let reason = runs::reason(&self.provider.client, &found).await;
            self.tell_waiting(found.build.status, reason);
        } else {
            self.phase = Phase::Closed;
        }
        Ok(())
    }

    async fn pause_between_polls(&mut self) {
        let Phase::Waiting(waiting) = &mut self.phase else { return };
        if std::mem::take(&mut waiting.first) {
            return;
        }
        let pause = waiting.pause;
        waiting.pause = LAST_POLL.min(pause * 3 / 2);
        self.clock().sleep(pause).await;
    }

    fn tell_waiting(&mut self, status: String, reason: Option<Reason>) {
        let Phase::Waiting(waiting) = &mut self.phase else { return };
        let now = Some((status.clone(), reason.clone()));
        if waiting.told != now {
            waiting.told = now;
            let common = status::common(&status);
            self.tell(RunEventBody::Status { status: common, provider_status: status, reason }, None);
        }
    }

    /// Gets the names of steps, once, and opens the stream behind the last event.
    async fn open(&mut self) -> Result<(), CiError> {
        let pause = self.backoff.pause();
        if !pause.is_zero() {
            self.clock().sleep(pause).await;
        }
        if self.names.is_none() {
            self.names = Some(planned_names(&self.provider.client, &self.target, &self.build).await);
        }
        let connection = Connection::open(self.provider.clone(), &self.target, &self.build, self.last)?;
        self.phase = Phase::Following(connection);
        Ok(())
    }

    /// Whether what failed is worth another try: that it may help, and that not too many brought nothing.
    fn try_again(&mut self, error: CiError) -> Result<(), CiError> {
        let may_try = self.backoff.fail();
        if error.kind.is_retryable() && may_try { Ok(()) } else { Err(error) }
    }

    fn position(&self) -> Option<Position> {
        self.last.map(|number| Position(number.to_string()))
    }

    fn tell(&mut self, body: RunEventBody, position: Option<Position>) {
        self.ready.push_back(RunEvent { position, body, time: None });
    }

    /// Tells how a build stands whose own events do not.
    fn tell_status(&mut self, build: &wire::Build, reason: Option<Reason>) {
        let provider_status = build.status.clone();
        let status = status::common(&provider_status);
        self.tell(RunEventBody::Status { status, provider_status, reason }, None);
    }

    fn tell_end(&mut self) {
        self.tell(RunEventBody::End, self.position());
    }

    /// Tells the end of a build whose events Concourse has deleted.
    fn tell_forgotten(&mut self, build: &wire::Build) {
        self.tell_status(build, None);
        let message = "Concourse no longer has the log of this run".to_owned();
        self.tell(RunEventBody::Error { step: None, message }, None);
        self.tell_end();
    }
}

/// What the plan of a build calls its steps.
async fn planned_names(client: &Client, target: &Target, build: &BuildId) -> StepNames {
    let mut names = StepNames::default();
    let Ok(target) = path::pipeline_job(target, OPERATION) else { return names };
    let call = Call { operation: OPERATION, about: About::Build(target, build), effect: Effect::Reads };
    let path = format!("/api/v1/builds/{}/plan", path::escape(&build.0));
    match client.get::<wire::Plan>(&call, &path, Limits::list()).await {
        Ok(plan) => names.add_plan(&plan.plan),
        // Steps without names are still steps.
        Err(error) => tracing::debug!(error = %Chain(&error), "a build has no plan to show"),
    }
    names
}

fn not_ours(position: &Position) -> CiError {
    let advice = format!(
        "`{}` is not a position in a Concourse build",
        position.0.chars().take(40).collect::<String>()
    );
    CiError::new(CiErrorKind::Refused, OPERATION, advice)
}
