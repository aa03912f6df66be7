//! What happens in a build, as a stream that survives what happens to connections.
//!
//! While a build waits there is nothing to read, so it is polled. Then its event stream is opened, resumed
//! behind the last event whenever it is cut, and left at its end, since Concourse keeps it open. Nothing
//! grows with the length of the log: what is kept is one piece of the stream, one event, the names of
//! steps, and the few events that are next.
//!
//! What an event means depends on those before it: which steps there are, which of them have begun. So a
//! caller who goes on from a place is served from the first event on, and told what comes behind that place.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use gatehouse_domain::{
    ci::{BuildId, CiError, CiErrorKind, Position, Reason, RunEvent, RunEventBody, RunStatus, Target},
    clock::Clock,
};
use gatehouse_outbound::{Backoff, SseEvent};
use jiff::Timestamp;

use super::{
    connection::{Connection, MAX_EVENT, Next, OPERATION, ServerEvents},
    place::Place,
    plan::AskedPlan,
};
use crate::concourse::{
    client::Client,
    events::{self, Envelope, EventReader},
    runs, status,
    version::{FORCES_ABORTS, ServerVersion},
    wire,
};

/// After how much silence Concourse is asked whether the build has ended: a wake-up of the stream can get
/// lost there.
const WATCHDOG: Duration = Duration::from_mins(1);

/// After how much silence a build whose end was seen is left, where its stream does not say that it is over.
const QUIET_AFTER_END: Duration = Duration::from_secs(2);

/// The same of a build that may have been ended by force: its hooks run on, and the end of its stream comes behind what
/// they have to say.
const QUIET_AFTER_FORCE: Duration = WATCHDOG;

/// How often a waiting build is looked at first.
const FIRST_POLL: Duration = Duration::from_secs(1);

/// How often a waiting build is looked at in the long run: a build may wait for days.
const LAST_POLL: Duration = Duration::from_secs(5);

/// The pauses between tries that bring nothing, about 15 s in all. A connection may be cut at any time, so the
/// first new try is made at once.
const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(200), Duration::from_secs(5)).immediate(1).max_failures(8);

/// A build that is watched.
pub(super) struct Watch {
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
    target: Target,
    build: BuildId,
    /// What `new` could not make sense of.
    refusal: Option<CiError>,
    phase: Phase,
    /// Events to hand out before anything else is read.
    ready: VecDeque<RunEvent>,
    plan: AskedPlan,
    reader: EventReader,
    /// The number of the last event that was seen.
    last: Option<u64>,
    /// Up to where the caller has been told before.
    after: Option<Place>,
    /// Whether the event that ends the build was seen, and with what.
    ended: Option<RunStatus>,
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
    reported: Option<(String, Option<Reason>)>,
    pause: Duration,
    first: bool,
}

impl Watch {
    pub(super) fn new(
        client: Arc<Client>,
        clock: Arc<dyn Clock>,
        target: Target,
        build: BuildId,
        after: Option<&Position>,
    ) -> Self {
        let (after, refusal) = match after.map(Place::read).transpose() {
            Ok(after) => (after, None),
            Err(error) => (None, Some(error)),
        };
        let plan = AskedPlan::new(client.clone(), target.clone(), build.clone());
        Self {
            client,
            clock,
            target,
            build,
            refusal,
            phase: Phase::Waiting(Waiting { reported: None, pause: FIRST_POLL, first: true }),
            ready: VecDeque::new(),
            plan,
            reader: EventReader::default(),
            last: None,
            after,
            ended: None,
            silent_after_end: false,
            backoff: BACKOFF,
        }
    }

    pub(super) async fn next(&mut self) -> Result<RunEvent, CiError> {
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

    /// Looks at a build that waits, and reports what has changed.
    async fn wait(&mut self) -> Result<(), CiError> {
        self.pause_between_polls().await;
        let found = match runs::find(&self.client, &self.target, &self.build, OPERATION).await {
            Ok(found) => found,
            Err(error) => return self.try_again(error),
        };
        self.backoff.reset();
        if found.build.reap_time.is_some() {
            self.report_deleted_log(&found.build);
        } else if found.build.status == status::PENDING {
            let reason = runs::reason(&self.client, &found).await;
            self.report_waiting(found.build.status, reason);
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
        self.clock.sleep(pause).await;
    }

    fn report_waiting(&mut self, status: String, reason: Option<Reason>) {
        let Phase::Waiting(waiting) = &mut self.phase else { return };
        let now = Some((status.clone(), reason.clone()));
        if waiting.reported != now {
            waiting.reported = now;
            let common = status::common(&status);
            self.report(RunEventBody::Status { status: common, provider_status: status, reason }, None);
        }
    }

    /// Opens the stream behind the last event, and asks for the names of steps meanwhile.
    async fn open(&mut self) -> Result<(), CiError> {
        let pause = self.backoff.pause();
        if !pause.is_zero() {
            self.clock.sleep(pause).await;
        }
        // Only now: a build that waits has no plan yet.
        self.plan.ask();
        let connection = Connection::open(self.client.clone(), &self.target, &self.build, self.last)?;
        self.phase = Phase::Following(connection);
        Ok(())
    }

    /// Decides whether what failed is tried again: only where that may help, and has not failed too often.
    fn try_again(&mut self, error: CiError) -> Result<(), CiError> {
        let may_try = self.backoff.fail();
        if error.kind.is_retryable() && may_try { Ok(()) } else { Err(error) }
    }

    /// Takes what comes next of the stream.
    async fn follow(&mut self) -> Result<(), CiError> {
        match self.next_of_stream().await {
            Next::Opened(response) => {
                self.phase = Phase::Following(Connection::Open(Box::new(ServerEvents::new(response))));
                Ok(())
            }
            Next::Event(event) if event.name == "end" => self.reach_end().await,
            Next::Event(event) => {
                self.take(&event).await;
                Ok(())
            }
            Next::Lost(error) => self.reopen(error),
            Next::Silence => self.doubt_silence().await,
        }
    }

    async fn next_of_stream(&mut self) -> Next {
        let Phase::Following(connection) = &mut self.phase else { return Next::Lost(None) };
        // Most events come with others, and need no clock.
        if let Connection::Open(events) = connection
            && let Some(event) = events.ready()
        {
            return Next::Event(event);
        }
        let forces = |version: ServerVersion| !version.is_before(FORCES_ABORTS);
        let silence = match self.ended {
            None => WATCHDOG,
            Some(RunStatus::Cancelled) if self.client.version().is_some_and(forces) => QUIET_AFTER_FORCE,
            Some(_) => QUIET_AFTER_END,
        };
        tokio::select! {
            biased;
            next = connection.next() => next,
            () = self.clock.sleep(silence) => Next::Silence,
        }
    }

    /// Reports what an event means, unless it was reported before.
    async fn take(&mut self, event: &SseEvent) {
        let json = event.data.as_deref();
        let envelope = json.and_then(events::envelope);
        let number = envelope.as_ref().and_then(|it| it.number);
        let number = number.or_else(|| event.id.as_deref().and_then(|id| id.parse().ok()));
        // Before 7.4 a resumed stream can begin before the last event, since only a counter says where that was.
        if number.is_some() && number <= self.last {
            return;
        }
        self.backoff.reset();
        self.last = number.or(self.last);
        match (json, envelope) {
            (Some(json), Some(envelope)) => self.take_event(json, &envelope, number).await,
            // Not an event: Concourse's versions differ, and one that cannot be read must not end the log.
            (Some(_), None) => {}
            (None, _) => {
                let message = format!("an event of more than {MAX_EVENT} bytes was left out");
                self.tell(number, vec![(RunEventBody::Error { step: None, message }, None)]);
            }
        }
    }

    async fn take_event(&mut self, json: &[u8], envelope: &Envelope, number: Option<u64>) {
        // A plan that is slow holds back the steps that it names, and nothing before them.
        if envelope.names_steps()
            && let Some(plan) = self.plan.take().await
        {
            self.reader.add_plan(&plan);
        }
        let meanings = self.reader.read(&envelope.kind, json);
        // More events may follow this one, and `end` may get lost, so the watch ends with the stream or with silence.
        let ends = meanings.iter().find_map(|meaning| match &meaning.body {
            RunEventBody::Status { status, .. } if status.is_terminal() => Some(*status),
            _ => None,
        });
        self.ended = ends.or(self.ended);
        self.tell(number, meanings.into_iter().map(|meaning| (meaning.body, meaning.time)).collect());
    }

    /// Reports what event `number` told, as far as the caller was not told before.
    fn tell(&mut self, number: Option<u64>, told: Vec<(RunEventBody, Option<Timestamp>)>) {
        let count = told.len();
        let places = number.into_iter().flat_map(|number| Place::of_event(number, count)).map(Some);
        for ((body, time), place) in told.into_iter().zip(places.chain(std::iter::repeat(None))) {
            if place.is_none() || place > self.after {
                self.ready.push_back(RunEvent { position: place.map(Into::into), body, time });
            }
        }
    }

    /// Ends the watch where the stream ends. A stream without the event that ends the build is one that was
    /// resumed behind it, or whose events were deleted.
    async fn reach_end(&mut self) -> Result<(), CiError> {
        if self.ended.is_some() {
            self.report_end();
            return Ok(());
        }
        let client = &self.client;
        let build = runs::find(client, &self.target, &self.build, OPERATION).await?.build;
        if build.reap_time.is_some() {
            self.report_deleted_log(&build);
        } else if !status::common(&build.status).is_terminal() {
            return self.reopen(None);
        } else {
            self.report_status(&build, None);
            self.report_end();
        }
        Ok(())
    }

    /// Opens the stream again behind the last event, unless the build has ended and only silence is left,
    /// or too many tries brought nothing.
    fn reopen(&mut self, error: Option<CiError>) -> Result<(), CiError> {
        self.phase = Phase::Closed;
        let error = error.unwrap_or_else(|| {
            let base = self.client.base();
            let advice = format!("the event stream of Concourse at {base} is cut again and again");
            CiError::new(CiErrorKind::Unavailable, OPERATION, advice)
        });
        match self.try_again(error) {
            // Everything was reported but the end, which is known all the same.
            Err(_) if self.ended.is_some() => {
                self.report_end();
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Finds out what silence means: that everything was reported, that the build is still running, or that a wake-up was
    /// lost.
    /// Then a new connection brings the rest; when even that is silent, the build's own status has to do.
    async fn doubt_silence(&mut self) -> Result<(), CiError> {
        if self.ended.is_some() {
            self.report_end();
            return Ok(());
        }
        let client = &self.client;
        let build = match runs::find(client, &self.target, &self.build, OPERATION).await {
            Ok(found) => found.build,
            // The stream is still open, and the next silence asks again.
            Err(error) if error.kind.is_retryable() => return Ok(()),
            Err(error) => return Err(error),
        };
        if !status::common(&build.status).is_terminal() {
            return Ok(());
        }
        if std::mem::replace(&mut self.silent_after_end, true) {
            self.report_status(&build, None);
            self.report_end();
        } else {
            self.phase = Phase::Closed;
        }
        Ok(())
    }

    fn position(&self) -> Option<Position> {
        self.last.map(Place::behind_event).max(self.after).map(Into::into)
    }

    fn report(&mut self, body: RunEventBody, position: Option<Position>) {
        self.ready.push_back(RunEvent { position, body, time: None });
    }

    /// Reports the status of a build whose own events do not.
    fn report_status(&mut self, build: &wire::Build, reason: Option<Reason>) {
        let provider_status = build.status.clone();
        let status = status::common(&provider_status);
        self.report(RunEventBody::Status { status, provider_status, reason }, None);
    }

    fn report_end(&mut self) {
        for body in self.reader.end() {
            self.report(body, None);
        }
        self.report(RunEventBody::End, self.position());
    }

    /// Reports the end of a build whose events Concourse has deleted.
    fn report_deleted_log(&mut self, build: &wire::Build) {
        self.report_status(build, None);
        let message = "Concourse no longer has the log of this run".to_owned();
        self.report(RunEventBody::Error { step: None, message }, None);
        self.report_end();
    }
}
