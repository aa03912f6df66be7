//! Keeps one execution going until it ends.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::task::{JoinError, JoinSet, yield_now};
use tracing::error;

use super::{
    engine::{Cell, Engine},
    execution::{Call, Next, Told},
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
            Ok(Next::Go) => yield_now().await,
            Ok(Next::Ended) => break,
            Ok(Next::Until(time)) => {
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
                    Some(answer) = calls.open.join_next() => hear(&engine, &cell, answer).await,
                }
            }
            Err(error) => wait_for_disk(&engine, &error).await,
        }
    }
    // They are nobody's business any more, but nobody cuts a function short on AWS either.
    while calls.open.join_next().await.is_some() {}
}

/// The tasks that were begun and have not answered.
struct Calls {
    tasks: Arc<dyn Tasks>,
    open: JoinSet<(String, Told)>,
    /// The token of the last one, which is not begun twice by one runner.
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
            let told = AssertUnwindSafe(perform(&*tasks, call)).catch_unwind().await;
            (token, told.unwrap_or(Told::Ended(Err(unknown))))
        });
    }
}

/// Has a task done, or begun where a token tells its end.
async fn perform(tasks: &dyn Tasks, call: Call) -> Told {
    let Call { resource, mut parameters, .. } = call;
    let done = match resource {
        Resource::Worker => tasks.run_ecs_task(parameters).await.map(|()| Value::Null),
        Resource::Function | Resource::FunctionWithToken => {
            let payload = parameters["Payload"].take();
            tasks.invoke_lambda(parameters["FunctionName"].as_str().unwrap_or_default(), payload).await
        }
    };
    match done {
        Ok(_) if resource.takes_token() => Told::Delivered,
        // As the integration with Lambda wraps what a function answers.
        Ok(payload) => {
            Told::Ended(Ok(json!({ "ExecutedVersion": "$LATEST", "Payload": payload, "StatusCode": 200 })))
        }
        Err(error) => Told::Ended(Err(error)),
    }
}

fn unknown(resource: Resource) -> TaskError {
    let error = if resource.is_function() { "Lambda.Unknown" } else { "AmazonECS.Unknown" };
    TaskError::new(error, "the task panicked")
}

async fn hear(engine: &Engine, cell: &Cell, answer: Result<(String, Told), JoinError>) {
    // An error means that the runtime is going down.
    let Ok((token, told)) = answer else { return };
    while let Err(error) = engine.tell(cell, &token, told.clone()) {
        wait_for_disk(engine, &error).await;
    }
}

async fn wait_for_disk(engine: &Engine, error: &std::io::Error) {
    error!(%error, "an execution could not be written");
    engine.clock.sleep(WRITE_AGAIN_AFTER).await;
}
