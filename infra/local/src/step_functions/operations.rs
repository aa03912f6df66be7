//! What can be asked of Step Functions, as the API defines it.

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use serde_json::Value;

use super::{
    StepFunctions,
    engine::{Cell, Change},
    execution::{Execution, MAX_DATA, Outcome, Status, TaskEvent},
    protocol::{Description, Started, Stopped},
    tasks::TaskError,
};
use crate::aws::{ids::uuid, json::Fault};

/// What an execution's name cannot hold.
const NOT_IN_NAMES: &[u8] = b"<>{}[]?*\"#%\\^|~`$&,;:/";

/// Characters of an error's name, and of its cause.
const MAX_ERROR: usize = 256;
const MAX_CAUSE: usize = 32_768;

impl StepFunctions {
    /// Starts an execution. Asked again for one that runs with the same input, it answers the same.
    ///
    /// # Errors
    /// As the API defines them.
    pub fn start_execution(
        &self,
        machine_arn: &str,
        name: Option<&str>,
        input: Option<&str>,
    ) -> Result<Started, Fault> {
        let engine = self.engine();
        let machine = engine.arns.machine_of(machine_arn).ok_or_else(|| invalid_arn(machine_arn))?;
        let known = engine.machines.contains_key(machine);
        let missing = || Fault::new("StateMachineDoesNotExist", format!("{machine_arn} does not exist."));
        known.then_some(()).ok_or_else(missing)?;
        let name = name.map_or_else(|| uuid(&*engine.ids), str::to_owned);
        check_name(&name)?;
        let input = input.unwrap_or("{}");
        let data = json(input).map_err(|problem| Fault::new("InvalidExecutionInput", problem))?;
        let first = engine.step(machine)?.first(&name, input.to_owned(), data);
        let cell = match self.add(first)? {
            Ok(cell) => cell,
            Err(known) if is_same(&known.look(), input) => known,
            Err(_) => {
                let message = format!("The execution {name} exists already.");
                return Err(Fault::new("ExecutionAlreadyExists", message));
            }
        };
        let start_date = seconds(cell.look().started_at);
        Ok(Started { execution_arn: engine.arns.execution(machine, &name), start_date })
    }

    /// Stops an execution. One that has ended already stays as it is.
    ///
    /// # Errors
    /// As the API defines them.
    pub fn stop_execution(
        &self,
        arn: &str,
        error: Option<String>,
        cause: Option<String>,
    ) -> Result<Stopped, Fault> {
        let cell = self.execution(arn)?;
        let why = task_error(error, cause)?;
        self.engine().change(&cell, |step, execution| {
            let change = if execution.position().is_some() { Change::Lasting } else { Change::None };
            step.stop(execution, why);
            (change, ())
        })?;
        let stop_date = ended_at(&cell.look()).map(seconds).unwrap_or_default();
        Ok(Stopped { stop_date })
    }

    /// Describes an execution.
    ///
    /// # Errors
    /// As the API defines them.
    pub fn describe_execution(&self, arn: &str) -> Result<Description, Fault> {
        let cell = self.execution(arn)?;
        let execution = cell.look();
        let (status, output, error) = described(&execution.status);
        let (error, cause) = error.map(|error| (error.error, error.cause)).unzip();
        Ok(Description {
            execution_arn: arn.to_owned(),
            state_machine_arn: self.arn(&execution.machine),
            name: execution.name.clone(),
            status,
            start_date: seconds(execution.started_at),
            stop_date: ended_at(&execution).map(seconds),
            input: execution.input.clone(),
            output,
            error,
            cause: cause.filter(|cause| !cause.is_empty()),
        })
    }

    /// Ends the task that waits for a token well.
    ///
    /// # Errors
    /// As the API defines them.
    pub fn send_task_success(&self, token: &str, output: &str) -> Result<(), Fault> {
        let output = json(output).map_err(|problem| Fault::new("InvalidOutput", problem))?;
        self.record(token, TaskEvent::Ended(Ok(output)))
    }

    /// Ends the task that waits for a token badly.
    ///
    /// # Errors
    /// As the API defines them.
    pub fn send_task_failure(
        &self,
        token: &str,
        error: Option<String>,
        cause: Option<String>,
    ) -> Result<(), Fault> {
        let error = task_error(error, cause)?.unwrap_or_else(|| TaskError::new("", ""));
        self.record(token, TaskEvent::Ended(Err(error)))
    }

    /// Says that the task that waits for a token is being worked on. Its `TimeoutSeconds` stay as they are.
    ///
    /// # Errors
    /// As the API defines them.
    pub fn send_task_heartbeat(&self, token: &str) -> Result<(), Fault> {
        self.record(token, TaskEvent::Heartbeat)
    }

    fn record(&self, token: &str, event: TaskEvent) -> Result<(), Fault> {
        let invalid = || Fault::new("InvalidToken", "The task token is not one of this service.");
        let (machine, name) = named_by(token).ok_or_else(invalid)?;
        let missing = || Fault::new("TaskDoesNotExist", "There is no such task.");
        let cell = self.engine().find(&machine, &name).ok_or_else(missing)?;
        if self.engine().record(&cell, token, event)? {
            return Ok(());
        }
        Err(Fault::new("TaskTimedOut", "The task has timed out or has ended already."))
    }

    fn execution(&self, arn: &str) -> Result<std::sync::Arc<Cell>, Fault> {
        let (machine, name) = self.engine().arns.execution_of(arn).ok_or_else(|| invalid_arn(arn))?;
        let missing = || Fault::new("ExecutionDoesNotExist", format!("The execution {arn} does not exist."));
        self.engine().find(machine, name).ok_or_else(missing)
    }
}

/// The machine and the execution that a token names.
fn named_by(token: &str) -> Option<(String, String)> {
    let text = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
    let (machine, name, _random): (String, String, String) = serde_json::from_slice(&text).ok()?;
    Some((machine, name))
}

fn is_same(known: &Execution, input: &str) -> bool {
    known.position().is_some() && known.input == input
}

fn described(status: &Status) -> (&'static str, Option<String>, Option<TaskError>) {
    match status {
        Status::Running(_) => ("RUNNING", None, None),
        Status::Ended { outcome, .. } => match outcome {
            Outcome::Succeeded { output } => ("SUCCEEDED", Some(output.to_string()), None),
            Outcome::Failed(error) => ("FAILED", None, Some(error.clone())),
            Outcome::TimedOut => ("TIMED_OUT", None, None),
            Outcome::Aborted(error) => ("ABORTED", None, error.clone()),
        },
    }
}

fn ended_at(execution: &Execution) -> Option<Timestamp> {
    match execution.status {
        Status::Running(_) => None,
        Status::Ended { at, .. } => Some(at),
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

fn invalid_arn(arn: &str) -> Fault {
    Fault::new("InvalidArn", format!("`{arn}` is not an ARN of this service."))
}

fn json(text: &str) -> Result<Value, String> {
    if text.len() > MAX_DATA {
        return Err(format!("it is larger than {MAX_DATA} bytes"));
    }
    serde_json::from_str(text).map_err(|error| format!("it is not JSON, at column {}", error.column()))
}

fn task_error(error: Option<String>, cause: Option<String>) -> Result<Option<TaskError>, Fault> {
    if error.is_none() && cause.is_none() {
        return Ok(None);
    }
    let (error, cause) = (error.unwrap_or_default(), cause.unwrap_or_default());
    if error.chars().count() > MAX_ERROR || cause.chars().count() > MAX_CAUSE {
        let message = format!("error has at most {MAX_ERROR} characters, cause at most {MAX_CAUSE}.");
        return Err(Fault::validation(message));
    }
    Ok(Some(TaskError::new(error, cause)))
}

/// As on AWS, and only what is printable ASCII: names are names of files here.
fn check_name(name: &str) -> Result<(), Fault> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !NOT_IN_NAMES.contains(&byte);
    if (1..=80).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(Fault::new("InvalidName", "A name has 1 to 80 letters, digits, `-`, `_` and the like."))
}
