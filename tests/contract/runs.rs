//! Recorded runs.

use std::collections::BTreeMap;

use gatehouse_domain::{
    ci::{BuildId, Reason, ReasonCode, ResourceVersion, RunStatus, Taken, WantedVersion},
    clock::Clock,
    paging::{Limit, ListError, PageRequest},
    runs::{FindRun, ListRuns, RecordRun, Run},
};

use crate::support::{TestTable, target};

fn run(table: &TestTable, build: u64, status: RunStatus) -> Run {
    Run {
        id: format!("main:app:build:{build}").parse().unwrap(),
        job_id: "build".parse().unwrap(),
        project: "example".parse().unwrap(),
        tenant: "example".parse().unwrap(),
        provider: "concourse".parse().unwrap(),
        target: target("build"),
        build: BuildId(build.to_string()),
        number: Some("1".into()),
        status,
        provider_status: "started".into(),
        reason: Some(Reason { code: ReasonCode::Paused, detail: "the pipeline is paused".into() }),
        parameters: BTreeMap::from([("n".parse().unwrap(), serde_json::json!(-3))]),
        undelivered: BTreeMap::new(),
        awaited: Vec::new(),
        triggered_by: None,
        rerun_of: None,
        created_at: table.system.now(),
        started_at: None,
        finished_at: Some(table.system.now()),
        cancel_requested_at: Some(table.system.now()),
        web_url: None,
    }
}

#[tokio::test]
async fn a_run_comes_back_as_it_was_recorded() {
    let table = TestTable::new().await;
    let run = run(&table, 7, RunStatus::Cancelling);
    table.table.record_cancel_request(&run).await.unwrap();
    assert_eq!(table.table.find_run(&run.id).await.unwrap(), Some(run));
}

#[tokio::test]
async fn a_run_that_ended_stays_as_it_ended() {
    let table = TestTable::new().await;
    let asked = run(&table, 7, RunStatus::Cancelling);
    table.table.record_cancel_request(&asked).await.unwrap();
    let ended = Run { status: RunStatus::Succeeded, reason: None, number: None, ..asked.clone() };
    table.table.record_observation(&ended).await.unwrap();
    let late = Run { status: RunStatus::Running, ..asked.clone() };
    table.table.record_observation(&late).await.unwrap();
    table.table.record_cancel_request(&asked).await.unwrap();
    assert_eq!(table.table.find_run(&asked.id).await.unwrap(), Some(ended));
}

#[tokio::test]
async fn what_is_seen_of_a_run_that_nobody_recorded_is_not_written() {
    let table = TestTable::new().await;
    let seen = run(&table, 7, RunStatus::Running);
    table.table.record_observation(&seen).await.unwrap();
    assert_eq!(table.table.find_run(&seen.id).await.unwrap(), None);
}

#[tokio::test]
async fn runs_are_listed_newest_first_and_page_by_page() {
    let table = TestTable::new().await;
    for build in 1..=7 {
        table.system.advance(std::time::Duration::from_millis(1));
        table.table.record_cancel_request(&run(&table, build, RunStatus::Cancelling)).await.unwrap();
    }
    let job = "build".parse().unwrap();
    let mut page = PageRequest { limit: Limit::new(3).unwrap(), cursor: None, ..PageRequest::default() };
    let mut seen = Vec::new();
    loop {
        let found = table.table.list_runs(&job, &page).await.unwrap();
        seen.extend(found.items.into_iter().map(|run| run.build.0));
        match found.next {
            Some(cursor) => page.cursor = Some(cursor),
            None => break,
        }
    }
    assert_eq!(seen, ["7", "6", "5", "4", "3", "2", "1"]);
}

#[tokio::test]
async fn a_cursor_of_another_jobs_runs_is_refused() {
    let table = TestTable::new().await;
    for build in 1..=2 {
        table.table.record_cancel_request(&run(&table, build, RunStatus::Cancelling)).await.unwrap();
    }
    let page = PageRequest { limit: Limit::new(1).unwrap(), cursor: None, ..PageRequest::default() };
    let found = table.table.list_runs(&"build".parse().unwrap(), &page).await.unwrap();
    let stolen = PageRequest { cursor: found.next, ..page };
    let refused = table.table.list_runs(&"other".parse().unwrap(), &stolen).await;
    assert!(matches!(refused, Err(ListError::Cursor(_))), "{refused:?}");
}

#[tokio::test]
async fn what_was_delivered_is_written_down_after_the_end_too() {
    let table = TestTable::new().await;
    let version = ResourceVersion { id: "7".into(), fields: BTreeMap::from([("ref".into(), "abc".into())]) };
    let wanted = WantedVersion {
        resource: "repo".into(),
        version,
        inputs: ["source".to_owned()].into(),
        parameters: ["ref".parse().unwrap()].into(),
    };
    let (text, list) = (serde_json::json!("abc"), serde_json::json!([1.5]));
    let undelivered = BTreeMap::from([("ref".into(), text), ("x y".into(), list)]);
    let waiting = Run { undelivered, awaited: vec![wanted], ..run(&table, 7, RunStatus::Failed) };
    table.table.record_cancel_request(&waiting).await.unwrap();
    assert_eq!(table.table.find_run(&waiting.id).await.unwrap().as_ref(), Some(&waiting));
    let taken = BTreeMap::from([("source".into(), BTreeMap::from([("ref".into(), "abc".into())]))]);
    let seen = waiting.having_taken(&Taken::Versions(taken));
    assert_eq!((seen.parameters.len(), seen.undelivered.len(), seen.awaited.len()), (2, 1, 0));
    table.table.record_delivery(&seen).await.unwrap();
    assert_eq!(table.table.find_run(&seen.id).await.unwrap(), Some(seen));
}
