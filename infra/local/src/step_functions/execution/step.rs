//! One step on: what the time alone brings about.

use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use gatehouse_domain::clock::IdSource;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Activity, Begun, Execution, Outcome, Position, Status};
use crate::step_functions::{
    machine::{
        StateMachine,
        errors::{DATA_LIMIT, HEARTBEAT_TIMEOUT, RUNTIME, TIMEOUT},
        expression::Context,
        state::{Pass, Resource, State, Task},
    },
    tasks::TaskError,
};

/// A state's data may have as many bytes.
pub const MAX_DATA: usize = 262_144;

/// Where an execution is next, or how it ended.
pub(super) type Transition = Result<Position, Outcome>;

/// What one step of an execution depends on.
pub struct Step<'a> {
    pub machine: &'a StateMachine,
    pub now: Timestamp,
    pub ids: &'a dyn IdSource,
}

/// What is to be done after a step.
pub enum Next {
    /// It took a step: keep it, and take the next.
    Continue,
    /// Nothing happens by itself before then.
    Until(Timestamp),
    Ended,
}

/// A task to begin.
pub struct Call {
    pub token: String,
    pub resource: Resource,
    pub parameters: Value,
}

impl Step<'_> {
    /// A new execution, about to enter its first state.
    pub fn first(&self, name: &str, input: String, data: Value) -> Execution {
        let position = Position {
            state: self.machine.start_at().to_owned(),
            data,
            retried: Vec::new(),
            activity: Activity::Entering,
        };
        let mut execution = Execution {
            machine: self.machine.name().to_owned(),
            name: name.to_owned(),
            input,
            started_at: self.now,
            times_out_at: self.machine.timeout_seconds().map(|seconds| self.after(seconds)),
            status: Status::Running(position),
            log: Vec::new(),
        };
        execution.note(self.now, format!("started at {}", self.machine.start_at()));
        execution
    }

    /// Takes one step, if it is time for one.
    ///
    /// A step is one transition, never several: each is written to the file before the next one is taken, so that
    /// a crash repeats at most the last of them.
    pub fn advance(&self, execution: &mut Execution) -> Next {
        let Some(position) = execution.position() else { return Next::Ended };
        // Before the state itself: an execution whose own time is over starts and catches nothing any more.
        if execution.times_out_at.is_some_and(|end| end <= self.now) {
            self.arrive(execution, Err(Outcome::TimedOut));
            return Next::Continue;
        }
        if let Some(due) = due(position).filter(|due| *due > self.now) {
            return Next::Until(execution.times_out_at.map_or(due, |end| end.min(due)));
        }
        let transition = self.pass(position.clone(), &execution.name);
        self.arrive(execution, transition);
        Next::Continue
    }

    /// The task that the execution has begun and that may not have been delivered yet.
    pub fn call(&self, execution: &Execution) -> Option<Call> {
        let position = execution.position()?;
        let begun = position.task().filter(|begun| !begun.delivered)?;
        let Some(State::Task(task)) = self.machine.state(&position.state) else { return None };
        let context = context(position, &begun.token, &execution.name);
        // Evaluated again rather than kept: it follows from what is kept, and it succeeded when the task was begun.
        let parameters = task.parameters.evaluate(&position.data, &context).ok()?;
        Some(Call { token: begun.token.clone(), resource: task.resource, parameters })
    }

    /// Takes account of the time in which an execution was only a file: a task that is begun again has its whole
    /// time, and no worker is silent for a time in which it could not be heard. Waits and the timeouts of tasks
    /// that were delivered run on, as they do on AWS.
    pub fn resume(&self, execution: &mut Execution) {
        if let Some((task, begun)) = self.begun(execution).filter(|(_, begun)| !begun.delivered) {
            begun.times_out_at = self.after(task.timeout_seconds);
        }
        self.reset_heartbeat(execution);
    }

    /// The worker of the task, if there is one, has until a whole heartbeat from now.
    pub fn reset_heartbeat(&self, execution: &mut Execution) {
        if let Some((task, begun)) = self.begun(execution) {
            begun.silent_until = task.heartbeat_seconds.map(|seconds| self.after(seconds));
        }
    }

    /// Moves the execution to where the transition leads.
    pub(super) fn arrive(&self, execution: &mut Execution, transition: Transition) {
        let before = execution.position().map(|position| position.state.clone()).unwrap_or_default();
        let (status, what) = match transition {
            Ok(position) => {
                let what = position.describe(&before);
                (Status::Running(position), what)
            }
            Err(outcome) => {
                let what = format!("{before}: the execution {}", outcome.describe());
                (Status::Ended { at: self.now, outcome }, what)
            }
        };
        tracing::debug!(machine = execution.machine, execution = execution.name, "{what}");
        execution.note(self.now, what);
        execution.status = status;
    }

    /// The state of the definition that the execution is in.
    pub(super) fn state(&self, position: &Position) -> Result<&State, Outcome> {
        let state = self.machine.state(&position.state);
        state.ok_or_else(|| runtime(&position.state, "the definition does not have this state any more"))
    }

    pub(super) fn after(&self, seconds: u32) -> Timestamp {
        self.now + Duration::from_secs(seconds.into())
    }

    fn begun<'a>(&'a self, execution: &'a mut Execution) -> Option<(&'a Task, &'a mut Begun)> {
        let Status::Running(position) = &mut execution.status else { return None };
        let Some(State::Task(task)) = self.machine.state(&position.state) else { return None };
        let Activity::Task(begun) = &mut position.activity else { return None };
        Some((task, begun))
    }

    fn pass(&self, position: Position, execution: &str) -> Transition {
        match (&position.activity, self.state(&position)?) {
            (Activity::Task(begun), State::Task(task)) => {
                // Both may be over by now. The timeout goes first: no heartbeat could have extended it.
                let error = if begun.times_out_at <= self.now { TIMEOUT } else { HEARTBEAT_TIMEOUT };
                self.fail(task, position, TaskError::new(error, ""))
            }
            (Activity::Waiting { .. }, State::Wait(wait)) => go(&wait.next, position.data),
            (_, state) => self.enter(state, position, execution),
        }
    }

    fn enter(&self, state: &State, position: Position, execution: &str) -> Transition {
        let wrong = |problem: String| runtime(&position.state, &problem);
        match state {
            State::Task(task) => self.begin(task, position, execution),
            State::Choice(choice) => {
                let next = choice.choose(&position.data).map_err(wrong)?;
                go(next, position.data)
            }
            State::Wait(wait) => {
                let until = self.after(wait.seconds(&position.data).map_err(wrong)?);
                Ok(Position { activity: Activity::Waiting { until }, ..position })
            }
            State::Pass(pass) => write(pass, position),
            State::Succeed => Err(Outcome::Succeeded { output: position.data }),
            State::Fail(fail) => Err(Outcome::Failed(TaskError::new(&fail.error, &fail.cause))),
        }
    }

    /// Only notes the task, with its token. It is called once that is in the file: after a crash in between, or
    /// while nobody has shown that the token arrived, it is called again with the same token.
    fn begin(&self, task: &Task, position: Position, execution: &str) -> Transition {
        let token = self.token(execution);
        let context = context(&position, &token, execution);
        // Evaluated for its errors, so that a task that cannot be called is never noted.
        let parameters = task.parameters.evaluate(&position.data, &context);
        parameters.map_err(|problem| runtime(&position.state, &problem))?;
        let begun = Begun {
            token,
            delivered: false,
            times_out_at: self.after(task.timeout_seconds),
            silent_until: task.heartbeat_seconds.map(|seconds| self.after(seconds)),
        };
        Ok(Position { activity: Activity::Task(begun), ..position })
    }

    /// Names the execution, so that it can be found by the token; nobody can guess the rest.
    fn token(&self, execution: &str) -> String {
        let random = HEXLOWER.encode(&self.ids.random());
        BASE64URL_NOPAD.encode(json!([self.machine.name(), execution, random]).to_string().as_bytes())
    }
}

impl Position {
    fn describe(&self, before: &str) -> String {
        match &self.activity {
            Activity::Entering => format!("{before}: goes to {}", self.state),
            Activity::Waiting { until } => format!("{before}: waits until {until}"),
            Activity::BackingOff { until, error } => format!("{before}: {error}, begun again at {until}"),
            Activity::Task(_) => format!("{before}: the task is begun"),
        }
    }
}

impl Outcome {
    fn describe(&self) -> String {
        match self {
            Self::Succeeded { .. } => "succeeded".to_owned(),
            Self::Failed(error) => format!("failed with {error}"),
            Self::TimedOut => "timed out".to_owned(),
            Self::Aborted(_) => "was stopped".to_owned(),
        }
    }
}

/// Leads to another state with `data`. The limit is checked here because every transition passes through.
pub(super) fn go(state: &str, data: Value) -> Transition {
    if data.to_string().len() > MAX_DATA {
        let cause = format!("the data for {state} is larger than {MAX_DATA} bytes");
        return Err(Outcome::Failed(TaskError::new(DATA_LIMIT, cause)));
    }
    Ok(Position { state: state.to_owned(), data, retried: Vec::new(), activity: Activity::Entering })
}

/// An error that nothing catches: the data is not what the definition takes it for.
pub(super) fn runtime(state: &str, problem: &str) -> Outcome {
    Outcome::Failed(TaskError::new(RUNTIME, format!("{state}: {problem}")))
}

/// A `ResultPath` that cannot be followed.
pub(super) fn no_place(state: &str) -> Outcome {
    runtime(state, "the ResultPath leads through something that is no object")
}

fn write(pass: &Pass, position: Position) -> Transition {
    let Position { state, data, .. } = position;
    let data = pass.result_path.put(data, pass.result.clone());
    go(&pass.next, data.ok_or_else(|| no_place(&state))?)
}

pub(super) fn context<'a>(position: &Position, token: &'a str, execution: &'a str) -> Context<'a> {
    Context { token, execution, retries: position.retried.iter().sum() }
}

/// When something is to be done, if not at once.
fn due(position: &Position) -> Option<Timestamp> {
    match &position.activity {
        Activity::Entering => None,
        Activity::Waiting { until } | Activity::BackingOff { until, .. } => Some(*until),
        Activity::Task(begun) => {
            let silent = begun.silent_until.unwrap_or(begun.times_out_at);
            Some(begun.times_out_at.min(silent))
        }
    }
}
