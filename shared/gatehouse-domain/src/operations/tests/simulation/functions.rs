//! What state machines begin: functions, which may die, and workers.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    ci::PretendCi,
    machine::Outcome,
    worker::Worker,
    world::{Fate, Line, World},
};
use crate::{
    id::OperationId,
    operations::{
        DeployError, Followed, Phase, TaskToken, call_webhook, follow_run,
        steer::{self, SteerError},
        trigger_run,
    },
};

fn failed(name: &str) -> Outcome {
    Err((name.to_owned(), "pretended".to_owned()))
}

/// Invokes a function. What it answers is the outcome of the task; where that waits for a token, only what
/// went wrong is.
pub(super) fn invoke(world: &Arc<World>, payload: Value, token: &str, waits: bool) {
    let token = token.to_owned();
    let fate = world.fate();
    if fate != Fate::Fine {
        let (world, token) = (world.clone(), token.clone());
        let error = if fate == Fate::LostBefore {
            "Lambda.TooManyRequestsException"
        } else {
            "Lambda.SdkClientException"
        };
        world.clone().executor.spawn(async move {
            world.travel().await;
            world.answer_task(&token, failed(error));
        });
    }
    if fate == Fate::LostBefore {
        return;
    }
    let (dying, dying_token) = (world.clone(), token.clone());
    let on_death = move || {
        dying.saw("a function died");
        dying.answer_task(&dying_token, failed("Runtime.ExitError"));
    };
    let begun = world.clone();
    let task = async move {
        begun.travel().await;
        match command(&begun, &payload).await {
            Ok(_) if waits => {}
            Ok(answer) => {
                begun.answer_task(&token, Ok(json!({ "Payload": answer })));
            }
            Err(error) => {
                begun.answer_task(&token, Err(error));
            }
        }
    };
    world.executor.spawn_mortal(task, on_death);
}

fn from_steer(error: &SteerError) -> (String, String) {
    let cause = error.to_string();
    (error.word().to_owned(), cause)
}

fn from_deploy(error: &DeployError) -> (String, String) {
    let cause = error.to_string();
    let word = match error {
        DeployError::Step(error) => error.word(),
        DeployError::Unavailable(..) => "Unavailable",
        DeployError::Refused(_) => "Refused",
    };
    (word.to_owned(), cause)
}

fn followed(outcome: Result<Followed, DeployError>) -> Outcome {
    let Followed { ended, succeeded, wait_seconds } = outcome.map_err(|error| from_deploy(&error))?;
    Ok(json!({ "ended": ended, "succeeded": succeeded, "wait_seconds": wait_seconds }))
}

/// The commands, as the callbacks function and the deployer understand them.
async fn command(world: &Arc<World>, payload: &Value) -> Outcome {
    let text = |name: &str| payload[name].as_str().unwrap();
    let caught = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let id: OperationId = text("operation_id").parse().unwrap();
    let (store, clock) = (&**world, &**world);
    match text("command") {
        "begin_attempt" => {
            let phase = if text("phase") == "plan" { Phase::Plan } else { Phase::Apply };
            let begun = steer::begin_attempt(store, clock, &world.key, &id, phase)
                .await
                .map_err(|error| from_steer(&error))?;
            let token = begun.callback_token.expose_secret().to_owned();
            Ok(json!({ "attempt": begun.attempt, "callback_token": token }))
        }
        "await_approval" => {
            let token = TaskToken::new(text("task_token").to_owned()).unwrap();
            let line = Line(world.clone());
            steer::await_approval(store, clock, line.of_callbacks(), &id, &token)
                .await
                .map_err(|error| from_steer(&error))?;
            Ok(json!({}))
        }
        "admit" => {
            let admitted = steer::admit(store, clock, &id).await.map_err(|error| from_steer(&error))?;
            let by = if admitted.by_job { "job" } else { "webhook" };
            Ok(json!({ "approval_required": admitted.approval_required, "by": by }))
        }
        "finish" => {
            let operation = steer::finish(store, clock, &id).await.map_err(|error| from_steer(&error))?;
            Ok(json!({ "outcome": operation.status() }))
        }
        "fail" => {
            let ending = steer::fail(store, clock, &id, caught("/error/Error"), caught("/error/Cause"))
                .await
                .map_err(|error| from_steer(&error))?;
            Ok(json!({ "outcome": ending.as_str() }))
        }
        "trigger_run" => followed(trigger_run(store, &PretendCi(world.clone()), clock, &id).await),
        "follow_run" => followed(follow_run(store, &PretendCi(world.clone()), clock, &id).await),
        "call_webhook" => {
            let token = TaskToken::new(text("task_token").to_owned()).unwrap();
            let webhook = Line(world.clone());
            let called = call_webhook(store, &webhook, clock, &world.key, &id, &token).await;
            called.map_err(|error| from_deploy(&error))?;
            Ok(json!({}))
        }
        other => panic!("a command {other}"),
    }
}

/// Starts a worker, if everything goes well.
pub(super) fn run_task(world: &Arc<World>, variables: &BTreeMap<String, String>, token: &str) {
    let fate = world.fate();
    if fate != Fate::Fine {
        let (world, token) = (world.clone(), token.to_owned());
        let error = if fate == Fate::LostBefore { "ECS.ServerException" } else { "AmazonECS.Unknown" };
        world.clone().executor.spawn(async move {
            world.travel().await;
            world.answer_task(&token, failed(error));
        });
    }
    if fate != Fate::LostBefore {
        Worker::begin(world, variables);
    }
}
