//! Workers and the receivers of webhooks: they report in order or not, once or twice, too late or never.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use secrecy::ExposeSecret;

use super::world::{Fate, Line, World};
use crate::{
    catalog::{ModuleArtifact, OutputValue, PlanSummary},
    id::OperationId,
    operations::{
        CallWebhook, Operation, Phase, TaskToken, Webhook, WebhookError,
        report::{Callback, Message, Progress, Report, ReportError, ReportRefused, Success, report},
        workflow::Workflow,
    },
};

/// How long a worker waits for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a word that matters is repeated, and one that does not.
const LONG: Duration = Duration::from_mins(10);
const SHORT: Duration = Duration::from_mins(1);

/// What a worker is answered.
#[derive(Debug, Clone)]
enum Answer {
    /// With the operation as it stands, of which a worker takes what it is to do.
    Taken {
        cancel: bool,
        operation: Box<Operation>,
    },
    OutOfOrder,
    Refused,
    Again,
}

/// A worker, or the receiver of a webhook.
#[derive(Clone)]
pub(super) struct Worker {
    world: Arc<World>,
    operation: OperationId,
    attempt: u32,
    phase: Phase,
    callback_token: String,
    /// The task that waits for a worker; who receives a webhook is not told.
    task_token: Option<TaskToken>,
    sequence: u64,
    /// The module that is planned or applied with.
    module: Option<ModuleArtifact>,
}

/// The module after so many edits, by the digest of its files.
pub(super) fn artifact(edits: u64) -> ModuleArtifact {
    ModuleArtifact::try_from(format!("{edits:064x}")).unwrap()
}

/// That somebody applies or deploys just now; over when dropped, which is also how a worker dies.
struct Applying {
    world: Arc<World>,
    number: u64,
}

impl Applying {
    fn begin(worker: &Worker) -> Self {
        let world = worker.world.clone();
        let operation = world.memory.operation(&worker.operation);
        let verdict = operation.verdict.as_ref();
        let agreed = !operation.approval_required || verdict.is_some_and(|said| said.approved);
        assert!(agreed, "{} is applied, and nobody agreed", worker.operation);
        let planned = operation.work.configuration().and_then(|given| given.artifact.as_ref());
        assert!(!worker.is_awaited(&operation) || worker.module.as_ref() == planned, "{operation:?}");
        let mut notes = world.notes();
        let number = notes.applying.keys().next_back().map_or(0, |last| last + 1);
        notes.applied.insert(worker.operation.clone());
        notes.applying.insert(number, (worker.operation.clone(), worker.attempt));
        drop(notes);
        world.check_applying();
        Self { world, number }
    }
}

impl Drop for Applying {
    fn drop(&mut self) {
        self.world.notes().applying.remove(&self.number);
    }
}

impl World {
    /// Of those who apply, at most one in each environment has an attempt that still counts.
    fn check_applying(&self) {
        let notes = self.notes();
        let items = self.memory.items();
        let mut current = BTreeMap::new();
        for (id, attempt) in notes.applying.values() {
            let operation = &items.operations[id];
            let counts = operation.attempt.as_ref().is_some_and(|now| now.number == *attempt);
            if operation.is_open() && counts {
                let place = (&operation.service, &operation.environment);
                let other = current.insert(place, (id, attempt));
                assert!(other.is_none(), "{id} and {other:?} are applied at the same time");
            }
        }
    }
}

impl Worker {
    /// Starts a worker with what its container is given; it may never come to be.
    pub(super) fn begin(world: &Arc<World>, variables: &BTreeMap<String, String>) {
        let text = |name: &str| variables[name].clone();
        let worker = Self {
            world: world.clone(),
            operation: text("GATEHOUSE_OPERATION_ID").parse().unwrap(),
            attempt: text("GATEHOUSE_ATTEMPT").parse().unwrap(),
            phase: if text("GATEHOUSE_PHASE") == "plan" { Phase::Plan } else { Phase::Apply },
            callback_token: text("GATEHOUSE_CALLBACK_TOKEN"),
            task_token: Some(TaskToken::new(text("GATEHOUSE_TASK_TOKEN")).unwrap()),
            sequence: 0,
            module: None,
        };
        worker.spawn();
    }

    /// Receives the call of a webhook, which may come again.
    fn receive(world: &Arc<World>, call: &CallWebhook) {
        let key = (call.operation.id.clone(), call.attempt);
        if !world.notes().called.insert(key) {
            return;
        }
        world.saw("a webhook was called");
        let worker = Self {
            world: world.clone(),
            operation: call.operation.id.clone(),
            attempt: call.attempt,
            phase: Phase::Deploy,
            callback_token: call.callback_token.expose_secret().to_owned(),
            task_token: None,
            sequence: 0,
            module: None,
        };
        worker.spawn();
    }

    fn spawn(self) {
        let world = self.world.clone();
        if !world.is_calm() && world.executor.once_in(20) {
            return;
        }
        let dying = world.clone();
        world.executor.spawn_mortal(self.work(), move || dying.saw("a worker died"));
    }

    fn next(&mut self, report: Report) -> Callback {
        self.sequence += 1;
        let task = self.task_token.as_ref().map(TaskToken::expose);
        let fingerprint = format!("{} {report:?} {task:?}", self.sequence);
        let deploys = self.phase == Phase::Deploy;
        Callback {
            operation: self.operation.clone(),
            workflow: if deploys { Workflow::Deploy } else { Workflow::Provision },
            message: Message { attempt: self.attempt, sequence: self.sequence, fingerprint, report },
        }
    }

    async fn work(mut self) {
        let world = self.world.clone();
        world.executor.pause(Duration::from_secs(world.executor.below(60))).await;
        let started = Report::Started { token: self.task_token.clone(), links: Vec::new() };
        let (mut cancelled, operation) = match self.say(started, LONG).await {
            Answer::Taken { cancel, operation } => (cancel, operation),
            Answer::OutOfOrder | Answer::Refused | Answer::Again => return,
        };
        if !self.find_module(&operation) {
            let reason = "there is no such module".to_owned();
            self.say(Report::Failure { reason, unchanged: true }, LONG).await;
            return;
        }
        let applying = (self.phase != Phase::Plan && !cancelled).then(|| Applying::begin(&self));
        for _ in 0..world.executor.below(5) {
            if cancelled {
                break;
            }
            let slow = !world.is_calm() && world.executor.once_in(15);
            let time = if slow { 400 } else { 10 + world.executor.below(60) };
            world.executor.pause(Duration::from_secs(time)).await;
            match self.mumble().await {
                Answer::Taken { cancel, .. } => cancelled = cancel,
                Answer::Refused => return,
                Answer::OutOfOrder | Answer::Again => {}
            }
        }
        drop(applying);
        let fails = !world.is_calm() && world.executor.once_in(12);
        let last = if cancelled || fails {
            Report::Failure { reason: "it did not work".into(), unchanged: false }
        } else {
            self.success()
        };
        self.say(last, LONG).await;
    }

    /// Whether the attempt is the operation's own, so that what comes of it counts.
    fn is_awaited(&self, operation: &Operation) -> bool {
        let number = operation.attempt.as_ref().map(|attempt| attempt.number);
        operation.is_open() && number == Some(self.attempt)
    }

    /// Takes the module as it is kept, and else as it stands. `false` where there is none.
    fn find_module(&mut self, operation: &Operation) -> bool {
        let Some(given) = operation.work.configuration() else { return true };
        let stands = self.world.notes().module;
        self.module = given.artifact.clone().or_else(|| stands.map(artifact));
        if given.artifact.is_some() && given.artifact != stands.map(artifact) {
            self.world.saw("a module was used that is not so any more");
        }
        if self.module.is_none() {
            self.world.saw("a module was gone");
        }
        self.module.is_some()
    }

    /// A heartbeat or progress, whose answer is waited for or not.
    async fn mumble(&mut self) -> Answer {
        let chance = self.world.executor.below(4);
        let report = if chance == 0 {
            Report::Progress(Progress { log: vec!["a line".into()], ..Progress::default() })
        } else {
            Report::Heartbeat
        };
        if chance != 1 {
            return self.say(report, SHORT).await;
        }
        let callback = self.next(report);
        let mut unheard = self.clone();
        let nobody = self.world.clone();
        let task = async move {
            unheard.repeat(callback, SHORT).await;
        };
        self.world.executor.spawn_mortal(task, move || nobody.saw("a report died"));
        Answer::Again
    }

    fn success(&self) -> Report {
        let empty = self.world.executor.once_in(6);
        let plan = PlanSummary { add: u32::from(!empty), change: 0, destroy: 0, ..PlanSummary::default() };
        let outputs = [("url".to_owned(), OutputValue::Value("https://example.com".into()))];
        Report::Success(Success {
            plan: (self.phase == Phase::Plan).then_some(plan),
            outputs: (self.phase == Phase::Apply).then(|| outputs.into()),
            artifact: self.module.clone().filter(|_| self.phase == Phase::Plan),
            ..Success::default()
        })
    }

    async fn say(&mut self, report: Report, patience: Duration) -> Answer {
        let callback = self.next(report);
        self.repeat(callback, patience).await
    }

    /// Says something until it is answered, or for as long as that makes sense.
    async fn repeat(&mut self, callback: Callback, patience: Duration) -> Answer {
        let until = self.world.executor.now() + patience;
        loop {
            let answer = self.post(&callback).await;
            if !matches!(answer, Answer::Again) || self.world.executor.now() >= until {
                return answer;
            }
            let pause = 1 + self.world.executor.below(30);
            self.world.executor.pause(Duration::from_secs(pause)).await;
        }
    }

    /// Posts a callback, which may be lost or come twice, or its answer may.
    async fn post(&self, callback: &Callback) -> Answer {
        let world = &self.world;
        let slot = Arc::new(Mutex::new(None));
        let cell = world.executor.cell();
        let fate = world.fate();
        if fate != Fate::LostBefore {
            let copies = if !world.is_calm() && world.executor.once_in(20) { 2 } else { 1 };
            for _ in 0..copies {
                let (begun, slot, callback) = (world.clone(), slot.clone(), callback.clone());
                let secret = self.callback_token.clone();
                let dying = world.clone();
                let task = async move {
                    let line = Line(begun.clone());
                    begun.travel().await;
                    let (world, workflow) = (&*begun, line.of_callbacks());
                    let reported = report(world, world, workflow, &begun.key, &secret, &callback);
                    let answer = match reported.await {
                        Ok(taken) => {
                            Answer::Taken { cancel: taken.cancel, operation: Box::new(taken.operation) }
                        }
                        Err(ReportError::Refused(ReportRefused::OutOfOrder(_))) => Answer::OutOfOrder,
                        Err(ReportError::Workflow(_) | ReportError::Store(_)) => Answer::Again,
                        Err(_) => Answer::Refused,
                    };
                    if fate == Fate::Fine {
                        slot.lock().unwrap().get_or_insert(answer);
                        begun.executor.ring(cell);
                    }
                };
                world.executor.spawn_mortal(task, move || dying.saw("a report died"));
            }
        }
        world.executor.heard(cell, world.executor.now() + ANSWER).await;
        let answer = slot.lock().unwrap().take();
        answer.unwrap_or(Answer::Again)
    }
}

#[async_trait]
impl Webhook for Line {
    async fn post(&self, _url: &str, call: &CallWebhook) -> Result<(), WebhookError> {
        let Self(world) = self;
        if !world.is_calm() && world.executor.once_in(50) {
            return Err(WebhookError::Refused("it answered 410".to_owned()));
        }
        let called = world.call(|| Worker::receive(world, call)).await;
        called.ok_or_else(|| WebhookError::Unavailable("no answer".to_owned(), None))
    }
}
