//! Lists of operations over all services: by tenant and by how they stand, the newest first.

use std::{collections::BTreeSet, time::Duration};

use gatehouse_domain::{
    catalog::Settled,
    clock::Clock,
    janitor::{ListingProgress, Outbox, RememberListing, list_unlisted},
    operations::{
        Effects, FindOperation, ListAllOperations, ListedOperation, Listing, Operation, OperationLists,
        OperationStatus, Phase, SaveOperation, State, TaskToken, attempt::CallbackKey, steer,
    },
    paging::{ListError, PageRequest},
    revision::EditOutcome,
};
use gatehouse_store::{item::text, keys};
use jiff::Timestamp;

use crate::{
    catalog::{begun, changed, end, ended, saved},
    support::{TestTable, behind, pages},
};

fn lists(tenants: &str, statuses: &[OperationStatus]) -> OperationLists {
    let statuses: BTreeSet<_> = statuses.iter().copied().collect();
    OperationLists { tenants: tenants.parse().unwrap(), service: None, statuses }
}

/// The environments of what is listed, page by page.
async fn listed(table: &TestTable, lists: &OperationLists, limit: u8) -> Vec<Vec<String>> {
    let found = pages(limit, |page| {
        let (store, lists) = (table.table.clone(), lists.clone());
        async move { store.list_all_operations(&lists, &|_| true, &page).await }
    });
    let name = |operation: ListedOperation| format!("{}/{}", operation.tenant, operation.environment);
    found.await.into_iter().map(|page| page.into_iter().map(name).collect()).collect()
}

/// One after another: `acme` dev, `beta` dev, `acme` prod, `other` dev, `beta` prod.
async fn five(table: &TestTable) -> Vec<Operation> {
    let mut operations = Vec::new();
    let services = [saved(table, "acme", "shop").await, saved(table, "beta", "shop").await];
    let other = saved(table, "other", "shop").await;
    for (service, environment) in [
        (&services[0], "dev"),
        (&services[1], "dev"),
        (&services[0], "prod"),
        (&other, "dev"),
        (&services[1], "prod"),
    ] {
        table.system.advance(Duration::from_millis(1));
        operations.push(begun(table, service, environment).await);
    }
    operations
}

#[tokio::test]
async fn operations_are_listed_over_all_services_of_whoever_asks_the_newest_first() {
    let table = TestTable::new().await;
    five(&table).await;
    let everything = ["beta/prod", "other/dev", "acme/prod", "beta/dev", "acme/dev"];
    for limit in [1, 2, 3, 5, 100] {
        for (tenants, expected) in [
            ("*", &everything[..]),
            ("acme", &["acme/prod", "acme/dev"]),
            ("acme,beta", &["beta/prod", "acme/prod", "beta/dev", "acme/dev"]),
            ("acme,gamma,other", &["other/dev", "acme/prod", "acme/dev"]),
            ("", &[]),
        ] {
            let found = listed(&table, &lists(tenants, &[]), limit).await;
            assert_eq!(found.concat(), expected, "{tenants} by {limit}");
            let full = found.iter().rev().skip(1).all(|page| page.len() == usize::from(limit));
            assert!(full, "{tenants} by {limit}: {found:?}");
        }
    }
}

#[tokio::test]
async fn a_page_is_one_query_for_each_list_however_many_there_are() {
    let table = TestTable::new().await;
    let operations = five(&table).await;
    table.calls.take();
    let page = PageRequest::default();
    let queries = async |lists: &OperationLists| {
        table.table.list_all_operations(lists, &|_| true, &page).await.unwrap();
        let calls = table.calls.take();
        assert!(calls.iter().all(|call| call == "Query"), "{calls:?}");
        calls.len()
    };
    assert_eq!(queries(&lists("*", &[])).await, 1);
    assert_eq!(queries(&lists("acme", &[OperationStatus::AwaitingApproval])).await, 1);
    assert_eq!(queries(&lists("acme,beta", &[])).await, 2);
    assert_eq!(queries(&lists("acme", &OperationStatus::OPEN)).await, 2, "what works, and what waits");
    let service = Some(operations[0].service.clone());
    assert_eq!(queries(&OperationLists { service, ..lists("acme,beta", &[]) }).await, 1);
}

#[tokio::test]
async fn an_operation_moves_from_list_to_list_with_its_status() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let operation = begun(&table, &shop, "dev").await;
    let classes = [
        OperationStatus::Queued,
        OperationStatus::AwaitingApproval,
        OperationStatus::Failed,
        OperationStatus::TimedOut,
    ];
    let stands = async || {
        let mut found = Vec::new();
        for class in classes {
            for tenants in ["acme", "*"] {
                let page = PageRequest::default();
                let one = lists(tenants, &[class]);
                let listed = table.table.list_all_operations(&one, &|_| true, &page).await.unwrap();
                found.extend(listed.items.into_iter().map(|operation| operation.status.as_str()));
            }
        }
        found
    };
    assert_eq!(stands().await, ["queued"; 2]);
    let store = &*table.table;
    let key = CallbackKey::new(&"k".repeat(32).into()).unwrap();
    steer::begin_attempt(store, &*table.system, &key, &operation.id, Phase::Plan).await.unwrap();
    assert_eq!(stands().await, ["planning"; 2]);
    let planning = store.find_operation(&operation.id).await.unwrap().unwrap();
    let token = TaskToken::new("task".to_owned()).unwrap();
    let state = State::AwaitingApproval { since: table.system.now(), token };
    let waiting = changed(&table, &planning, state, None);
    let effects = Effects { listing: Listing::Moved { from: planning.listed_as }, ..Effects::default() };
    assert_eq!(store.save_operation(&waiting, &effects).await.unwrap(), EditOutcome::Done);
    assert_eq!(stands().await, ["awaiting_approval"; 2]);
    steer::fail(store, &*table.system, &operation.id, "States.Timeout", "").await.unwrap();
    let ended = store.find_operation(&operation.id).await.unwrap().unwrap();
    assert_eq!(stands().await, [ended.status(); 2]);
}

#[tokio::test]
async fn what_is_left_out_is_read_over_until_the_page_is_full() {
    let table = TestTable::new().await;
    five(&table).await;
    let only = |environment: &'static str| {
        move |operation: &ListedOperation| operation.environment.as_str() == environment
    };
    let all = lists("*", &[]);
    let page = table.table.list_all_operations(&all, &only("prod"), &behind(None)).await.unwrap();
    assert_eq!((page.items.len(), page.items[0].tenant.as_str()), (1, "beta"));
    table.calls.take();
    let page = table.table.list_all_operations(&all, &only("prod"), &behind(page.next)).await.unwrap();
    assert_eq!((page.items.len(), page.items[0].tenant.as_str()), (1, "acme"));
    assert_eq!(table.calls.take(), ["Query"; 2], "one that was left out, then a large page");
    let page = table.table.list_all_operations(&all, &only("prod"), &behind(page.next)).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_none(), "{page:?}");
}

#[tokio::test]
async fn a_page_of_many_lists_takes_a_bounded_number_of_queries() {
    let table = TestTable::new().await;
    five(&table).await;
    let others: Vec<_> = (10..29).map(|number| format!("tenant{number}")).collect();
    let many = lists(&format!("acme,beta,{}", others.join(",")), &[]);
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let only_dev = |operation: &ListedOperation| operation.environment.as_str() == "dev";
        table.calls.take();
        let page = table.table.list_all_operations(&many, &only_dev, &behind(cursor)).await.unwrap();
        let queries = table.calls.take().into_iter().filter(|call| call == "Query").count();
        assert_eq!(queries, 21, "a second round would be 42");
        found.extend(page.items.into_iter().map(|operation| operation.tenant.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, ["beta", "acme"]);
}

#[tokio::test]
async fn a_cursor_is_good_for_what_was_asked_only() {
    let table = TestTable::new().await;
    five(&table).await;
    let asked = |asked: &str, cursor| PageRequest { asked: asked.to_owned(), ..behind(cursor) };
    let all = lists("*", &[]);
    let page = table.table.list_all_operations(&all, &|_| true, &asked("acme", None)).await.unwrap();
    let other = table.table.list_all_operations(&all, &|_| true, &asked("beta", page.next)).await;
    assert!(matches!(other, Err(ListError::Cursor(_))), "{other:?}");
}

/// Takes an operation out of the lists, as if it were stored before there were any.
async fn unlist(table: &TestTable, operation: &Operation) {
    let at = keys::listed_operation(operation);
    let by_status = keys::operation_by_status(operation, operation.standing());
    for key in [at, by_status] {
        let call = table.client.delete_item().table_name(&table.name);
        call.key("pk", text(key.pk)).key("sk", text(key.sk)).send().await.unwrap();
    }
    let unlisted = Operation { listed_as: None, version: operation.version + 1, ..operation.clone() };
    let saved = table.table.save_operation(&unlisted, &Effects::default()).await.unwrap();
    assert_eq!(saved, EditOutcome::Done);
}

#[tokio::test]
async fn operations_that_are_older_than_the_lists_are_listed_once() {
    let table = TestTable::new().await;
    let operations = five(&table).await;
    let over = end(&table, &operations[0], &Settled::default()).await;
    for operation in [&over, &operations[1], &operations[3]] {
        unlist(&table, operation).await;
    }
    assert_eq!(listed(&table, &lists("*", &[]), 100).await.concat(), ["beta/prod", "acme/prod"]);
    let (store, clock) = (&*table.table, &*table.system);
    assert_eq!(list_unlisted(store, clock, Timestamp::MIN).await.unwrap(), 0, "there is no time");
    assert_eq!(list_unlisted(store, clock, Timestamp::MAX).await.unwrap(), 3);
    let everything = ["beta/prod", "other/dev", "acme/prod", "beta/dev", "acme/dev"];
    assert_eq!(listed(&table, &lists("*", &[]), 100).await.concat(), everything);
    let ended = lists("acme", &[OperationStatus::Succeeded]);
    assert_eq!(listed(&table, &ended, 100).await.concat(), ["acme/dev"]);
    assert_eq!(store.listing_progress().await.unwrap(), ListingProgress::Done);
    table.calls.take();
    assert_eq!(list_unlisted(store, clock, Timestamp::MAX).await.unwrap(), 0);
    assert_eq!(table.calls.take(), ["GetItem"]);
}

#[tokio::test]
async fn what_a_version_without_lists_ended_leaves_the_list_that_it_stood_in() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let operation = begun(&table, &shop, "dev").await;
    let over = Operation { listed_as: None, ..ended(&table, &operation) };
    let settled = Settled::default();
    let effects = Effects { settled: Some(&settled), ..Effects::default() };
    assert_eq!(table.table.save_operation(&over, &effects).await.unwrap(), EditOutcome::Done);
    let open = async || {
        let (all, acme) = (lists("*", &OperationStatus::OPEN), lists("acme", &OperationStatus::OPEN));
        [listed(&table, &all, 100).await.concat(), listed(&table, &acme, 100).await.concat()]
    };
    assert_eq!(open().await, [["acme/dev"], ["acme/dev"]], "it looks as if it were open");
    assert_eq!(list_unlisted(&*table.table, &*table.system, Timestamp::MAX).await.unwrap(), 1);
    assert_eq!(open().await, [Vec::<String>::new(), Vec::new()]);
    let over = lists("acme", &[OperationStatus::Succeeded]);
    assert_eq!(listed(&table, &over, 100).await.concat(), ["acme/dev"]);
}

#[tokio::test]
async fn news_of_an_operation_is_written_with_its_change() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let operation = begun(&table, &shop, "dev").await;
    let (store, clock) = (&*table.table, &*table.system);
    steer::fail(store, clock, &operation.id, "States.Timeout", "a secret text").await.unwrap();
    let told = store.to_publish(&PageRequest::default()).await.unwrap().items;
    let ids: Vec<_> = told.iter().map(|announcement| announcement.id.clone()).collect();
    let status = store.find_operation(&operation.id).await.unwrap().unwrap().status();
    assert_eq!(ids, [format!("{}:failed:{status}", operation.id)]);
    let text = serde_json::to_string(&told).unwrap();
    assert!(!text.contains("a secret text"), "{text}");
    steer::fail(store, clock, &operation.id, "States.Timeout", "").await.unwrap();
    assert_eq!(store.to_publish(&PageRequest::default()).await.unwrap().items.len(), 1, "told once");
}
