//! Random troubles, conducts and crashes together: an operation has one outcome, and one apply.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{
    functions::{
        Conduct::{self, Fails, Refuses, Silent, Succeeds},
        Script,
        Trouble::{self, Hangs},
    },
    provision::{error, plans},
    world::{PROVISION, World},
};

/// As many schedules are tried.
const SCHEDULES: u64 = 40;

/// The same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }

    fn worker(&mut self) -> Conduct {
        match self.below(10) {
            0 => Silent,
            1 => Fails(30, error("WorkerFailed")),
            2 | 3 => Refuses(error("ECS.ThrottlingException")),
            4 => plans("finish"),
            5 => plans("apply"),
            _ => plans("approve"),
        }
    }

    fn approver(&mut self) -> Conduct {
        match self.below(4) {
            0 => Fails(100, error("Rejected")),
            _ => Succeeds(100, json!({})),
        }
    }

    fn trouble(&mut self) -> Trouble {
        match self.below(4) {
            0 => Hangs,
            1 => Trouble::Fails("Unavailable"),
            2 => Trouble::Fails("Sandbox.Timedout"),
            _ => Trouble::Fails("Runtime.ExitError"),
        }
    }

    fn script(&mut self) -> Script {
        let troubles = ["begin_attempt", "finish", "fail"].map(|command| {
            let number = self.below(4);
            (command, (0..number).map(|_| self.trouble()).collect())
        });
        Script {
            workers: (0..30).map(|_| self.worker()).collect(),
            approver: Some(self.approver()),
            troubles: troubles.into(),
            ..Script::default()
        }
    }
}

#[tokio::test]
async fn an_operation_has_one_outcome_and_one_apply() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..SCHEDULES {
        let mut random = Random(seed);
        let mut world = World::start(PROVISION, random.script());
        for _ in 0..random.below(4) {
            if !world.crash_after(1 + random.below(15)).await {
                break;
            }
        }
        let status = world.play().await.status;
        let outcome = world.outcome().expect("an outcome");
        assert_eq!(status == "SUCCEEDED", outcome == "succeeded", "{seed}: {:?}", world.asked());
        let script = world.functions.script();
        let begun = |phase: &str| script.begun.iter().filter(|(begun, _)| begun == phase).count();
        assert!(begun("apply") <= 1, "{seed}: {:?}", script.asked);
        assert!(begun("plan") <= 3, "{seed}: {:?}", script.asked);
        outcomes.insert(outcome);
    }
    let all = BTreeSet::from(["failed", "rejected", "succeeded", "timed_out"]);
    assert_eq!(outcomes, all, "every kind of end is among the schedules");
}
