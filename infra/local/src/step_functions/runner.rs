//! Keeps one execution going until it ends.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::task::{JoinError, JoinSet, yield_now};
use tracing::error;

use super::{
    engine::{Cell, Engine},
    execution::{Call, Next, TaskEvent},
    machine::state::Resource,
    tasks::{TaskError, Tasks},
};

/// How long to wait where an execution could not be written.
const WRITE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Keeps an execution going until it ends.
pub async fn run(engine: Arc<Engine>, cell: Arc<Cell>, tasks: Arc<dyn Tasks>) {
    let mut calls = Calls { tasks, open: JoinSet::new(), last: String::new() };
    loop {
        match engine.advance(&cell) {
            Ok(Next::Continue) => yield_now().await,
            Ok(Next::Ended) => break,
            Ok(Next::Until(time)) => {
                // Only now, with the task and its token in the file: what is called may be repeated by a crash, but
                // never called without a trace.
                if let Some(call) = engine.call(&cell) {
                    calls.begin(call);
                }
                tokio::select! {
                    paused = engine.pause_until(time, &cell) => {
                        if let Err(error) = paused {
                            wait_for_disk(&engine, &error).await;
                        }
                    }
                    () = cell.changed.notified() => {}
                    Some(answer) = calls.open.join_next() => record(&engine, &cell, answer).await,
                }
            }
            // A full disk pauses executions; it does not fail them.
            Err(error) => wait_for_disk(&engine, &error).await,
        }
    }
    // Their ends are ignored, but a function is not cut short on AWS either.
    while calls.open.join_next().await.is_some() {}
}

/// The tasks that were begun and have not answered.
struct Calls {
    tasks: Arc<dyn Tasks>,
    open: JoinSet<(String, TaskEvent)>,
    /// The token of the last one: the step that asks for it is taken several times, the call is made once.
    last: String,
}

impl Calls {
    fn begin(&mut self, call: Call) {
        if call.token == self.last {
            return;
        }
        self.last.clone_from(&call.token);
        let tasks = self.tasks.clone();
        self.open.spawn(async move {
            let (token, unknown) = (call.token.clone(), unknown(call.resource));
            let event = AssertUnwindSafe(perform(&*tasks, call)).catch_unwind().await;
            (token, event.unwrap_or(TaskEvent::Ended(Err(unknown))))
        });
    }
}

/// Calls a task. Returns its end, or that it was delivered where somebody reports the end with its token.
async fn perform(tasks: &dyn Tasks, call: Call) -> TaskEvent {
    let Call { resource, mut parameters, .. } = call;
    let done = match resource {
        Resource::Worker => tasks.run_ecs_task(parameters).await.map(|()| Value::Null),
        Resource::Function | Resource::FunctionWithToken => {
            let payload = parameters["Payload"].take();
            tasks.invoke_lambda(parameters["FunctionName"].as_str().unwrap_or_default(), payload).await
        }
    };
    match done {
        Ok(_) if resource.takes_token() => TaskEvent::Delivered,
        // As the integration with Lambda wraps what a function answers.
        Ok(payload) => TaskEvent::Ended(Ok(
            json!({ "ExecutedVersion": "$LATEST", "Payload": payload, "StatusCode": 200 }),
        )),
        Err(error) => TaskEvent::Ended(Err(error)),
    }
}

/// A function whose process dies is `Runtime.ExitError`, as Lambda itself calls it: Step Functions says `Lambda.Unknown`
/// only where Lambda gave the error no name.
fn unknown(resource: Resource) -> TaskError {
    let error = if resource.is_function() { "Runtime.ExitError" } else { "AmazonECS.Unknown" };
    TaskError::new(error, "the task panicked")
}

async fn record(engine: &Engine, cell: &Cell, answer: Result<(String, TaskEvent), JoinError>) {
    // An error means that the runtime is going down.
    let Ok((token, event)) = answer else { return };
    while let Err(error) = engine.record(cell, &token, event.clone()) {
        wait_for_disk(engine, &error).await;
    }
}

async fn wait_for_disk(engine: &Engine, error: &std::io::Error) {
    error!(%error, "an execution could not be written");
    engine.clock.sleep(WRITE_AGAIN_AFTER).await;
}
