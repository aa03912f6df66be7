//! Stopping runs.

use std::time::Duration;

use gatehouse_domain::ci::{CancelMode, LogStream, RunEventBody, RunStatus, StepPhase};

use crate::stack::{Stack, eventually, processes_of, sh, text};

#[tokio::test]
async fn a_graceful_cancel_lets_the_command_clean_up() {
    let stack = Stack::new();
    let script = "trap 'echo cleaned; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
    stack.start("run_1", &sh(script)).await;
    stack.wait_for_output("run_1", "ready").await;
    stack.cancel("run_1", CancelMode::Graceful).await;
    stack.cancel("run_1", CancelMode::Graceful).await;
    let events = stack.all_events("run_1").await;
    assert_eq!(text(&events, LogStream::Stdout), "ready\ncleaned\n");
    let statuses = events.iter().filter_map(|event| match &event.body {
        RunEventBody::Status { status, .. } => Some(*status),
        _ => None,
    });
    assert_eq!(
        statuses.collect::<Vec<_>>(),
        [RunStatus::Running, RunStatus::Cancelling, RunStatus::Cancelled]
    );
    let finished = StepPhase::Finished { exit_status: Some(7), succeeded: Some(false) };
    assert!(
        events
            .iter()
            .any(|event| matches!(&event.body, RunEventBody::Step { phase, .. } if *phase == finished))
    );
    assert_eq!(stack.build("run_1").await.status, RunStatus::Cancelled);
}

#[tokio::test]
async fn a_command_that_ignores_being_asked_is_killed_after_the_grace() {
    let stack = Stack::with_grace(Duration::from_millis(50));
    stack.start("run_1", &sh("trap '' TERM; echo ready; while :; do sleep 0.01; done")).await;
    stack.wait_for_output("run_1", "ready").await;
    stack.cancel("run_1", CancelMode::Graceful).await;
    stack.all_events("run_1").await;
    assert_eq!(stack.build("run_1").await.status, RunStatus::Cancelled);
    eventually("nothing is left", || processes_of(stack.directory.path(), "run_1").is_empty()).await;
}

#[tokio::test]
async fn force_ends_a_run_that_takes_its_time() {
    let stack = Stack::new();
    stack.start("run_1", &sh("trap '' TERM; echo ready; while :; do sleep 0.01; done")).await;
    stack.wait_for_output("run_1", "ready").await;
    stack.cancel("run_1", CancelMode::Graceful).await;
    stack.cancel("run_1", CancelMode::Force).await;
    stack.all_events("run_1").await;
    assert_eq!(stack.build("run_1").await.status, RunStatus::Cancelled);
}

#[tokio::test]
async fn a_cancel_reaches_grandchildren() {
    for mode in [CancelMode::Graceful, CancelMode::Force] {
        let stack = Stack::new();
        stack.start("run_1", &sh("sh -c 'sleep 1000 & sleep 1000 & echo ready; wait' & wait")).await;
        stack.wait_for_output("run_1", "ready").await;
        stack.cancel("run_1", mode).await;
        stack.all_events("run_1").await;
        assert_eq!(stack.build("run_1").await.status, RunStatus::Cancelled);
        eventually("nothing is left", || processes_of(stack.directory.path(), "run_1").is_empty()).await;
    }
}

#[tokio::test]
async fn output_without_pause_does_not_keep_a_cancel_waiting() {
    let stack = Stack::new();
    stack.start("run_1", &sh("yes & yes >&2 & wait")).await;
    stack.wait_for_output("run_1", "y\n").await;
    stack.cancel("run_1", CancelMode::Graceful).await;
    stack.all_events("run_1").await;
    assert_eq!(stack.build("run_1").await.status, RunStatus::Cancelled);
}

#[tokio::test]
async fn a_finished_run_is_left_alone() {
    let stack = Stack::new();
    let (finished, events) = stack.run("run_1", "true").await;
    stack.cancel("run_1", CancelMode::Graceful).await;
    stack.cancel("run_1", CancelMode::Force).await;
    assert_eq!(stack.build("run_1").await, finished);
    assert_eq!(stack.all_events("run_1").await, events);
}
