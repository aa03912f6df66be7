//! The functions and the workers, as scripted by a test. They record what they are told.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use gatehouse_domain::clock::Clock;
use gatehouse_local::{
    aws::json::Fault,
    step_functions::{StepFunctions, TaskError, Tasks},
};
use gatehouse_testkit::app::TestSystem;
use serde_json::{Value, json};
use tokio::task::yield_now;

/// How often a worker reports.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// How long a worker waits where nobody answers.
const RETRY: Duration = Duration::from_secs(3);

/// What somebody who was given a token does.
#[derive(Clone, Debug)]
pub enum Conduct {
    /// Reports until it has succeeded, after so many seconds.
    Succeeds(u64, Value),
    /// Reports until it has failed, after so many seconds.
    Fails(u64, TaskError),
    /// Is never heard of.
    Silent,
    /// Reports, and never ends.
    Endless,
    /// Cannot be started.
    Refuses(TaskError),
}

/// What a function does instead of answering.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// Fails with this error.
    Fails(&'static str),
    /// Does not answer.
    Hangs,
}

/// The script, and what happened so far.
#[derive(Default)]
pub struct Script {
    /// What each worker does, in the order in which they are started.
    pub workers: VecDeque<Conduct>,
    /// What the approver does. Approvals need no heartbeats.
    pub approver: Option<Conduct>,
    /// What stands in the way of a command, once for each.
    pub troubles: BTreeMap<&'static str, VecDeque<Trouble>>,
    /// What `admit` answers.
    pub admitted: Value,
    /// What `follow_run` answers, one after the other; the last again and again.
    pub run: VecDeque<Result<Value, TaskError>>,
    /// Everything that was asked for.
    pub asked: Vec<String>,
    /// What was recorded at the end.
    pub outcome: Option<&'static str>,
    /// What was answered to those whose token did not count any more.
    pub refused: Vec<&'static str>,
    /// The phases of the workers that were started, with their tokens.
    pub begun: BTreeSet<(String, String)>,
    pub attempts: u64,
    /// Who was given which token: whoever gets one again is the same.
    pub employed: BTreeMap<String, Conduct>,
    /// Tokens that are known to have arrived.
    pub arrived: BTreeSet<String>,
}

impl Script {
    fn worker(&mut self, token: &str) -> Conduct {
        if !self.employed.contains_key(token) {
            let conduct = self.workers.pop_front().expect("a script for the worker");
            self.employed.insert(token.to_owned(), conduct);
        }
        self.employed[token].clone()
    }

    fn follow_run(&mut self) -> Result<Value, TaskError> {
        let last = self.run.len() == 1;
        let answer = if last { self.run.front().cloned() } else { self.run.pop_front() };
        answer.expect("a script for the run")
    }
}

/// The functions, for as long as the world stands.
pub struct Functions {
    script: Mutex<Script>,
    clock: Arc<TestSystem>,
    /// Where tokens are told of; nothing while the engine is down.
    engine: Mutex<Option<StepFunctions>>,
    myself: Weak<Self>,
}

impl Functions {
    pub fn new(script: Script, clock: Arc<TestSystem>) -> Arc<Self> {
        Arc::new_cyclic(|myself| Self {
            script: Mutex::new(script),
            clock,
            engine: Mutex::default(),
            myself: myself.clone(),
        })
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says which engine there is now.
    pub fn connect(&self, engine: Option<StepFunctions>) {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = engine;
    }

    fn engine(&self) -> Option<StepFunctions> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, what: String) {
        self.script().asked.push(what);
    }

    /// Lets somebody work with a token, beside everything else.
    fn employ(&self, conduct: Conduct, token: String, heartbeat: Duration) -> Result<(), TaskError> {
        if let Conduct::Refuses(error) = conduct {
            return Err(error);
        }
        assert!(!self.script().arrived.contains(&token), "a token that had arrived was handed out again");
        let functions = self.myself.upgrade().expect("the functions that were asked");
        tokio::spawn(async move { functions.work(&conduct, &token, heartbeat).await });
        Ok(())
    }

    async fn work(&self, conduct: &Conduct, token: &str, heartbeat: Duration) {
        let left = match conduct {
            Conduct::Silent | Conduct::Refuses(_) => return,
            Conduct::Endless => Duration::MAX,
            Conduct::Succeeds(seconds, _) | Conduct::Fails(seconds, _) => Duration::from_secs(*seconds),
        };
        let mut left = left;
        while left > heartbeat {
            self.clock.sleep(heartbeat).await;
            left = left.saturating_sub(heartbeat);
            if !self.tell(token, |engine| engine.send_task_heartbeat(token)).await {
                return;
            }
        }
        self.clock.sleep(left).await;
        self.tell(token, |engine| match conduct {
            Conduct::Succeeds(_, result) => engine.send_task_success(token, &result.to_string()),
            Conduct::Fails(_, error) => {
                engine.send_task_failure(token, Some(error.error.clone()), Some(error.cause.clone()))
            }
            Conduct::Silent | Conduct::Endless | Conduct::Refuses(_) => Ok(()),
        })
        .await;
    }

    /// Tells the engine, as soon as there is one. `false` when the token does not count any more.
    async fn tell(&self, token: &str, message: impl Fn(&StepFunctions) -> Result<(), Fault>) -> bool {
        loop {
            let Some(engine) = self.engine() else {
                self.clock.sleep(RETRY).await;
                continue;
            };
            return match message(&engine) {
                Ok(()) => {
                    self.script().arrived.insert(token.to_owned());
                    true
                }
                Err(fault) => {
                    self.script().refused.push(fault.kind);
                    false
                }
            };
        }
    }

    async fn meet_trouble(&self, command: &str) -> Result<(), TaskError> {
        let trouble = self.script().troubles.get_mut(command).and_then(VecDeque::pop_front);
        match trouble {
            None => Ok(()),
            Some(Trouble::Fails(error)) => Err(TaskError::new(error, "pretended")),
            Some(Trouble::Hangs) => std::future::pending().await,
        }
    }

    fn begin_attempt(&self, phase: &str) -> Value {
        let mut script = self.script();
        script.attempts += 1;
        json!({
            "operation_id": "op_1",
            "attempt": script.attempts,
            "phase": phase,
            "callback_token": "secret",
        })
    }

    /// Records the outcome, once: an operation that has ended answers what is recorded.
    fn end(&self, outcome: &'static str) -> Value {
        json!({ "outcome": *self.script().outcome.get_or_insert(outcome) })
    }

    fn callbacks(&self, command: &str, payload: &Value) -> Result<Value, TaskError> {
        let text = |field: &str| payload[field].as_str().expect("a text").to_owned();
        match command {
            "begin_attempt" => Ok(self.begin_attempt(&text("phase"))),
            "admit" => Ok(self.script().admitted.clone()),
            "await_approval" => {
                let conduct = self.script().approver.clone().unwrap_or(Conduct::Silent);
                self.employ(conduct, text("task_token"), Duration::MAX).map(|()| json!({}))
            }
            "finish" => Ok(self.end("succeeded")),
            "fail" => {
                Ok(self.end(outcome_of(payload["error"]["Error"].as_str().expect("an error has a name"))))
            }
            _ => Err(TaskError::new("InvalidCommand", command)),
        }
    }

    fn deployer(&self, command: &str, payload: &Value) -> Result<Value, TaskError> {
        match command {
            "trigger_run" => Ok(json!({ "ended": false, "wait_seconds": 5 })),
            "follow_run" => self.script().follow_run(),
            "call_webhook" => {
                let token = payload["task_token"].as_str().expect("a token").to_owned();
                let conduct = self.script().worker(&token);
                self.employ(conduct, token, HEARTBEAT).map(|()| json!({}))
            }
            _ => Err(TaskError::new("InvalidCommand", command)),
        }
    }
}

#[async_trait]
impl Tasks for Functions {
    async fn invoke_lambda(&self, arn: &str, payload: Value) -> Result<Value, TaskError> {
        let command = payload["command"].as_str().expect("a command").to_owned();
        assert_eq!(payload["operation_id"], "op_1");
        let more = ["/phase", "/error/Error"].iter().filter_map(|field| payload.pointer(field)?.as_str());
        self.note(more.fold(command.clone(), |words, word| format!("{words} {word}")));
        yield_now().await;
        self.meet_trouble(&command).await?;
        let answer = match arn {
            "callbacks" => self.callbacks(&command, &payload),
            "deployer" => self.deployer(&command, &payload),
            _ => Err(TaskError::new("Lambda.ResourceNotFoundException", arn)),
        };
        // What was done may have been done by the time that its answer is lost.
        yield_now().await;
        answer
    }

    async fn run_ecs_task(&self, parameters: Value) -> Result<(), TaskError> {
        let environment = environment(&parameters);
        let (phase, attempt) = (&environment["GATEHOUSE_PHASE"], &environment["GATEHOUSE_ATTEMPT"]);
        self.note(format!("worker {phase} {attempt}"));
        let token = environment["GATEHOUSE_TASK_TOKEN"].clone();
        yield_now().await;
        let conduct = self.script().worker(&token);
        self.employ(conduct, token.clone(), HEARTBEAT)?;
        self.script().begun.insert((phase.clone(), token));
        yield_now().await;
        Ok(())
    }
}

fn outcome_of(error: &str) -> &'static str {
    match error {
        "Cancelled" => "cancelled",
        "Rejected" => "rejected",
        "States.Timeout" | "States.HeartbeatTimeout" => "timed_out",
        _ => "failed",
    }
}

fn environment(parameters: &Value) -> BTreeMap<String, String> {
    let environment = parameters["Overrides"]["ContainerOverrides"][0]["Environment"].as_array();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    environment.expect("a list").iter().map(|entry| (text(&entry["Name"]), text(&entry["Value"]))).collect()
}
