//! An engine with its files, the functions around it, and time.

use std::{collections::BTreeMap, sync::Arc};

use gatehouse_domain::clock::Clock;
use gatehouse_local::{
    aws::Account,
    step_functions::{Description, StateMachine, StepFunctions},
};
use gatehouse_testkit::app::TestSystem;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::task::yield_now;

use crate::functions::{Functions, Script};

pub const PROVISION: &str = include_str!("../../infra/state-machines/provision.asl.json");
pub const DEPLOY: &str = include_str!("../../infra/state-machines/deploy.asl.json");

/// As many times everybody gets a turn before it is certain that all wait for time to pass. One thing that
/// leads to another takes a turn or two, and no chain between two pauses is nearly as long.
const TURNS: usize = 40;

/// One execution of one machine.
pub struct World {
    pub functions: Arc<Functions>,
    clock: Arc<TestSystem>,
    started: Timestamp,
    directory: TempDir,
    definition: &'static str,
    arn: String,
    engine: StepFunctions,
}

impl World {
    /// Starts `op_1` in a machine with this definition.
    pub fn start(definition: &'static str, script: Script) -> Self {
        let clock = Arc::new(TestSystem::held());
        let functions = Functions::new(script, clock.clone());
        let directory = tempfile::tempdir().expect("a directory");
        let engine = open(&directory, definition, &clock);
        engine.begin(functions.clone());
        functions.connect(Some(engine.clone()));
        let input = Some(r#"{"operation_id":"op_1"}"#);
        let started = engine.start_execution(&engine.arn("flow"), Some("op_1"), input).expect("a start");
        let arn = started.execution_arn;
        Self { functions, started: clock.now(), clock, directory, definition, arn, engine }
    }

    /// Lets everything happen until the execution has ended.
    pub async fn play(&self) -> Description {
        while self.describe().status == "RUNNING" {
            self.turn(TURNS).await;
        }
        self.describe()
    }

    /// Lets everything happen until `asked` has been asked for.
    pub async fn play_until(&self, asked: &str) {
        while !self.asked().iter().any(|one| one == asked) {
            assert_eq!(self.describe().status, "RUNNING", "{:?}", self.asked());
            self.turn(TURNS).await;
        }
        self.deliver_pending(TURNS).await;
    }

    /// Plays with a crash after each `events`.
    pub async fn play_with_crashes(&mut self, events: usize) -> Description {
        while self.crash_after(events).await {}
        self.describe()
    }

    /// Plays until so many things have happened, and crashes. `false` when the execution ended before that.
    pub async fn crash_after(&mut self, events: usize) -> bool {
        let runs = self.play_events(events).await;
        if runs {
            self.crash().await;
        }
        runs
    }

    /// Plays until so many things have happened. `false` when the execution ended before that.
    async fn play_events(&self, events: usize) -> bool {
        let (mut last, mut seen, mut idle) = (self.fingerprint(), 0, 0);
        while seen < events {
            if self.describe().status != "RUNNING" {
                return false;
            }
            yield_now().await;
            let now = self.fingerprint();
            idle = if now == last { idle + 1 } else { 0 };
            seen += usize::from(now != last);
            last = now;
            if idle > TURNS {
                assert!(self.clock.jump(), "nothing happens any more");
                idle = 0;
            }
        }
        true
    }

    /// Everything that was asked of the functions.
    pub fn asked(&self) -> Vec<String> {
        self.functions.script().asked.clone()
    }

    /// What was recorded at the end.
    pub fn outcome(&self) -> Option<&'static str> {
        self.functions.script().outcome
    }

    /// Seconds since the start.
    pub fn elapsed(&self) -> i64 {
        self.clock.now().duration_since(self.started).as_secs()
    }

    /// Stops the execution from outside.
    pub fn stop(&self) {
        self.engine.stop_execution(&self.arn, None, None).expect("a stop");
    }

    pub fn describe(&self) -> Description {
        self.engine.describe_execution(&self.arn).expect("the execution")
    }

    /// Lets time pass until nothing is left that would happen; only for worlds without endless workers.
    pub async fn play_out(&self) {
        loop {
            self.deliver_pending(TURNS).await;
            if !self.clock.jump() {
                return;
            }
        }
    }

    async fn turn(&self, turns: usize) {
        self.deliver_pending(turns).await;
        if self.describe().status == "RUNNING" {
            assert!(self.clock.jump(), "nothing happens any more: {:?}", self.asked());
        }
    }

    async fn deliver_pending(&self, turns: usize) {
        for _ in 0..turns {
            yield_now().await;
        }
    }

    /// Ends the engine where it is, and opens another over its files. Workers live on.
    async fn crash(&mut self) {
        self.functions.connect(None);
        self.engine.suspend().await;
        self.deliver_pending(TURNS).await;
        self.engine = open(&self.directory, self.definition, &self.clock);
        self.engine.begin(self.functions.clone());
        self.functions.connect(Some(self.engine.clone()));
    }

    /// Differs after everything that the engine does.
    fn fingerprint(&self) -> (Vec<u8>, usize) {
        let file = self.directory.path().join("executions").join("flow.op_1.json");
        (std::fs::read(file).expect("the execution's file"), self.asked().len())
    }
}

fn open(directory: &TempDir, definition: &str, clock: &Arc<TestSystem>) -> StepFunctions {
    let machine = StateMachine::parse("flow", definition, &substitutions()).expect("a definition");
    engine(directory, vec![machine], clock)
}

/// An engine over the files in `directory`.
pub fn engine(directory: &TempDir, machines: Vec<StateMachine>, clock: &Arc<TestSystem>) -> StepFunctions {
    let account = Account { id: "000000000000".into(), region: "eu-west-1".into() };
    StepFunctions::open(directory.path(), &account, machines, clock.clone(), clock.clone())
        .expect("an engine")
}

/// What the template and the local stack fill in.
pub fn substitutions() -> BTreeMap<String, String> {
    let given = [
        ("CallbackBaseUrl", "https://gatehouse.example"),
        ("CallbacksFunctionArn", "callbacks"),
        ("DeployerFunctionArn", "deployer"),
        ("ProvisionerClusterArn", "cluster"),
        ("ProvisionerTaskDefinitionArn", "provisioner"),
        ("ProvisionerSubnets", "subnet-a,subnet-b"),
        ("ProvisionerSecurityGroups", "sg-a"),
        ("ProvisionerAssignPublicIp", "DISABLED"),
    ];
    given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
