//! Reports of a worker, one after the other: what is taken keeps the record within its bounds and moves it on, what is
//! refused or repeated leaves it as it was.

use std::sync::{LazyLock, Mutex};

use async_trait::async_trait;
use callbacks::ReportBody;
use gatehouse_domain::{
    audit::Entry,
    catalog::SecretInputs,
    clock::Clock,
    id::{OperationId, ServiceId},
    idempotency::Fingerprint,
    json::Object,
    operations::{
        Asked, Attempt, BeginOutcome, Configuration, Effects, FindOperation, LOG_BYTES, LOG_LINES, MAX_LINKS,
        MAX_STEPS, Operation, Phase, SaveOperation, State, TaskToken, Work,
        attempt::CallbackKey,
        change::WorkflowPorts,
        report::{self, Callback, Taken},
        workflow::{AnswerTask, TaskAnswer, Workflow, WorkflowError},
    },
    revision::{EditOutcome, Revision},
    store::StoreError,
};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::system::{self, Still, ready};

static KEY: LazyLock<CallbackKey> = LazyLock::new(|| {
    CallbackKey::new(&"0123456789abcdef0123456789abcdef".into()).expect("it is as long as a key has to be")
});

/// One operation, and nothing else.
struct Saved(Mutex<Operation>);

impl Saved {
    fn now(&self) -> Operation {
        self.0.lock().expect("nobody panicked").clone()
    }
}

#[async_trait]
impl FindOperation for Saved {
    async fn find_operation(&self, id: &OperationId) -> Result<Option<Operation>, StoreError> {
        Ok(Some(self.now()).filter(|operation| operation.id == *id))
    }

    async fn find_operations(&self, _ids: &[OperationId]) -> Result<Vec<Operation>, StoreError> {
        unreachable!("a report is about one")
    }
}

#[async_trait]
impl SaveOperation for Saved {
    async fn begin_operation(
        &self,
        _operation: &Operation,
        _service: &Revision,
        _entry: &Entry,
    ) -> Result<BeginOutcome, StoreError> {
        unreachable!("a report begins none")
    }

    async fn save_operation(
        &self,
        operation: &Operation,
        _effects: &Effects<'_>,
    ) -> Result<EditOutcome, StoreError> {
        let mut saved = self.0.lock().expect("nobody panicked");
        if operation.version != saved.version + 1 {
            return Ok(EditOutcome::Conflict);
        }
        *saved = operation.clone();
        Ok(EditOutcome::Done)
    }
}

/// A workflow engine that takes everything.
struct Engine;

#[async_trait]
impl AnswerTask for Engine {
    async fn succeed(&self, _token: &TaskToken, _output: &Value) -> Result<TaskAnswer, WorkflowError> {
        Ok(TaskAnswer::Accepted)
    }

    async fn fail(
        &self,
        _token: &TaskToken,
        _error: &str,
        _cause: &str,
    ) -> Result<TaskAnswer, WorkflowError> {
        Ok(TaskAnswer::Accepted)
    }

    async fn heartbeat(&self, _token: &TaskToken) -> Result<TaskAnswer, WorkflowError> {
        Ok(TaskAnswer::Accepted)
    }
}

/// A report on each line, as JSON; a line that is none is shown as a token.
pub(crate) fn check(input: &[u8]) {
    let attempt = Attempt::new(1, Phase::Plan, system::now());
    let operation = operation(&attempt);
    let token = KEY.mint(&attempt.claims(&operation.id));
    let token = token.expose_secret();
    let saved = Saved(Mutex::new(operation));
    for line in input.split(|byte| *byte == b'\n').take(20) {
        match serde_json::from_slice::<ReportBody>(line) {
            Ok(body) => reported(&saved, token, body),
            Err(_) => shown(token, line),
        }
    }
}

fn reported(saved: &Saved, token: &str, body: ReportBody) {
    let Ok((operation, message)) = body.into_message() else { return };
    let callback = Callback { operation, workflow: Workflow::Provision, message };
    let before = saved.now();
    let sequence = |operation: &Operation| operation.attempt.as_ref().map(|attempt| attempt.sequence);
    match take(saved, token, &callback) {
        Some(Taken { applied: true, .. }) => {
            let after = saved.now();
            assert!(sequence(&after) > sequence(&before), "{after:?}");
            within_bounds(&after);
            let repeated = take(saved, token, &callback).expect("a repetition gets the same answer");
            assert!(!repeated.applied);
            assert_eq!(saved.now(), after, "a repetition changes nothing");
        }
        Some(_) | None => assert_eq!(saved.now(), before, "what is not taken changes nothing"),
    }
}

fn take(saved: &Saved, token: &str, callback: &Callback) -> Option<Taken> {
    let workflow = WorkflowPorts { start: None, answer: Some(&Engine), oversee: None };
    ready(report::report(saved, &Still, workflow, &KEY, token, callback)).ok()
}

fn within_bounds(operation: &Operation) {
    let Operation { log, steps, links, .. } = operation;
    assert!(log.len() <= LOG_LINES && log.iter().map(String::len).sum::<usize>() <= LOG_BYTES);
    assert!(steps.len() <= MAX_STEPS && links.len() <= MAX_LINKS);
    assert!(steps.iter().all(|step| step.percentage.is_none_or(|percentage| percentage <= 100)));
    let worked = steps.iter().all(|step| step.ended_at.is_none_or(|ended_at| ended_at >= step.started_at));
    assert!(worked && matches!(operation.state, State::Running { phase: Phase::Plan }), "{operation:?}");
}

/// Nothing is a token but the one that was made, and no piece of the line makes another one of it.
fn shown(token: &str, line: &[u8]) {
    for candidate in [line.to_vec(), crate::jwt::spliced(token, line)] {
        let Ok(text) = String::from_utf8(candidate) else { continue };
        assert_eq!(KEY.verify(&text, Still.now()).is_ok(), text == token);
    }
}

/// An operation that provisions, when its plan has begun.
fn operation(attempt: &Attempt) -> Operation {
    let now = system::now();
    let module = "example".parse().expect("a module");
    Operation {
        id: "op_00000000000000000000000000".parse().expect("an id"),
        service: ServiceId::new(&Still),
        service_name: "shop".parse().expect("a service"),
        tenant: "acme".parse().expect("a tenant"),
        project: "payments".parse().expect("a project"),
        environment: "dev".parse().expect("an environment"),
        work: Work::Provision(Configuration {
            module,
            artifact: None,
            inputs: Object::new(),
            secret_inputs: SecretInputs::default(),
            ttl_hours: None,
        }),
        approval_required: false,
        approval_group: None,
        requested: Asked::by("user:ada", now),
        fingerprint: Fingerprint::of(&["dev"]),
        deadline: now + std::time::Duration::from_hours(8),
        state: State::Running { phase: attempt.phase },
        cancel: None,
        verdict: None,
        attempt: Some(attempt.clone()),
        known_drift: None,
        plan: None,
        outputs: std::collections::BTreeMap::new(),
        steps: Vec::new(),
        log: Vec::new(),
        links: Vec::new(),
        run: None,
        failure: None,
        unchanged: false,
        pending_signal: None,
        listed_as: None,
        updated_at: now,
        version: 1,
    }
}
