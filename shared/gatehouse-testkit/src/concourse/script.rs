//! What a build of the twin does: its steps, what they print and how it ends.

use std::time::Duration;

use serde_json::{Value, json};

use super::events::{self, Event};
use super::version::Version;

/// A build's status as Concourse names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Waiting to be scheduled.
    Pending,
    Started,
    Succeeded,
    /// A step said no.
    Failed,
    /// Concourse itself could not go on.
    Errored,
    Aborted,
}

impl Status {
    const ALL: [Self; 6] =
        [Self::Pending, Self::Started, Self::Succeeded, Self::Failed, Self::Errored, Self::Aborted];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Errored => "errored",
            Self::Aborted => "aborted",
        }
    }

    /// Tells whether the build is over.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::Started)
    }
}

/// What holds a build in `pending` beside pauses and the limit of builds in flight.
#[derive(Clone, Debug)]
pub(super) enum Hold {
    Nothing,
    /// The scheduler takes its time.
    For(Duration),
    /// Until the test releases it; preparation shows nothing that blocks.
    UntilReleased,
    /// Until the test releases it; preparation names this input.
    Input(String),
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    /// `origin` is the step at work, which an abort would interrupt.
    Emit {
        event: Event,
        origin: Option<String>,
    },
    Lines {
        origin: String,
        count: u64,
    },
    Sleep(Duration),
    WaitForRelease,
    Finish(Status),
    /// Ends the build, and leaves it to the events to say so.
    End(Status),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepKind {
    Get,
    Put,
    Task,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) id: String,
    pub(super) kind: StepKind,
    pub(super) name: String,
    pub(super) version: Value,
}

/// A build's doings, in order. Time in it is Tokio's, so a delay may be as small as a test likes.
///
/// A script that does not say how it ends ends `succeeded`.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) hold: Hold,
    pub(super) announces_start: bool,
    pub(super) steps: Vec<Step>,
    pub(super) actions: Vec<Action>,
    pub(super) event_id_step: u64,
    /// The plan, where it is not that of `steps`.
    pub(super) plan: Option<Value>,
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

impl Script {
    /// An empty script: the build starts and succeeds.
    pub fn new() -> Self {
        Self {
            hold: Hold::Nothing,
            announces_start: true,
            steps: Vec::new(),
            actions: Vec::new(),
            event_id_step: 1,
            plan: None,
        }
    }

    /// Does what was recorded, event by event as it stands; `plan` is the answer to `/plan`. A build whose
    /// stream was not recorded to its end ends `errored`, without an event.
    #[must_use]
    pub fn recorded(plan: Option<Value>, events: &[String]) -> Self {
        let status = |event: &String| {
            let event: Value = serde_json::from_str(event).ok()?;
            let word = event["data"]["status"].as_str()?;
            Status::ALL.into_iter().find(|status| status.as_str() == word && status.is_terminal())
        };
        let status = events.iter().rev().find_map(status).unwrap_or(Status::Errored);
        let mut script =
            events.iter().fold(Self::new().unannounced(), |script, event| script.verbatim(event));
        script.actions.push(Action::End(status));
        Self { plan, ..script }
    }

    /// Leaves the build pending for `delay` before it starts.
    #[must_use]
    pub fn pending_for(mut self, delay: Duration) -> Self {
        self.hold = Hold::For(delay);
        self
    }

    /// Leaves the build pending, with no reason to be seen, until the test releases it.
    #[must_use]
    pub fn stays_pending(mut self) -> Self {
        self.hold = Hold::UntilReleased;
        self
    }

    /// Leaves the build pending because `input` has no version, until the test releases it.
    #[must_use]
    pub fn waits_for_input(mut self, input: &str) -> Self {
        self.hold = Hold::Input(input.to_owned());
        self
    }

    /// Leaves out the `status: started` event.
    #[must_use]
    pub fn unannounced(mut self) -> Self {
        self.announces_start = false;
        self
    }

    /// Counts `event_id` in steps of `step`, so that it leaves the SSE id behind.
    #[must_use]
    pub fn event_id_step(mut self, step: u64) -> Self {
        self.event_id_step = step;
        self
    }

    /// Fetches `version` of a resource.
    #[must_use]
    pub fn get(mut self, name: &str, version: &Value) -> Self {
        let id = self.add_step(StepKind::Get, name, version);
        let finish =
            events::step_event("finish-get", "5.1", &id).json("exit_status", &0).json("version", version);
        self.step_emit(&id, events::step_event("initialize-get", "2.0", &id));
        self.select_worker(&id);
        self.step_emit(&id, events::step_event("start-get", "1.0", &id));
        self.step_emit(&id, finish);
        self
    }

    /// Creates `version` of a resource.
    #[must_use]
    pub fn put(mut self, name: &str, version: &Value) -> Self {
        let id = self.add_step(StepKind::Put, name, version);
        let finish =
            events::step_event("finish-put", "5.1", &id).json("exit_status", &0).json("version", version);
        self.step_emit(&id, events::step_event("initialize-put", "2.0", &id));
        self.select_worker(&id);
        self.step_emit(&id, events::step_event("start-put", "1.0", &id));
        self.step_emit(&id, finish);
        self
    }

    /// Runs a task that does what `body` says; it exits with 0 unless `body` says otherwise.
    #[must_use]
    pub fn task(mut self, name: &str, body: impl FnOnce(TaskScript) -> TaskScript) -> Self {
        let id = self.add_step(StepKind::Task, name, &Value::Null);
        let config = json!({
            "platform": "linux", "image": "",
            "run": {"path": "sh", "args": ["-c", "make"], "dir": ""}, "inputs": null,
        });
        self.step_emit(&id, events::timed_event("initialize-task", "4.0", &id).json("config", &config));
        self.select_worker(&id);
        self.step_emit(&id, events::timed_event("start-task", "5.0", &id).json("config", &config));
        let task = body(TaskScript { origin: id.clone(), actions: Vec::new(), exit_status: Some(0) });
        self.actions.extend(task.actions);
        if let Some(exit_status) = task.exit_status {
            self.step_emit(&id, events::finish_task_event(&id, exit_status));
        }
        self
    }

    /// Does nothing for `delay`.
    #[must_use]
    pub fn sleep(mut self, delay: Duration) -> Self {
        self.actions.push(Action::Sleep(delay));
        self
    }

    /// Waits until the test calls `release`; each call lets one such wait pass.
    #[must_use]
    pub fn wait_for_release(mut self) -> Self {
        self.actions.push(Action::WaitForRelease);
        self
    }

    /// Writes an `error` event that belongs to no step.
    #[must_use]
    pub fn error(mut self, message: &str) -> Self {
        self.emit(events::error_event("", message));
        self
    }

    /// Writes a `status` event without changing the build, as a forced abort can leave one behind.
    #[must_use]
    pub fn status_event(mut self, status: Status) -> Self {
        self.emit(events::status_event(status.as_str()));
        self
    }

    /// Writes an event of any type, version and data.
    #[must_use]
    pub fn event(mut self, kind: &str, version: &str, data: &Value) -> Self {
        self.emit(Event::with_data(kind, version, data));
        self
    }

    /// Writes `text` behind `data: ` as it stands, be it JSON or not.
    #[must_use]
    pub fn verbatim(mut self, text: &str) -> Self {
        self.emit(Event::verbatim(text));
        self
    }

    /// Ends the build. What follows is written after the terminal status.
    #[must_use]
    pub fn finish(mut self, status: Status) -> Self {
        self.actions.push(Action::Finish(status));
        self
    }

    fn add_step(&mut self, kind: StepKind, name: &str, version: &Value) -> String {
        let id = format!("64f{:03x}", 0x0a0 + self.steps.len());
        self.steps.push(Step { id: id.clone(), kind, name: name.to_owned(), version: version.clone() });
        id
    }

    fn select_worker(&mut self, id: &str) {
        let selected = events::timed_event("selected-worker", "1.0", id).json("selected_worker", &"worker-1");
        self.step_emit(id, events::timed_event("waiting-for-worker", "1.0", id).since(Version::V7_4));
        self.step_emit(id, selected);
    }

    fn emit(&mut self, event: Event) {
        self.actions.push(Action::Emit { event, origin: None });
    }

    fn step_emit(&mut self, origin: &str, event: Event) {
        self.actions.push(Action::Emit { event, origin: Some(origin.to_owned()) });
    }
}

/// What a task prints, and when.
#[derive(Debug)]
pub struct TaskScript {
    origin: String,
    actions: Vec<Action>,
    exit_status: Option<i32>,
}

impl TaskScript {
    /// Prints a chunk to standard output. Concourse adds nothing: lines end with `\r\n` if the text says so.
    #[must_use]
    pub fn log(self, payload: &str) -> Self {
        self.log_from("stdout", payload)
    }

    /// Prints a chunk to standard error.
    #[must_use]
    pub fn log_stderr(self, payload: &str) -> Self {
        self.log_from("stderr", payload)
    }

    /// Prints `count` numbered lines at once (`line 0`, `line 1`, …), made only when they are read.
    #[must_use]
    pub fn lines(mut self, count: u64) -> Self {
        self.actions.push(Action::Lines { origin: self.origin.clone(), count });
        self
    }

    /// Does nothing for `delay`.
    #[must_use]
    pub fn sleep(mut self, delay: Duration) -> Self {
        self.actions.push(Action::Sleep(delay));
        self
    }

    /// Waits until the test calls `release`; each call lets one such wait pass.
    #[must_use]
    pub fn wait_for_release(mut self) -> Self {
        self.actions.push(Action::WaitForRelease);
        self
    }

    /// Writes an `error` event of this step.
    #[must_use]
    pub fn error(mut self, message: &str) -> Self {
        let event = events::error_event(&self.origin, message);
        self.actions.push(Action::Emit { event, origin: Some(self.origin.clone()) });
        self
    }

    /// Sets the exit status of the task.
    #[must_use]
    pub fn exit(mut self, status: i32) -> Self {
        self.exit_status = Some(status);
        self
    }

    /// Leaves out the `finish-task` event, as when the step could not be run to its end.
    #[must_use]
    pub fn unfinished(mut self) -> Self {
        self.exit_status = None;
        self
    }

    fn log_from(mut self, source: &str, payload: &str) -> Self {
        let event = events::log_event(&self.origin, source, payload);
        self.actions.push(Action::Emit { event, origin: Some(self.origin.clone()) });
        self
    }
}
