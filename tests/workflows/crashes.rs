//! The engine crashes after each thing that it does, and goes on from its files: the end is the same.

use serde_json::json;

use crate::{
    deploy::{by_job, by_webhook, ended, going},
    functions::{
        Conduct::{self, Fails, Silent, Succeeds},
        Script, Trouble,
    },
    provision::{error, plans, script},
    world::{DEPLOY, PROVISION, World},
};

/// A worker that applies, and reports twice.
fn applies_soon() -> Conduct {
    Succeeds(50, json!({}))
}

/// Plays `script` once without a crash, and then with a crash after the first, second … thing that happens.
async fn crash_everywhere(definition: &'static str, script: impl Fn() -> Script) {
    let world = World::start(definition, script());
    let ended = world.play().await;
    let wanted = (ended.status, ended.error, world.outcome(), distinct(&world));
    for events in 1.. {
        let mut world = World::start(definition, script());
        if !world.crash_after(events).await {
            assert!(events > 5, "it was over before anything could happen");
            return;
        }
        let ended = world.play().await;
        let seen = (ended.status, ended.error, world.outcome(), distinct(&world));
        assert_eq!(seen, wanted, "after a crash at {events}: {:?}", world.asked());
    }
}

#[tokio::test]
async fn again_and_again() {
    for events in [5, 7, 11] {
        let mut world = World::start(PROVISION, script([plans("apply"), applies_soon()]));
        let ended = world.play_with_crashes(events).await;
        assert_eq!((ended.status, world.outcome()), ("SUCCEEDED", Some("succeeded")), "{:?}", world.asked());
        let steps = ["begin_attempt plan", "worker plan", "begin_attempt apply", "worker apply", "finish"];
        assert_eq!(distinct(&world), steps);
    }
}

/// What was asked for, without repetitions and without the numbers of attempts, which grow with those.
fn distinct(world: &World) -> Vec<String> {
    let mut asked = world.asked();
    for one in &mut asked {
        *one = one.trim_end_matches(|last: char| last == ' ' || last.is_ascii_digit()).to_owned();
    }
    asked.dedup();
    asked
}

#[tokio::test]
async fn in_a_provision_with_approval() {
    crash_everywhere(PROVISION, || Script {
        approver: Some(Succeeds(100, json!({}))),
        ..script([plans("approve"), applies_soon()])
    })
    .await;
}

#[tokio::test]
async fn in_a_provision_without_changes() {
    crash_everywhere(PROVISION, || script([plans("finish")])).await;
}

#[tokio::test]
async fn in_a_provision_whose_apply_fails() {
    crash_everywhere(PROVISION, || script([plans("apply"), Fails(90, error("ApplyFailed"))])).await;
}

#[tokio::test]
async fn in_a_provision_that_is_refused() {
    crash_everywhere(PROVISION, || Script {
        approver: Some(Fails(100, error("Rejected"))),
        ..script([plans("approve")])
    })
    .await;
}

#[tokio::test]
async fn in_a_provision_whose_functions_are_away_now_and_then() {
    crash_everywhere(PROVISION, || {
        let mut script = script([plans("apply"), applies_soon()]);
        for command in ["begin_attempt", "finish"] {
            script.troubles.insert(command, vec![Trouble::Fails("Unavailable"); 2].into());
        }
        script
    })
    .await;
}

#[tokio::test]
async fn in_a_deploy_by_a_job() {
    crash_everywhere(DEPLOY, || by_job(&[going(), going(), ended(true)])).await;
}

#[tokio::test]
async fn in_a_deploy_by_a_webhook_that_falls_silent() {
    crash_everywhere(DEPLOY, || by_webhook(Silent)).await;
}
