//! What others tell of an execution: a task's end, a heartbeat, that it is to stop.

use serde_json::Value;

use super::{
    Activity, Execution, Outcome, Position, Status,
    step::{Onwards, Step, context, go, no_place, runtime},
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
pub enum Told {
    /// It has been handed over to somebody who has the token.
    Delivered,
    /// Whoever has the token works on it.
    Heartbeat,
    /// It ended.
    Ended(Result<Value, TaskError>),
}

impl Step<'_> {
    /// Takes what is told of the task with this token. `false` when that task is over already. Who was silent
    /// for too long is heard as long as nobody has noticed.
    pub fn tell(&self, execution: &mut Execution, token: &str, told: Told) -> bool {
        let Status::Running(position) = &mut execution.status else { return false };
        let Activity::Task(begun) = &mut position.activity else { return false };
        if begun.token != token || begun.times_out_at <= self.now {
            return false;
        }
        begun.delivered = true;
        match told {
            Told::Delivered => {}
            Told::Heartbeat => self.excuse(execution),
            Told::Ended(result) => {
                let onwards = self.settle(position.clone(), &execution.name, result);
                self.arrive(execution, onwards);
            }
        }
        true
    }

    /// Ends an execution that runs. Whatever it has begun goes on, and is not listened to any more.
    pub fn stop(&self, execution: &mut Execution, why: Option<TaskError>) {
        if execution.position().is_some() {
            self.arrive(execution, Err(Outcome::Aborted(why)));
        }
    }

    /// Deals with an error: tries again, goes on elsewhere, or ends the execution.
    pub(super) fn fail(&self, task: &Task, position: Position, error: TaskError) -> Onwards {
        if let Some(again) = self.again(task, &position, &error) {
            return Ok(again);
        }
        let catcher = task.catch.iter().find(|catcher| catcher.error_equals.match_error(&error.error));
        let Some(catcher) = catcher else {
            return Err(Outcome::Failed(error));
        };
        let told = serde_json::json!({ "Error": error.error, "Cause": error.cause });
        let data = catcher.result_path.put(position.data, told);
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

    fn settle(&self, position: Position, execution: &str, result: Result<Value, TaskError>) -> Onwards {
        let State::Task(task) = self.state(&position)? else {
            return Err(runtime(&position.state, "the definition does not have this task any more"));
        };
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

    /// From 0 to 1.
    fn chance(&self) -> f64 {
        let [first, second, third, fourth, ..] = self.ids.random();
        f64::from(u32::from_be_bytes([first, second, third, fourth])) / f64::from(u32::MAX)
    }
}
