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
    /// Until the test releases it; preparation names this input, whose resource may be one that cannot be checked.
    Input {
        name: String,
        broken: bool,
    },
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
    /// The nodes of the plan, in their order.
    pub(super) nodes: Vec<Value>,
    /// The plan, where it is not that of `nodes`.
    pub(super) plan: Option<Value>,
    /// Whether steps wait for a worker.
    lacks_workers: bool,
    image: Image,
    ids: Ids,
}

/// What tasks run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Image {
    /// What the worker has.
    OfWorker,
    /// The version of a resource, which is looked for and fetched first.
    Unchecked,
    /// The same, which somebody has looked for of late.
    Checked,
}

/// Where the ids of steps come from: plain numbers in the plan, and below an `across` step its own.
#[derive(Clone, Debug)]
struct Ids {
    below: Option<String>,
    next: u32,
}

/// What follows a step, by its key in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    OnSuccess,
    OnFailure,
    OnError,
    OnAbort,
    Ensure,
}

impl Hook {
    fn key(self) -> &'static str {
        match self {
            Self::OnSuccess => "on_success",
            Self::OnFailure => "on_failure",
            Self::OnError => "on_error",
            Self::OnAbort => "on_abort",
            Self::Ensure => "ensure",
        }
    }
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
            nodes: Vec::new(),
            plan: None,
            lacks_workers: false,
            image: Image::OfWorker,
            ids: Ids { below: None, next: 0x0a0 },
        }
    }

    /// The check of a resource, which is told by its events.
    pub(super) fn check(id: &str, resource: &str) -> Self {
        let plan = json!({"id": id, "check": {"name": resource, "type": "mock"}});
        Self { plan: Some(json!({"schema": "exec.v2", "plan": plan})), ..Self::new() }
    }

    /// The steps that get an input, which what is got again behind its put is not.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().enumerate().filter_map(|(place, step)| {
            let is_put = |it: &Step| it.kind == StepKind::Put && it.name == step.name;
            (step.kind == StepKind::Get && !self.steps.iter().take(place).any(is_put)).then_some(step)
        })
    }

    /// The steps that put an output.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.kind == StepKind::Put)
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
        self.hold = Hold::Input { name: input.to_owned(), broken: false };
        self
    }

    /// Leaves the build pending because `input` has no version, since the check of its resource fails, until the test
    /// releases it.
    #[must_use]
    pub fn waits_for_broken_input(mut self, input: &str) -> Self {
        self.hold = Hold::Input { name: input.to_owned(), broken: true };
        self
    }

    /// Lets each step from here on wait for a worker, until the test releases it. The build has started then.
    #[must_use]
    pub fn without_workers(mut self) -> Self {
        self.lacks_workers = true;
        self
    }

    /// Gives tasks from here on an image that is fetched first, which has steps and events of its own since 7.0. The first
    /// of them looks for its version.
    #[must_use]
    pub fn with_image(mut self) -> Self {
        self.image = Image::Unchecked;
        self
    }

    /// The same, of an image whose version another build has looked for of late.
    #[must_use]
    pub fn with_checked_image(mut self) -> Self {
        self.image = Image::Checked;
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
        self.step_emit(&id, events::step_event("start-get", "1.0", &id));
        self.select_worker(&id);
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
        // What it runs is known once its inputs and its image are there.
        let unknown = json!({
            "platform": "", "image": "", "run": {"path": "", "args": null, "dir": ""}, "inputs": null,
        });
        self.step_emit(&id, events::timed_event("initialize-task", "4.0", &id).json("config", &unknown));
        self.fetch_image(&id);
        self.select_worker(&id);
        self.step_emit(&id, events::timed_event("start-task", "5.0", &id).json("config", &config));
        let task = body(TaskScript { origin: id.clone(), actions: Vec::new(), exit_status: Some(0) });
        self.actions.extend(task.actions);
        if let Some(exit_status) = task.exit_status {
            self.step_emit(&id, events::finish_task_event(&id, exit_status));
        }
        self
    }

    /// Sets a pipeline, which is another than before if `changed` says so.
    #[must_use]
    pub fn set_pipeline(mut self, name: &str, changed: bool) -> Self {
        let id = self.add_node("set_pipeline", &json!({"name": name, "team": "", "instance_vars": null}));
        self.begin(&id);
        self.step_emit(&id, events::log_event(&id, "stdout", &format!("setting pipeline: {name}\n")));
        self.step_emit(&id, events::set_pipeline_changed_event(&id, changed));
        self.step_emit(&id, events::log_event(&id, "stdout", "done\n"));
        self.end_well(&id);
        self
    }

    /// Reads a variable from a file.
    #[must_use]
    pub fn load_var(mut self, name: &str) -> Self {
        let id = self.add_node("load_var", &json!({"name": name}));
        self.begin(&id);
        self.step_emit(&id, events::log_event(&id, "stdout", &format!("var {name} fetched.\n")));
        self.step_emit(&id, events::log_event(&id, "stdout", &format!("added var {name} to build.\n")));
        self.end_well(&id);
        self
    }

    /// Sends a message to a prototype.
    #[must_use]
    pub fn run(mut self, message: &str, kind: &str) -> Self {
        let id = self.add_node("run", &json!({"message": message, "type": kind, "privileged": false}));
        self.begin(&id);
        self.end_well(&id);
        self
    }

    /// Does what `steps` says as steps of `in_parallel`, though one after the other.
    #[must_use]
    pub fn in_parallel(self, steps: impl FnOnce(Self) -> Self) -> Self {
        let (mut script, nodes) = self.inside(steps);
        script.add_node("in_parallel", &json!({"steps": nodes}));
        script
    }

    /// Makes several attempts, each as `step` says for its number from 1.
    #[must_use]
    pub fn retry(self, attempts: u32, step: impl Fn(u32, Self) -> Self) -> Self {
        let mut nodes = Vec::new();
        let script = (1..=attempts).fold(self, |script, attempt| {
            let (mut script, inside) = script.inside(|script| step(attempt, script));
            nodes.push(script.as_one(inside));
            script
        });
        let mut script = script;
        script.add_node("retry", &nodes.into());
        script
    }

    /// Plans what `steps` says, which does not come to pass.
    #[must_use]
    pub fn not_run(mut self, steps: impl FnOnce(Self) -> Self) -> Self {
        let (actions, image) = (std::mem::take(&mut self.actions), self.image);
        Self { actions, image, ..steps(self) }
    }

    /// Does `step`, whose failure does not matter.
    #[must_use]
    pub fn attempt(self, step: impl FnOnce(Self) -> Self) -> Self {
        let (mut script, nodes) = self.inside(step);
        let step = script.as_one(nodes);
        script.add_node("try", &json!({"step": step}));
        script
    }

    /// Does `step` and then `next`, which follows it as `hook` says; whether it would is for the caller to know.
    #[must_use]
    pub fn hooked(
        self,
        hook: Hook,
        step: impl FnOnce(Self) -> Self,
        next: impl FnOnce(Self) -> Self,
    ) -> Self {
        let (mut script, nodes) = self.inside(step);
        let step = script.as_one(nodes);
        let (mut script, nodes) = script.inside(next);
        let next = script.as_one(nodes);
        script.add_node(hook.key(), &json!({"step": step, hook.key(): next}));
        script
    }

    /// Does what `step` says for each of the combinations of values that `variables` get.
    #[must_use]
    pub fn across(
        mut self,
        variables: &[&str],
        combinations: &[Vec<Value>],
        step: impl Fn(&[Value], Self) -> Self,
    ) -> Self {
        let variables: Vec<_> = variables.iter().map(|name| json!({"name": name})).collect();
        let id = self.add_node("across", &json!({"vars": variables}));
        self.begin(&id);
        let (ids, before) = (self.ids.clone(), std::mem::take(&mut self.actions));
        let mut substeps = Vec::new();
        let mut script = self;
        for (index, values) in combinations.iter().enumerate() {
            script.ids = Ids { below: Some(format!("{id}/{index}")), next: 0 };
            let (inner, nodes) = script.inside(|script| step(values, script));
            script = inner;
            substeps.push(json!({"step": script.as_one(nodes), "values": values}));
        }
        script.ids = ids;
        let inside = std::mem::replace(&mut script.actions, before);
        script.step_emit(
            &id,
            events::timed_event("across-substeps", "1.0", &id)
                .json("substeps", &substeps)
                .since(Version::V7_4),
        );
        script.actions.extend(inside);
        script.end_well(&id);
        script
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
        self.steps.push(Step { kind, name: name.to_owned(), version: version.clone() });
        match kind {
            StepKind::Get => {
                let mut get = json!({"name": name, "type": "git", "resource": name});
                // Of what is put the version is not known beforehand.
                if self.outputs().all(|put| put.name != name) {
                    get["version"] = version.clone();
                }
                self.add_node("get", &get)
            }
            StepKind::Put => self.add_node("put", &json!({"name": name, "type": "git", "resource": name})),
            StepKind::Task => {
                self.add_node("task", &json!({"name": name, "privileged": false, "hermetic": false}))
            }
        }
    }

    /// Adds a node to the plan. Returns its id.
    fn add_node(&mut self, key: &'static str, body: &Value) -> String {
        let id = self.next_id();
        self.nodes.push(json!({"id": id, key: body}));
        id
    }

    fn next_id(&mut self) -> String {
        let Ids { below, next } = &mut self.ids;
        let id = match below {
            Some(step) => format!("{step}/{next}"),
            None => format!("64f{next:03x}"),
        };
        *next += 1;
        id
    }

    /// Does what `steps` says. Returns the nodes that it adds, which belong below another one.
    fn inside(mut self, steps: impl FnOnce(Self) -> Self) -> (Self, Vec<Value>) {
        let outside = std::mem::take(&mut self.nodes);
        let mut script = steps(self);
        let inside = std::mem::replace(&mut script.nodes, outside);
        (script, inside)
    }

    /// Several nodes as one.
    fn as_one(&mut self, mut nodes: Vec<Value>) -> Value {
        match nodes.pop() {
            Some(node) if nodes.is_empty() => node,
            last => {
                nodes.extend(last);
                json!({"id": self.next_id(), "do": nodes})
            }
        }
    }

    /// Looks for the image of a task and gets it, as steps below the task.
    fn fetch_image(&mut self, task: &str) {
        if self.image == Image::OfWorker {
            return;
        }
        let (check, get) = (format!("{task}/image-check"), format!("{task}/image-get"));
        for (kind, id, step) in [("image-check", &check, "check"), ("image-get", &get, "get")] {
            let plan = json!({"id": id, step: {"name": "image", "type": "mock"}});
            let event = events::timed_event(kind, "1.1", task).json("plan", &plan);
            self.step_emit(task, event.since(Version::V7_4));
        }
        let mut told = vec![events::step_event("initialize-check", "1.0", &check).json("name", &"image")];
        if self.image == Image::Unchecked {
            told.push(
                events::timed_event("selected-worker", "1.0", &check).json("selected_worker", &"worker-1"),
            );
            told.push(events::step_event("start", "1.0", &check));
        }
        told.push(events::step_event("finish", "1.0", &check).json("succeeded", &true));
        self.image = Image::Checked;
        for event in told {
            self.step_emit(&check, event.since(Version::V7_4));
        }
        let version = json!({"version": "v1"});
        let told = [
            events::step_event("initialize-get", "2.0", &get),
            events::step_event("start-get", "1.0", &get),
            events::timed_event("selected-worker", "1.0", &get).json("selected_worker", &"worker-1"),
            events::log_event(&get, "stderr", "\u{1b}[1;36mINFO: found existing resource cache\u{1b}[0m\n"),
            events::log_event(&get, "stderr", "\n"),
            events::step_event("finish-get", "5.1", &get).json("exit_status", &0).json("version", &version),
        ];
        for event in told {
            self.step_emit(&get, event.since(Version::V7_4));
        }
    }

    fn begin(&mut self, id: &str) {
        self.step_emit(id, events::step_event("initialize", "1.0", id));
        self.step_emit(id, events::step_event("start", "1.0", id));
    }

    fn end_well(&mut self, id: &str) {
        self.step_emit(id, events::step_event("finish", "1.0", id).json("succeeded", &true));
    }

    fn select_worker(&mut self, id: &str) {
        let selected = events::timed_event("selected-worker", "1.0", id).json("selected_worker", &"worker-1");
        self.step_emit(id, events::timed_event("waiting-for-worker", "1.0", id).since(Version::V7_4));
        if self.lacks_workers {
            self.actions.push(Action::WaitForRelease);
        }
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
