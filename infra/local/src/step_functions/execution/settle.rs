//! What others cause in an execution: a task's end, a heartbeat, a stop.

use serde_json::Value;

use super::{
    Activity, Execution, Outcome, Position, Status,
    step::{Step, Transition, context, go, no_place, runtime},
};
use crate::step_functions::{
    machine::{
        errors::Retrier,
        state::{State, Task},
    },
    tasks::TaskError,
};

/// What became of a task.
#[derive(Clone)]
pub enum TaskEvent {
    /// It has been handed over to somebody who has the token.
    Delivered,
    /// Whoever has the token works on it.
    Heartbeat,
    Ended(Result<Value, TaskError>),
}

impl Step<'_> {
    /// Records what happened to the task with this token. `false` when that task is over already. A worker that was
    /// silent for too long is heard as long as the heartbeat's timeout has not been recorded.
    pub fn record(&self, execution: &mut Execution, token: &str, told: TaskEvent) -> bool {
        let Status::Running(position) = &mut execution.status else { return false };
        let Activity::Task(begun) = &mut position.activity else { return false };
        if begun.token != token || begun.times_out_at <= self.now {
            return false;
        }
        // Whoever reports has the token, even where the crash came before the answer to the call.
        begun.delivered = true;
        match told {
            TaskEvent::Delivered => {}
            TaskEvent::Heartbeat => self.reset_heartbeat(execution),
            TaskEvent::Ended(result) => {
                let transition = self.settle(position.clone(), &execution.name, result);
                self.arrive(execution, transition);
            }
        }
        true
    }

    /// Ends an execution that runs. The task that it has begun is not stopped, and its end is ignored.
    pub fn stop(&self, execution: &mut Execution, why: Option<TaskError>) {
        if execution.position().is_some() {
            self.arrive(execution, Err(Outcome::Aborted(why)));
        }
    }

    /// Follows a task's error: to another attempt, to a catcher's state, or to the end of the execution. In this
    /// order, as the States Language has it: what may be retried is not caught.
    pub(super) fn fail(&self, task: &Task, position: Position, error: TaskError) -> Transition {
        if let Some(again) = self.again(task, &position, &error) {
            return Ok(again);
        }
        let catcher = task.catch.iter().find(|catcher| catcher.error_equals.match_error(&error.error));
        let Some(catcher) = catcher else {
            return Err(Outcome::Failed(error));
        };
        let caught = serde_json::json!({ "Error": error.error, "Cause": error.cause });
        let data = catcher.result_path.put(position.data, caught);
        go(&catcher.next, data.ok_or_else(|| no_place(&position.state))?)
    }

    fn again(&self, task: &Task, position: &Position, error: &TaskError) -> Option<Position> {
        let matches = |retrier: &Retrier| retrier.error_equals.match_error(&error.error);
        let index = task.retry.iter().position(matches)?;
        let mut retried = position.retried.clone();
        retried.resize(task.retry.len(), 0);
        let earlier = retried[index];
        if earlier >= task.retry[index].max_attempts {
            return None;
        }
        retried[index] += 1;
        let until = self.now + task.retry[index].delay(earlier, self.chance());
        let activity = Activity::BackingOff { until, error: error.error.clone() };
        Some(Position { retried, activity, ..position.clone() })
    }

    fn settle(&self, position: Position, execution: &str, result: Result<Value, TaskError>) -> Transition {
        // The definition may be newer than the execution: a stack can be updated between two starts.
        let State::Task(task) = self.state(&position)? else {
            return Err(runtime(&position.state, "the definition does not have this task any more"));
        };
        // The error before `ResultSelector` and `ResultPath`, which are for results only.
        let result = match result {
            Ok(result) => result,
            Err(error) => return self.fail(task, position, error),
        };
        let result = match &task.result_selector {
            None => result,
            Some(selector) => {
                let selected = selector.evaluate(&result, &context(&position, "", execution));
                selected.map_err(|problem| runtime(&position.state, &problem))?
            }
        };
        let Position { state, data, .. } = position;
        go(&task.next, task.result_path.put(data, result).ok_or_else(|| no_place(&state))?)
    }

    /// The jitter of a retry, from 0 to 1.
    fn chance(&self) -> f64 {
        let [first, second, third, fourth, ..] = self.ids.random();
        f64::from(u32::from_be_bytes([first, second, third, fourth])) / f64::from(u32::MAX)
    }
}
