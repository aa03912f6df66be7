//! A service, people, a clock and a workflow engine that a test moves.

use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use futures_util::FutureExt;
use jiff::Timestamp;
use serde_json::Value;

use super::memory::Memory;
use crate::{
    audit::Origin,
    caller::{Caller, Grant},
    catalog::{Category, DeployTarget, EnvironmentSpec, Lifecycle, Service, ServiceSpec},
    id::{OperationId, ServiceId},
    idempotency::Fingerprint,
    json::Object,
    name::EnvironmentName,
    operations::{
        TaskToken,
        change::WorkflowPorts,
        request::{Ask, OperationRequest, RequestError, Requested, request},
        workflow::{
            AnswerTask, Execution, NotReady, OverseeWorkflow, StartWorkflow, TaskAnswer, Workflow,
            WorkflowError,
        },
    },
    revision::Revision,
    test_support::{Hand, START},
};

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// So many seconds after the beginning.
pub(crate) fn after(seconds: i64) -> Timestamp {
    at(START + seconds)
}

pub(crate) fn person(name: &str, roles: &str) -> Caller {
    let grant = Grant::person(roles.parse().unwrap(), "s", Timestamp::UNIX_EPOCH);
    Caller { subject: name.into(), grant }
}

pub(crate) fn token(text: &str) -> TaskToken {
    TaskToken::new(text.to_owned()).unwrap()
}

/// An environment that a module provisions.
pub(crate) fn environment(name: &str) -> EnvironmentSpec {
    EnvironmentSpec {
        name: name.parse().unwrap(),
        category: Category::Dev,
        approval_required: false,
        approval_group: None,
        module: Some("example".parse().unwrap()),
        inputs: Object::from([("size".to_owned(), "small".into())]),
        ttl_hours: None,
        drift_hours: None,
        deploy: None,
    }
}

/// A service with `dev`, `prod`, which needs approval, and `short`, which lives for two hours.
pub(crate) fn service(id: &str) -> Service {
    let spec = ServiceSpec {
        project: "payments".parse().unwrap(),
        owner: "team-a".into(),
        description: None,
        repository: None,
        lifecycle: Lifecycle::Production,
        links: Vec::new(),
        environments: vec![
            environment("dev"),
            EnvironmentSpec { approval_required: true, ..environment("prod") },
            EnvironmentSpec { ttl_hours: Some(2), ..environment("short") },
        ],
        build_job: None,
        deploy: Some(DeployTarget::Webhook("https://deploy.example.com/hook".into())),
    };
    Service {
        id: id.parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        name: "shop".parse().unwrap(),
        spec,
        described: None,
        fingerprint: Fingerprint::of(&["shop"]),
        revision: Revision::unverified("r1".into()),
        created_at: after(0),
        created_by: "user:ada".into(),
        updated_at: after(0),
        updated_by: "user:ada".into(),
    }
}

/// A workflow engine that remembers what it was told, and stands as a test says.
#[derive(Default)]
pub(crate) struct Engine(Mutex<EngineState>);

#[expect(clippy::struct_excessive_bools, reason = "each is a fault that one test switches on")]
#[derive(Default)]
pub(crate) struct EngineState {
    /// What it was told: `start op_1`, `succeed token {…}`, …
    pub heard: Vec<String>,
    /// How every execution stands.
    pub execution: Option<Execution>,
    /// Whether it answers.
    pub is_down: bool,
    /// Whether it refuses.
    pub refuses: bool,
    /// Whether nobody waits for anything any more.
    pub is_gone: bool,
    /// Why nothing can be begun here.
    pub not_ready: bool,
}

impl Engine {
    pub(crate) fn state(&self) -> MutexGuard<'_, EngineState> {
        self.0.lock().unwrap()
    }

    /// What it was told since it was asked last.
    pub(crate) fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.state().heard)
    }

    fn hear(&self, what: String) -> Result<TaskAnswer, WorkflowError> {
        let mut state = self.state();
        state.heard.push(what);
        match (state.is_down, state.refuses, state.is_gone) {
            (true, _, _) => Err(WorkflowError::Unavailable("the wire is cut".into())),
            (_, true, _) => Err(WorkflowError::Refused("no".into())),
            (_, _, true) => Ok(TaskAnswer::Expired),
            (_, _, false) => Ok(TaskAnswer::Accepted),
        }
    }
}

#[async_trait]
impl StartWorkflow for Engine {
    fn ready(&self, _workflow: Workflow) -> Result<(), NotReady> {
        if self.state().not_ready { Err(NotReady("there is no Terraform here".into())) } else { Ok(()) }
    }

    async fn start(&self, _workflow: Workflow, operation: &OperationId) -> Result<(), WorkflowError> {
        self.hear(format!("start {operation}")).map(drop)
    }
}

#[async_trait]
impl AnswerTask for Engine {
    async fn succeed(&self, token: &TaskToken, output: &Value) -> Result<TaskAnswer, WorkflowError> {
        self.hear(format!("succeed {} {output}", token.expose()))
    }

    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<TaskAnswer, WorkflowError> {
        self.hear(format!("fail {} {error}: {cause}", token.expose()))
    }

    async fn heartbeat(&self, token: &TaskToken) -> Result<TaskAnswer, WorkflowError> {
        self.hear(format!("heartbeat {}", token.expose()))
    }
}

#[async_trait]
impl OverseeWorkflow for Engine {
    async fn describe(
        &self,
        _workflow: Workflow,
        operation: &OperationId,
    ) -> Result<Option<Execution>, WorkflowError> {
        self.hear(format!("describe {operation}"))?;
        Ok(self.state().execution.clone())
    }

    async fn stop(
        &self,
        _workflow: Workflow,
        operation: &OperationId,
        _cause: &str,
    ) -> Result<(), WorkflowError> {
        self.hear(format!("stop {operation}")).map(drop)
    }
}

/// A table with one service in it, a clock and a workflow engine.
pub(crate) struct Site {
    pub memory: Memory,
    pub engine: Engine,
    pub hand: Hand,
    pub service: ServiceId,
    pub origin: Origin,
}

impl Default for Site {
    fn default() -> Self {
        let memory = Memory::default();
        let service = service("svc_1");
        let id = service.id.clone();
        memory.items().services.insert(id.clone(), service);
        Self {
            memory,
            engine: Engine::default(),
            hand: Hand::default(),
            service: id,
            origin: Origin::default(),
        }
    }
}

impl Site {
    pub(crate) fn workflow_ports(&self) -> WorkflowPorts<'_> {
        WorkflowPorts { start: Some(&self.engine), answer: Some(&self.engine), oversee: Some(&self.engine) }
    }

    /// Asks for something, as `caller`.
    pub(crate) fn asked(
        &self,
        caller: &Caller,
        environment: &str,
        ask: &Ask,
        key: Option<&str>,
    ) -> Result<Requested, RequestError> {
        let audit = crate::audit::AuditContext { caller, origin: &self.origin };
        let environment: EnvironmentName = environment.parse().unwrap();
        let key = key.map(|key| key.parse().unwrap());
        let wanted = OperationRequest {
            service: &self.service,
            environment: Some(&environment),
            ask,
            key: key.as_ref(),
        };
        let asked = request(&self.memory, &self.engine, &self.hand, &audit, &wanted);
        asked.now_or_never().unwrap()
    }

    /// Asks for an operation, which has to be recorded.
    pub(crate) fn requested(&self, environment: &str, ask: &Ask) -> OperationId {
        let ada = person("ada", "acme=developer");
        self.asked(&ada, environment, ask, None).unwrap().operation.id
    }

    /// Asks for environment's provisioning.
    pub(crate) fn provisioning(&self, environment: &str) -> OperationId {
        self.requested(environment, &Ask::Provision(Object::new()))
    }
}
