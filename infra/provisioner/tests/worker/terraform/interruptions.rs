//! Applies that do not come to their end, and who comes after them.

use std::{fs, path::Path};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use super::{attempt, counts, succeeds, terraform};
use crate::support::{
    gatehouse::{Call, Gatehouse, Reply},
    order,
    place::Place,
    wait::eventually,
    worker::{Running, Worker},
};

/// Starts an apply, and returns when it is in the middle of it.
async fn begin_apply(place: &Place, terraform: &Path, inputs: Value) -> (Gatehouse, Running) {
    succeeds(place, terraform, "provision", "plan", inputs.clone()).await;
    let gatehouse = Gatehouse::start(order("provision", "apply", &inputs)).await;
    let worker = Worker::new(place, &gatehouse, "apply", terraform).start();
    gatehouse.hears("a replica is being created", |call| call.logs("replica 0 takes")).await;
    (gatehouse, worker)
}

/// The processes that work in a workspace of this place.
fn processes(place: &Place) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let here = |process: &Path| {
        fs::read_link(process.join("cwd")).is_ok_and(|directory| directory.starts_with(place.temporary()))
    };
    let pids = entries.filter(|process| here(process)).filter_map(|process| {
        let pid: i32 = process.file_name()?.to_str()?.parse().ok()?;
        Some(Pid::from_raw(pid))
    });
    pids.collect()
}

#[tokio::test]
async fn an_apply_that_is_told_to_end_leaves_a_state_that_can_be_gone_on_with() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    let slow = json!({ "replicas": 1, "duration_seconds": 3600 });
    let (gatehouse, worker) = begin_apply(&place, &terraform, slow).await;
    worker.signal(Signal::SIGTERM);
    let ended = worker.ended().await;
    assert_eq!(ended.code(), 2, "{}", ended.log);
    assert_eq!(gatehouse.end()["cancelled"], true);
    assert_eq!(gatehouse.reason(), "the worker was told to end: terraform apply was interrupted");
    assert_eq!(processes(&place), []);
    assert_eq!(place.workspaces(), 0);
    // What had been made is known; the replica that was not finished is made anew.
    let plan = succeeds(&place, &terraform, "provision", "plan", json!({ "replicas": 1 })).await;
    assert_eq!(counts(&plan), [1, 0, 1]);
    succeeds(&place, &terraform, "provision", "apply", json!({ "replicas": 1 })).await;
}

#[tokio::test]
async fn a_cancel_ends_an_apply() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    let slow = json!({ "replicas": 1, "duration_seconds": 3600 });
    succeeds(&place, &terraform, "provision", "plan", slow.clone()).await;
    let cancel = |call: &Call| if call.logs("replica 0 takes") { Reply::Cancel } else { Reply::Usual };
    let gatehouse = Gatehouse::answering(order("provision", "apply", &slow), cancel).await;
    let ended = Worker::new(&place, &gatehouse, "apply", &terraform).run().await;
    assert_eq!(ended.code(), 2, "{}", ended.log);
    assert_eq!(gatehouse.reason(), "cancelled: terraform apply was interrupted");
}

#[tokio::test]
async fn a_state_that_is_in_use_is_waited_for_and_never_shared() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    let slow = json!({ "replicas": 1, "duration_seconds": 3600 });
    let (_first, worker) = begin_apply(&place, &terraform, slow).await;

    let second = Gatehouse::start(order("provision", "plan", &json!({}))).await;
    let impatient = Worker::new(&place, &second, "plan", &terraform).with("GATEHOUSE_LOCK_SECONDS", "0");
    assert_eq!(impatient.run().await.code(), 1);
    let reason = second.reason();
    assert!(reason.starts_with("terraform plan failed: Error acquiring the state lock: "), "{reason}");

    let cancel = |call: &Call| if call.begins("plan") { Reply::Cancel } else { Reply::Usual };
    let third = Gatehouse::answering(order("provision", "plan", &json!({})), cancel).await;
    let patient = Worker::new(&place, &third, "plan", &terraform).with("GATEHOUSE_LOCK_SECONDS", "3600");
    assert_eq!(patient.run().await.code(), 2);
    assert_eq!(third.reason(), "cancelled: terraform plan was interrupted");

    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.ended().await.code(), 2);
    let (_, ended) = attempt(&place, &terraform, order("provision", "plan", &json!({}))).await;
    assert_eq!(ended.code(), 0, "{}", ended.log);
}

#[tokio::test]
async fn terraform_goes_on_to_its_end_when_only_the_worker_is_killed() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    let inputs = json!({ "replicas": 2, "duration_seconds": 2 });
    let (_gatehouse, worker) = begin_apply(&place, &terraform, inputs.clone()).await;
    worker.signal(Signal::SIGKILL);
    assert_eq!(worker.ended().await.status.code(), None);
    // It waits for the state, and finds that nothing was lost: what came out is told, although nobody told it then.
    let plan = succeeds(&place, &terraform, "provision", "plan", inputs).await;
    assert_eq!(counts(&plan), [0, 0, 0]);
    assert_eq!(plan["outputs"]["name"], json!({ "value": "acme-shop-dev" }));
    eventually("Terraform ends", || processes(&place).is_empty()).await;
}

#[tokio::test]
async fn a_new_plan_works_after_everything_was_killed() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    let slow = json!({ "replicas": 1, "duration_seconds": 3600 });
    let (_gatehouse, worker) = begin_apply(&place, &terraform, slow).await;
    worker.signal(Signal::SIGKILL);
    eventually("everything is dead", || {
        let left = processes(&place);
        for pid in &left {
            let _already_gone = kill(*pid, Signal::SIGKILL);
        }
        left.is_empty()
    })
    .await;
    let inputs = json!({ "replicas": 1 });
    let plan = succeeds(&place, &terraform, "provision", "plan", inputs.clone()).await;
    // How much was written down before the kill is a matter of luck, but for the outputs, which come last.
    assert_eq!(plan["plan"]["applyable"], true, "{plan}");
    succeeds(&place, &terraform, "provision", "apply", inputs.clone()).await;
    let plan = succeeds(&place, &terraform, "provision", "plan", inputs).await;
    assert_eq!(counts(&plan), [0, 0, 0]);
}
