//! The HTTP side: one address, one path, the operation in a header.

use std::{
    io, mem,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use gatehouse_domain::clock::Clock;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

use super::{
    OpenError,
    arn::Arns,
    engine::{Cell, Engine},
    execution::Execution,
    file::ExecutionsDirectory,
    machine::StateMachine,
    protocol::{
        DescribeExecution, Fault, Nothing, SendTaskFailure, SendTaskHeartbeat, SendTaskSuccess,
        StartExecution, StopExecution, TARGET, answer, request,
    },
    runner,
    tasks::Tasks,
};
use crate::gateway::{ApiIdentity, Sources};

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
    address: SocketAddr,
    server: JoinHandle<()>,
    step_functions: StepFunctions,
}

impl RunningStepFunctions {
    /// What the SDK is given as `endpoint_url`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns when the shutdown was asked for, every request has been answered, and no execution goes on.
    pub async fn finished(self) {
        // An error means that it panicked, which is in the log.
        let _ended = self.server.await;
        self.step_functions.rest().await;
    }
}

impl StepFunctions {
    /// Opens the executions under the directory `data`, which need not be there yet. None goes on before
    /// [`Self::begin`].
    ///
    /// # Errors
    /// When what is kept cannot be read or understood.
    pub fn open(
        data: &Path,
        api: &ApiIdentity,
        machines: Vec<StateMachine>,
        clock: Arc<dyn Clock>,
        sources: Sources,
    ) -> Result<Self, OpenError> {
        let directory = ExecutionsDirectory::open(data)?;
        let engine = Engine::open(directory, machines, Arns::new(api), clock, sources)?;
        Ok(Self(Arc::new(Parts { engine: Arc::new(engine), runners: Mutex::default() })))
    }

    /// Lets every execution go on, with `tasks` for what they have others do. Functions need the address of
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

    /// Serves on `address` (port 0 takes a free one) until `shutdown` resolves.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve(
        self,
        address: SocketAddr,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<RunningStepFunctions> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/", post(handle)).with_state(self.clone());
        let server = axum::serve(listener, router).with_graceful_shutdown(shutdown);
        let server = tokio::spawn(async { server.await.unwrap_or_default() });
        Ok(RunningStepFunctions { address, server, step_functions: self })
    }

    /// Stops all that runs where it is; what is kept goes on when it is opened again.
    pub async fn rest(&self) {
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

    fn call(&self, operation: &str, body: &[u8]) -> Result<Value, Fault> {
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
            _ => {
                let message = format!("{operation} is not played locally.");
                Err(Fault::new("UnknownOperationException", message))
            }
        }
    }
}

impl Runners {
    fn run(&mut self, engine: &Arc<Engine>, cell: Arc<Cell>) {
        // Those that ended are forgotten here, or they would be kept for ever.
        while self.running.try_join_next().is_some() {}
        if let Some(tasks) = &self.tasks {
            self.running.spawn(runner::run(engine.clone(), cell, tasks.clone()));
        }
    }
}

async fn handle(State(step_functions): State<StepFunctions>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.strip_prefix(TARGET).unwrap_or(target);
    let (status, value) = match step_functions.call(operation, &body) {
        Ok(value) => (StatusCode::OK, value),
        Err(fault) => (status(&fault), answer(&fault).unwrap_or_default()),
    };
    let request_id = step_functions.engine().sources.uuid();
    let headers =
        [("content-type", "application/x-amz-json-1.0".to_owned()), ("x-amzn-requestid", request_id)];
    (status, headers, value.to_string()).into_response()
}

fn status(fault: &Fault) -> StatusCode {
    if fault.kind == Fault::internal().kind {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::BAD_REQUEST
    }
}
