//! How many calls each operation makes: a read is one, a write is one.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_domain::{
    access::Scope,
    api_key::{self, ApiKey, PresentedKey, SaveApiKey},
    ci::ProviderKind,
    clock::Clock,
    jobs::{self, EditPorts},
    paging::PageRequest,
    providers::Precondition,
    runs::{self, start},
};
use secrecy::ExposeSecret;

use crate::{
    schedules::{Fate, PretendCi, ports_of},
    support::{TestTable, admin, draft},
};

#[tokio::test]
async fn an_authorizer_that_does_not_remember_reads_once() {
    let table = TestTable::new().await;
    let scopes = BTreeSet::from([Scope::All]);
    let now = table.clock.now();
    let (record, key) = ApiKey::mint(&*table.ids, "test".into(), scopes, "*".parse().unwrap(), now);
    table.table.save_api_key(&record).await.unwrap();
    table.calls.take();
    let key = PresentedKey::parse(key.expose_secret()).unwrap();
    api_key::authenticate(&*table.table, &key, now).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem"]);
}

#[tokio::test]
async fn jobs_are_read_with_one_call_and_written_with_one_read_and_one_transaction() {
    let table = TestTable::new().await;
    let caller = admin("example");
    let job = table.save_job("build").await;
    assert_eq!(table.calls.take(), ["BatchGetItem", "TransactWriteItems"]);
    jobs::show(&*table.table, &caller, &job.id).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem"]);
    let page = PageRequest::default();
    jobs::list(&*table.table, &*table.table, &caller, None, None, &page).await.unwrap();
    assert_eq!(table.calls.take(), ["Query"]);
    let project = Some(&job.spec.project);
    jobs::list(&*table.table, &*table.table, &caller, project, None, &page).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem", "Query"], "whose project it is, and its jobs");
    let expected = Precondition::Revision(job.revision.clone());
    jobs::delete(&*table.table, &*table.table, &caller, &job.id, &expected).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem", "TransactWriteItems"]);
}

#[tokio::test]
async fn a_hundred_jobs_are_imported_with_one_read_and_a_transaction_each() {
    let table = TestTable::new().await;
    let kinds = BTreeSet::from(ProviderKind::ALL);
    let ports = EditPorts {
        find: &*table.table,
        save: &*table.table,
        clock: &*table.clock,
        ids: &*table.ids,
        kinds: &kinds,
    };
    let entries = (0..99).map(|n| jobs::ImportEntry {
        written_id: format!("job-{n}"),
        draft: Ok(draft(&format!("job-{n}"), "example")),
    });
    let mode = jobs::ImportMode::EachOnItsOwn;
    jobs::import(&ports, &admin("example"), entries.collect(), None, mode).await.unwrap();
    let calls = table.calls.take();
    let reads = calls.iter().filter(|call| *call == "BatchGetItem").count();
    assert_eq!((reads, calls.len()), (1, 100));
}

#[tokio::test]
async fn a_run_is_triggered_with_the_job_read_and_two_transactions() {
    let table = TestTable::new().await;
    let job = table.save_job("build").await;
    let caller = admin("example");
    let ci = PretendCi::new(table.clock.clone(), 1, vec![Fate::Answers]);
    let ports = ports_of(&table, &ci);
    table.calls.take();
    let started = start::trigger(&ports, &caller, &job.id, &BTreeMap::new(), None).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem", "TransactWriteItems", "TransactWriteItems"]);
    let key = "k".parse().unwrap();
    start::trigger(&ports, &caller, &job.id, &BTreeMap::new(), Some(&key)).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem", "GetItem", "TransactWriteItems", "TransactWriteItems"]);
    start::trigger(&ports, &caller, &job.id, &BTreeMap::new(), Some(&key)).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem", "GetItem"], "a repetition only reads");
    runs::show(&ports.find, &caller, &started.run.id).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem"]);
}
