//! Workers: they report in order or not, once or twice, too late or never.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::world::{Fate, Line, World};
use crate::{
    catalog::{OutputValue, PlanSummary},
    id::OperationId,
    operations::{
        Phase, TaskToken,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Taken { cancel: bool },
    OutOfOrder,
    Refused,
    Again,
}

/// A worker.
#[derive(Clone)]
pub(super) struct Worker {
    world: Arc<World>,
    operation: OperationId,
    attempt: u32,
    phase: Phase,
    callback_token: String,
    task_token: TaskToken,
    sequence: u64,
}

/// That somebody applies just now; over when dropped, which is also how a worker dies.
struct Applying {
    world: Arc<World>,
    number: u64,
}

impl Applying {
    fn begin(worker: &Worker) -> Self {
        let world = worker.world.clone();
        let operation = world.memory.operation(&worker.operation);
        let agreed = !operation.approval_required || operation.verdict.is_some_and(|said| said.approved);
        assert!(agreed, "{} is applied, and nobody agreed", worker.operation);
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
            task_token: TaskToken::new(text("GATEHOUSE_TASK_TOKEN")).unwrap(),
            sequence: 0,
        };
        if !world.is_calm() && world.executor.once_in(20) {
            return;
        }
        let dying = world.clone();
        world.executor.spawn_mortal(worker.work(), move || dying.saw("a worker died"));
    }

    fn next(&mut self, report: Report) -> Callback {
        self.sequence += 1;
        let fingerprint = format!("{} {report:?} {}", self.sequence, self.task_token.expose());
        Callback {
            operation: self.operation.clone(),
            workflow: Workflow::Provision,
            message: Message { attempt: self.attempt, sequence: self.sequence, fingerprint, report },
        }
    }

    async fn work(mut self) {
        let world = self.world.clone();
        world.executor.pause(Duration::from_secs(world.executor.below(60))).await;
        let started = Report::Started { token: Some(self.task_token.clone()), links: Vec::new() };
        let mut cancelled = match self.say(started, LONG).await {
            Answer::Taken { cancel } => cancel,
            Answer::OutOfOrder | Answer::Refused | Answer::Again => return,
        };
        let applying = (self.phase == Phase::Apply && !cancelled).then(|| Applying::begin(&self));
        for _ in 0..world.executor.below(5) {
            if cancelled {
                break;
            }
            let slow = !world.is_calm() && world.executor.once_in(15);
            let time = if slow { 400 } else { 10 + world.executor.below(60) };
            world.executor.pause(Duration::from_secs(time)).await;
            match self.mumble().await {
                Answer::Taken { cancel } => cancelled = cancel,
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
        Answer::Taken { cancel: false }
    }

    fn success(&self) -> Report {
        let empty = self.world.executor.once_in(6);
        let plan = PlanSummary { add: u32::from(!empty), change: 0, destroy: 0, ..PlanSummary::default() };
        let outputs = [("url".to_owned(), OutputValue::Value("https://example.com".into()))];
        Report::Success(Success {
            plan: (self.phase == Phase::Plan).then_some(plan),
            outputs: (self.phase == Phase::Apply).then(|| outputs.into()),
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
            if answer != Answer::Again || self.world.executor.now() >= until {
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
                        Ok(answered) => Answer::Taken { cancel: answered.cancel },
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
        let answer = *slot.lock().unwrap();
        answer.unwrap_or(Answer::Again)
    }
}
