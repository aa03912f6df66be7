//! Executions that run, and the operations on them over HTTP.

use std::{
    io, mem,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use gatehouse_domain::clock::{Clock, IdSource};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    arn::Arns,
    engine::{Cell, Engine},
    execution::Execution,
    file::ExecutionsDirectory,
    machine::StateMachine,
    protocol::{
        DescribeExecution, Nothing, SendTaskFailure, SendTaskHeartbeat, SendTaskSuccess, StartExecution,
        StopExecution,
    },
    runner,
    tasks::Tasks,
};
use crate::{
    aws::{
        Account,
        json::{Dialect, Fault, JsonService, RunningService, answer, request, serve},
    },
    files::OpenError,
};

/// A Step Functions over one directory. Clones share everything; with the last of them goes what runs, as in
/// a crash.
#[derive(Clone)]
pub struct StepFunctions(Arc<Parts>);

struct Parts {
    engine: Arc<Engine>,
    runners: Mutex<Runners>,
}

/// What keeps executions going, once there is somebody to do the tasks.
#[derive(Default)]
struct Runners {
    tasks: Option<Arc<dyn Tasks>>,
    running: JoinSet<()>,
}

/// A Step Functions that is being served.
pub struct RunningStepFunctions {
    service: RunningService,
    step_functions: StepFunctions,
}

impl RunningStepFunctions {
    /// What the SDK is given as `endpoint_url`.
    pub fn endpoint_url(&self) -> String {
        self.service.endpoint_url()
    }

    /// Returns when the shutdown was asked for, every request has been answered, and no execution runs.
    pub async fn finished(self) {
        self.service.finished().await;
        self.step_functions.suspend().await;
    }
}

impl StepFunctions {
    /// Opens the executions under the directory `data`, which need not be there yet. None runs before
    /// [`Self::begin`].
    ///
    /// # Errors
    /// When what is kept cannot be read or understood.
    pub fn open(
        data: &Path,
        account: &Account,
        machines: Vec<StateMachine>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, OpenError> {
        let directory = ExecutionsDirectory::open(data)?;
        let engine = Engine::open(directory, machines, Arns::new(account), clock, ids)?;
        Ok(Self(Arc::new(Parts { engine: Arc::new(engine), runners: Mutex::default() })))
    }

    /// Lets every execution run, with `tasks` for what they have others do. Functions need the address of
    /// this service, so it is served before they exist.
    pub fn begin(&self, tasks: Arc<dyn Tasks>) {
        let mut runners = self.runners();
        runners.tasks = Some(tasks);
        for cell in self.0.engine.running() {
            runners.run(&self.0.engine, cell);
        }
    }

    /// The ARN of the machine `name`.
    pub fn arn(&self, name: &str) -> String {
        self.0.engine.arns.machine(name)
    }

    /// As [`serve`].
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve(
        self,
        address: SocketAddr,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<RunningStepFunctions> {
        let service = serve(self.clone(), self.engine().ids.clone(), address, shutdown).await?;
        Ok(RunningStepFunctions { service, step_functions: self })
    }

    /// Stops all that runs where it is, as a crash would; it continues when the directory is opened again.
    pub async fn suspend(&self) {
        let mut runners = mem::take(&mut *self.runners());
        runners.running.shutdown().await;
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Takes a new execution and lets it run, unless there is one of that name: then that one is answered,
    /// as an error.
    pub(super) fn add(&self, execution: Execution) -> io::Result<Result<Arc<Cell>, Arc<Cell>>> {
        // Held all the while, so that an execution is seen here or by `begin`, and not by both.
        let mut runners = self.runners();
        let added = self.0.engine.add(execution)?;
        if let Ok(cell) = &added {
            runners.run(&self.0.engine, cell.clone());
        }
        Ok(added)
    }

    fn runners(&self) -> MutexGuard<'_, Runners> {
        self.0.runners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JsonService for StepFunctions {
    const DIALECT: Dialect = Dialect {
        target: "AWSStepFunctions.",
        content_type: "application/x-amz-json-1.0",
        message: "message",
    };

    async fn call(&self, operation: &str, body: &[u8]) -> Result<Value, Fault> {
        match operation {
            "StartExecution" => {
                let StartExecution { state_machine_arn, name, input } = request(body)?;
                answer(&self.start_execution(&state_machine_arn, name.as_deref(), input.as_deref())?)
            }
            "StopExecution" => {
                let StopExecution { execution_arn, error, cause } = request(body)?;
                answer(&self.stop_execution(&execution_arn, error, cause)?)
            }
            "DescribeExecution" => {
                let DescribeExecution { execution_arn } = request(body)?;
                answer(&self.describe_execution(&execution_arn)?)
            }
            "SendTaskSuccess" => {
                let SendTaskSuccess { task_token, output } = request(body)?;
                self.send_task_success(&task_token, &output)?;
                answer(&Nothing {})
            }
            "SendTaskFailure" => {
                let SendTaskFailure { task_token, error, cause } = request(body)?;
                self.send_task_failure(&task_token, error, cause)?;
                answer(&Nothing {})
            }
            "SendTaskHeartbeat" => {
                let SendTaskHeartbeat { task_token } = request(body)?;
                self.send_task_heartbeat(&task_token)?;
                answer(&Nothing {})
            }
            _ => Err(Fault::unknown_operation(operation)),
        }
    }
}

impl Runners {
    fn run(&mut self, engine: &Arc<Engine>, cell: Arc<Cell>) {
        // Nobody waits for those that ended, so they are released here.
        while self.running.try_join_next().is_some() {}
        if let Some(tasks) = &self.tasks {
            self.running.spawn(runner::run(engine.clone(), cell, tasks.clone()));
        }
    }
}
