//! Starts: one owner at a time, one run each, and nothing left behind.

use std::{collections::BTreeMap, time::Duration};

use gatehouse_domain::{
    audit::Entry,
    ci::{BuildId, Checkpoint, RunStatus, StartKind},
    clock::Clock,
    idempotency::{Fingerprint, IdempotencyKey, RequestKey},
    runs::{
        FindRun, Run,
        start::{BeginOutcome, FinishOutcome, REPLAY_FOR, RunRequest, RunRequestState, RunRequests},
    },
};
use jiff::Timestamp;

use crate::support::{TestTable, target};

fn open(holder: &str, now: Timestamp) -> RunRequestState {
    let held_until = now + Duration::from_secs(35);
    RunRequestState::Open { holder: holder.into(), held_until, called_at: now, recovering: false }
}

fn start(table: &TestTable, key: &str, holder: &str) -> RunRequest {
    let now = table.system.now();
    let key: IdempotencyKey = key.parse().unwrap();
    RunRequest {
        key: RequestKey::of("api_key:test", &key),
        id: format!("run_{key}"),
        fingerprint: Fingerprint::of(&["trigger", "build"]),
        job_id: "build".parse().unwrap(),
        kind: StartKind::Trigger,
        rerun_of: None,
        target: target("build"),
        parameters: BTreeMap::from([("who".parse().unwrap(), serde_json::json!("Ada"))]),
        undelivered: BTreeMap::new(),
        versions: Vec::new(),
        environment: BTreeMap::from([("WHO".into(), "Ada".into())]),
        checkpoint: Checkpoint("41".into()),
        actor: "api_key:test".into(),
        created_at: now,
        state: open(holder, now),
    }
}

fn run(start: &RunRequest, build: u64) -> Run {
    Run {
        id: format!("main:app:build:{build}").parse().unwrap(),
        job_id: start.job_id.clone(),
        project: "example".parse().unwrap(),
        tenant: "example".parse().unwrap(),
        provider: "concourse".parse().unwrap(),
        target: start.target.clone(),
        build: BuildId(build.to_string()),
        number: None,
        status: RunStatus::Queued,
        provider_status: "pending".into(),
        reason: None,
        parameters: start.parameters.clone(),
        undelivered: BTreeMap::new(),
        awaited: Vec::new(),
        triggered_by: Some(start.actor.clone()),
        rerun_of: None,
        created_at: start.created_at,
        started_at: None,
        finished_at: None,
        cancel_requested_at: None,
        web_url: None,
    }
}

fn entry(table: &TestTable) -> Entry {
    table.entry("api_key:test", "job:build", Some("example"))
}

async fn begin(table: &TestTable, start: &RunRequest) -> bool {
    matches!(table.table.begin_request(start, &entry(table)).await.unwrap(), BeginOutcome::Begun)
}

#[tokio::test]
async fn of_a_hundred_begins_with_one_key_one_is_made() {
    let table = TestTable::new().await;
    let begins = (0..100).map(|n| {
        let (starts, start) = (table.table.clone(), start(&table, "k", &format!("req-{n}")));
        let entry = entry(&table);
        async move { starts.begin_request(&start, &entry).await.unwrap() }
    });
    let outcomes = futures_util::future::join_all(begins).await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, BeginOutcome::Begun)).count(), 1);
}

#[tokio::test]
async fn a_start_comes_back_as_it_was_begun() {
    let table = TestTable::new().await;
    let start = start(&table, "k", "req-1");
    assert!(begin(&table, &start).await);
    let found = table.table.find_request(&start.key, table.system.now()).await.unwrap();
    assert_eq!(found, Some(start.clone()));
    assert_eq!(table.table.open_requests(&start.job_id).await.unwrap(), std::slice::from_ref(&start));
    match table.table.begin_request(&start, &entry(&table)).await.unwrap() {
        BeginOutcome::Exists(existing) => assert_eq!(*existing, start),
        BeginOutcome::Begun => panic!("a start was begun twice"),
    }
}

#[tokio::test]
async fn a_start_that_the_trail_does_not_have_is_not_begun() {
    let table = TestTable::new().await;
    let (first, second) = (start(&table, "a", "req-1"), start(&table, "b", "req-2"));
    let entry = entry(&table);
    table.table.begin_request(&first, &entry).await.unwrap();
    table.table.begin_request(&second, &entry).await.expect_err("one entry stands for two starts");
    assert_eq!(table.table.open_requests(&first.job_id).await.unwrap(), [first]);
    assert_eq!(table.table.find_request(&second.key, table.system.now()).await.unwrap(), None);
}

#[tokio::test]
async fn a_finished_start_has_its_run_and_is_open_no_more() {
    let table = TestTable::new().await;
    let start = start(&table, "k", "req-1");
    begin(&table, &start).await;
    let run = run(&start, 42);
    assert_eq!(table.table.finish_request(&start, &run).await.unwrap(), FinishOutcome::Finished);
    assert_eq!(table.table.find_run(&run.id).await.unwrap(), Some(run.clone()));
    let found = table.table.find_request(&start.key, table.system.now()).await.unwrap().unwrap();
    assert_eq!(found.state, RunRequestState::Finished { run: Box::new(run) });
    assert_eq!(table.table.open_requests(&start.job_id).await.unwrap(), []);
}

#[tokio::test]
async fn a_build_is_the_run_of_one_start() {
    let table = TestTable::new().await;
    let (first, second) = (start(&table, "a", "req-1"), start(&table, "b", "req-2"));
    begin(&table, &first).await;
    begin(&table, &second).await;
    table.table.finish_request(&first, &run(&first, 42)).await.unwrap();
    let taken = table.table.finish_request(&second, &run(&second, 42)).await.unwrap();
    assert_eq!(taken, FinishOutcome::BuildTaken);
    assert_eq!(table.table.open_requests(&second.job_id).await.unwrap(), [second]);
}

#[tokio::test]
async fn a_start_belongs_to_who_took_it_last() {
    let table = TestTable::new().await;
    let begun = start(&table, "k", "req-1");
    begin(&table, &begun).await;
    table.system.advance(Duration::from_mins(1));
    let state = open("req-2", table.system.now());
    assert!(table.table.hold_request(&begun, &state).await.unwrap());
    assert!(!table.table.hold_request(&begun, &open("req-3", table.system.now())).await.unwrap());
    let lost = table.table.finish_request(&begun, &run(&begun, 42)).await.unwrap();
    assert_eq!(lost, FinishOutcome::HoldLost);
    table.table.abandon_request(&begun).await.unwrap();
    let taken = RunRequest { state, ..begun };
    assert_eq!(table.table.find_request(&taken.key, table.system.now()).await.unwrap(), Some(taken.clone()));
    table.table.abandon_request(&taken).await.unwrap();
    assert_eq!(table.table.find_request(&taken.key, table.system.now()).await.unwrap(), None);
    assert_eq!(table.table.open_requests(&taken.job_id).await.unwrap(), []);
}

#[tokio::test]
async fn a_start_is_remembered_for_a_day_whether_or_not_the_table_forgot_it() {
    let table = TestTable::new().await;
    let first = start(&table, "k", "req-1");
    begin(&table, &first).await;
    table.table.finish_request(&first, &run(&first, 42)).await.unwrap();
    table.system.advance(REPLAY_FOR);
    assert_eq!(table.table.find_request(&first.key, table.system.now()).await.unwrap(), None);
    assert!(begin(&table, &start(&table, "k", "req-2")).await);
}
