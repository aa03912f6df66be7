//! Step Functions, as far as the state machines use it: each execution walks the deployed definition.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{executor::Cell, functions, world::World};
use crate::{
    id::OperationId,
    operations::workflow::{Execution, Workflow},
};

static PROVISION: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../../../../infra/state-machines/provision.asl.json");
    serde_json::from_str(text).unwrap()
});
static DEPLOY: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../../../../infra/state-machines/deploy.asl.json");
    serde_json::from_str(text).unwrap()
});

/// What came of a task: its output, or the name and cause of an error.
pub(super) type Outcome = Result<Value, (String, String)>;

/// The executions, and the tasks that wait for an answer.
#[derive(Default)]
pub(super) struct Engine {
    pub executions: BTreeMap<OperationId, Execution>,
    pub tasks: BTreeMap<String, Waiting>,
    tokens: u64,
}

/// A task that waits for an answer.
pub(super) struct Waiting {
    operation: OperationId,
    cell: Cell,
    outcome: Option<Outcome>,
    heard_at: Timestamp,
}

impl World {
    /// Whether the execution goes on.
    fn goes_on(&self, id: &OperationId) -> bool {
        self.engine().executions.get(id) == Some(&Execution::Running)
    }

    /// Begins an execution, unless there was one of this name.
    pub(super) fn begin_execution(self: &Arc<Self>, workflow: Workflow, id: &OperationId) {
        let mut engine = self.engine();
        if engine.executions.contains_key(id) {
            return;
        }
        engine.executions.insert(id.clone(), Execution::Running);
        drop(engine);
        let (world, id) = (self.clone(), id.clone());
        self.executor.spawn(async move { world.execute(workflow, &id).await });
    }

    /// Ends an execution that goes on.
    pub(super) fn end_execution(&self, id: &OperationId, how: Execution) {
        let mut engine = self.engine();
        if engine.executions.get(id) == Some(&Execution::Running) {
            engine.executions.insert(id.clone(), how);
        }
        let cells: Vec<_> =
            engine.tasks.values().filter(|task| task.operation == *id).map(|task| task.cell).collect();
        engine.tasks.retain(|_, task| task.operation != *id);
        drop(engine);
        for cell in cells {
            self.executor.ring(cell);
        }
    }

    /// Answers a waiting task. `false` when it does not wait any more.
    pub(super) fn answer_task(&self, token: &str, outcome: Outcome) -> bool {
        let mut engine = self.engine();
        let Some(task) = engine.tasks.get_mut(token).filter(|task| task.outcome.is_none()) else {
            return false;
        };
        task.outcome = Some(outcome);
        let cell = task.cell;
        drop(engine);
        self.executor.ring(cell);
        true
    }

    /// Takes a heartbeat of a waiting task. `false` when it does not wait any more.
    pub(super) fn beat(&self, token: &str) -> bool {
        let now = self.executor.now();
        let mut engine = self.engine();
        let Some(task) = engine.tasks.get_mut(token).filter(|task| task.outcome.is_none()) else {
            return false;
        };
        task.heard_at = now;
        true
    }

    async fn execute(self: &Arc<Self>, workflow: Workflow, id: &OperationId) {
        let machine: &Value = match workflow {
            Workflow::Provision => &PROVISION,
            Workflow::Deploy => &DEPLOY,
        };
        let deadline = self.executor.now() + seconds(&machine["TimeoutSeconds"]);
        let mut data = json!({ "operation_id": id });
        let mut name = machine["StartAt"].as_str().unwrap();
        while self.goes_on(id) {
            if self.executor.now() >= deadline {
                return self.end_execution(id, Execution::TimedOut);
            }
            let state = &machine["States"][name];
            let next = match state["Type"].as_str().unwrap() {
                "Task" => self.task(id, state, &mut data, deadline).await,
                "Choice" => Ok(choose(state, &data)),
                "Pass" => {
                    put(&mut data, state["ResultPath"].as_str(), state["Result"].clone());
                    Ok(&state["Next"])
                }
                "Wait" => {
                    let path = state["SecondsPath"].as_str();
                    let time = path.map_or(&state["Seconds"], |path| get(&data, path));
                    self.executor.pause(seconds(time)).await;
                    Ok(&state["Next"])
                }
                "Succeed" => return self.end_execution(id, Execution::Succeeded),
                "Fail" => {
                    let text = |name: &str| state[name].as_str().unwrap().to_owned();
                    Err((text("Error"), text("Cause")))
                }
                other => panic!("a state of type {other}"),
            };
            match next {
                Ok(next) => name = next.as_str().unwrap(),
                Err((error, cause)) => return self.end_execution(id, Execution::Failed { error, cause }),
            }
        }
    }

    /// Does a task, tries it again, and says which state comes next.
    async fn task<'a>(
        self: &Arc<Self>,
        id: &OperationId,
        state: &'a Value,
        data: &mut Value,
        deadline: Timestamp,
    ) -> Result<&'a Value, (String, String)> {
        let mut tries = BTreeMap::new();
        loop {
            let (error, cause) = match self.try_task(id, state, data, deadline).await {
                Ok(output) => {
                    let raw = match &state["ResultSelector"] {
                        Value::Null => output,
                        template => fill(template, &output, ""),
                    };
                    put(data, state["ResultPath"].as_str(), raw);
                    return Ok(&state["Next"]);
                }
                Err(failed) => failed,
            };
            if !self.goes_on(id) {
                return Err((error, cause));
            }
            let list = |name: &str| state[name].as_array().map(Vec::as_slice).unwrap_or_default();
            let retrier = list("Retry").iter().position(|retrier| catches(retrier, &error));
            if let Some(place) = retrier {
                let retrier = &list("Retry")[place];
                let count: &mut i32 = tries.entry(place).or_default();
                if i64::from(*count) < retrier["MaxAttempts"].as_i64().unwrap() {
                    let most = retrier["IntervalSeconds"].as_u64().unwrap() << count.unsigned_abs();
                    let most = most.min(retrier["MaxDelaySeconds"].as_u64().unwrap());
                    *count += 1;
                    let delay = self.executor.below(most * 1000 + 1);
                    self.executor.pause(Duration::from_millis(delay)).await;
                    continue;
                }
            }
            let Some(catcher) = list("Catch").iter().find(|catcher| catches(catcher, &error)) else {
                return Err((error, cause));
            };
            put(data, catcher["ResultPath"].as_str(), json!({ "Error": error, "Cause": cause }));
            return Ok(&catcher["Next"]);
        }
    }

    async fn try_task(
        self: &Arc<Self>,
        id: &OperationId,
        state: &Value,
        data: &Value,
        deadline: Timestamp,
    ) -> Outcome {
        let token = {
            let mut engine = self.engine();
            engine.tokens += 1;
            format!("task-{}", engine.tokens)
        };
        let cell = self.executor.cell();
        let waiting = Waiting { operation: id.clone(), cell, outcome: None, heard_at: self.executor.now() };
        self.engine().tasks.insert(token.clone(), waiting);
        let given = &state["Parameters"];
        let resource = state["Resource"].as_str().unwrap();
        if resource.contains("ecs:runTask") {
            let container = &given["Overrides"]["ContainerOverrides"][0];
            let variables = container["Environment"].as_array().unwrap().iter();
            let variables = variables.map(|variable| {
                let filled = fill(variable, data, &token);
                (filled["Name"].as_str().unwrap().to_owned(), filled["Value"].as_str().unwrap().to_owned())
            });
            functions::run_task(self, &variables.collect(), &token);
        } else {
            let waits = resource.ends_with("waitForTaskToken");
            functions::invoke(self, fill(&given["Payload"], data, &token), &token, waits);
        }
        let outcome = self.awaited(state, &token, cell, deadline).await;
        self.engine().tasks.remove(&token);
        outcome
    }

    async fn awaited(&self, state: &Value, token: &str, cell: Cell, deadline: Timestamp) -> Outcome {
        let late = self.executor.now() + seconds(&state["TimeoutSeconds"]);
        loop {
            let heard_at = match self.engine().tasks.get_mut(token) {
                None => return Err(("Stopped".into(), String::new())),
                Some(task) => match task.outcome.take() {
                    Some(outcome) => return outcome,
                    None => task.heard_at,
                },
            };
            let silent = state["HeartbeatSeconds"].as_u64().map(|time| heard_at + Duration::from_secs(time));
            let now = self.executor.now();
            if now >= late || now >= deadline {
                return Err(("States.Timeout".into(), String::new()));
            }
            if silent.is_some_and(|silent| now >= silent) {
                return Err(("States.HeartbeatTimeout".into(), String::new()));
            }
            let until = [Some(late), Some(deadline), silent].into_iter().flatten().min().unwrap();
            self.executor.heard(cell, until).await;
        }
    }
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().unwrap())
}

fn catches(rule: &Value, error: &str) -> bool {
    let names = rule["ErrorEquals"].as_array().unwrap();
    names.iter().any(|name| name == error || name == "States.ALL")
}

fn choose<'a>(state: &'a Value, data: &Value) -> &'a Value {
    let fits = |choice: &&Value| {
        let found = get(data, choice["Variable"].as_str().unwrap());
        let equals = |name: &str| choice.get(name).is_some_and(|wanted| wanted == found);
        let less = choice["NumericLessThan"].as_u64().zip(found.as_u64());
        equals("StringEquals") || equals("BooleanEquals") || less.is_some_and(|(most, found)| found < most)
    };
    let chosen = state["Choices"].as_array().unwrap().iter().find(fits);
    chosen.map_or(&state["Default"], |choice| &choice["Next"])
}

/// What is at `$.a.b`; null where nothing is.
fn get<'a>(data: &'a Value, path: &str) -> &'a Value {
    let names = path.trim_start_matches('$').split('.').filter(|name| !name.is_empty());
    names.fold(data, |place, name| &place[name])
}

/// Puts something at `$.a`.
fn put(data: &mut Value, path: Option<&str>, value: Value) {
    let name = path.unwrap().strip_prefix("$.").unwrap();
    data[name] = value;
}

/// A template, with what its `.$` fields stand for.
fn fill(template: &Value, data: &Value, token: &str) -> Value {
    let Value::Object(fields) = template else { return template.clone() };
    let filled = fields.iter().map(|(name, value)| match name.strip_suffix(".$") {
        None => (name.clone(), fill(value, data, token)),
        Some(name) => {
            let path = value.as_str().unwrap();
            let formatted = path.strip_prefix("States.Format('{}', ").and_then(|rest| rest.strip_suffix(')'));
            let found = match (path, formatted) {
                ("$$.Task.Token", _) => Value::from(token),
                (_, Some(path)) => Value::from(get(data, path).to_string()),
                (path, None) => get(data, path).clone(),
            };
            (name.to_owned(), found)
        }
    });
    Value::Object(filled.collect::<Map<_, _>>())
}
