//! A workflow engine that does nothing but remember.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use gatehouse_domain::{
    id::OperationId,
    operations::{
        TaskToken,
        workflow::{
            AnswerTask, Execution, NotReady, OverseeWorkflow, StartWorkflow, TaskAnswer, Workflow,
            WorkflowError,
        },
    },
};
use serde_json::Value;

/// A workflow engine in which every task waits and every execution runs, and which remembers its calls.
#[derive(Default)]
pub struct ScriptedEngine {
    calls: Mutex<Vec<String>>,
    not_ready: AtomicBool,
    down: AtomicBool,
}

impl ScriptedEngine {
    /// What it was called for since this was asked last, such as `start op_…` or `succeed task {…}`.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().expect("nobody panicked"))
    }

    /// From now on nothing can be begun here.
    pub fn is_not_ready(&self) {
        self.not_ready.store(true, Ordering::SeqCst);
    }

    /// Lets every call fail, or succeed again.
    pub fn is_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn call(&self, what: String) -> Result<(), WorkflowError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(WorkflowError::Unavailable("out of order".into()));
        }
        self.calls.lock().expect("nobody panicked").push(what);
        Ok(())
    }
}

#[async_trait]
impl StartWorkflow for ScriptedEngine {
    fn ready(&self, _: Workflow) -> Result<(), NotReady> {
        let not_ready = self.not_ready.load(Ordering::SeqCst);
        if not_ready { Err(NotReady("nothing is set up here".to_owned())) } else { Ok(()) }
    }

    async fn start(&self, workflow: Workflow, operation: &OperationId) -> Result<(), WorkflowError> {
        self.call(format!("start {workflow:?} {operation}"))
    }
}

#[async_trait]
impl AnswerTask for ScriptedEngine {
    async fn succeed(&self, token: &TaskToken, output: &Value) -> Result<TaskAnswer, WorkflowError> {
        self.call(format!("succeed {} {output}", token.expose()))?;
        Ok(TaskAnswer::Accepted)
    }

    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<TaskAnswer, WorkflowError> {
        self.call(format!("fail {} {error}: {cause}", token.expose()))?;
        Ok(TaskAnswer::Accepted)
    }

    async fn heartbeat(&self, token: &TaskToken) -> Result<TaskAnswer, WorkflowError> {
        self.call(format!("heartbeat {}", token.expose()))?;
        Ok(TaskAnswer::Accepted)
    }
}

#[async_trait]
impl OverseeWorkflow for ScriptedEngine {
    async fn describe(&self, _: Workflow, _: &OperationId) -> Result<Option<Execution>, WorkflowError> {
        self.call("describe".to_owned())?;
        Ok(Some(Execution::Running))
    }

    async fn stop(&self, _: Workflow, operation: &OperationId, cause: &str) -> Result<(), WorkflowError> {
        self.call(format!("stop {operation}: {cause}"))
    }
}
