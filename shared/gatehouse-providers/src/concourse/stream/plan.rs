//! The plan of a build that is watched: asked for while its stream is opened, so that nobody waits for it
//! before an event needs it.

use std::sync::Arc;

use gatehouse_domain::{
    ci::{BuildId, CiError, Target},
    error::Chain,
};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::connection::OPERATION;
use crate::concourse::{
    client::{Client, Limits},
    error::{About, Call, Effect},
    path, wire,
};

/// How often a plan that does not come is asked for.
const MAX_TRIES: u32 = 3;

/// A plan that was asked for, or will be.
pub(super) struct AskedPlan {
    client: Arc<Client>,
    target: Target,
    build: BuildId,
    answer: Option<JoinHandle<Option<Value>>>,
    tries: u32,
}

impl AskedPlan {
    pub(super) fn new(client: Arc<Client>, target: Target, build: BuildId) -> Self {
        Self { client, target, build, answer: None, tries: 0 }
    }

    /// Asks for it, unless it was asked for, or came, or never will.
    pub(super) fn ask(&mut self) {
        if self.answer.is_none() && self.tries < MAX_TRIES {
            self.tries += 1;
            let asking = ask(self.client.clone(), self.target.clone(), self.build.clone());
            self.answer = Some(tokio::spawn(asking));
        }
    }

    /// The plan, once. Waits for it the first time; where it did not come, steps have no names until it does.
    pub(super) async fn take(&mut self) -> Option<Value> {
        let waits = self.tries == 1;
        let answer = self.answer.as_mut().filter(|answer| waits || answer.is_finished())?;
        let plan = answer.await.ok().flatten();
        self.answer = None;
        match plan {
            Some(_) => self.tries = MAX_TRIES,
            None => self.ask(),
        }
        plan
    }
}

impl Drop for AskedPlan {
    fn drop(&mut self) {
        if let Some(answer) = &self.answer {
            answer.abort();
        }
    }
}

async fn ask(client: Arc<Client>, target: Target, build: BuildId) -> Option<Value> {
    match plan(&client, &target, &build).await {
        Ok(plan) => Some(plan),
        // Steps without names are still steps.
        Err(error) => {
            tracing::debug!(error = %Chain(&error), "a build has no plan to show");
            None
        }
    }
}

async fn plan(client: &Client, target: &Target, build: &BuildId) -> Result<Value, CiError> {
    let target = path::pipeline_job(target, OPERATION)?;
    let call = Call { operation: OPERATION, about: About::Build(target, build), effect: Effect::Reads };
    let path = format!("/api/v1/builds/{}/plan", path::escape(&build.0));
    Ok(client.get::<wire::Plan>(&call, &path, Limits::list()).await?.plan)
}
