//! When environments are looked at for drift: written with their service, listed by when it is due.

use std::{collections::BTreeMap, num::NonZeroU16, time::Duration};

use async_trait::async_trait;
use futures_util::future::join_all;
use gatehouse_domain::{
    catalog::{
        DriftSchedule, DriftScheduleEdits, EnvironmentEdits, EnvironmentSpec, FindService, SaveService,
        Service, ServiceSpec, Settled,
    },
    clock::Clock,
    janitor::{Announcement, Publish, PublishError, Report, Settings, sweep},
    operations::{
        FindOperation, Work, change::WorkflowPorts, drift_check::DriftSchedules,
        reconcile::ListOpenOperations,
    },
    paging::PageRequest,
    revision::EditOutcome,
};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    catalog::{begun, edited, end, entry_of, environment, present, service, state},
    support::{Begins, Flushes, TestTable, item, pages},
};

/// A bus that nobody listens on.
struct Silent;

#[async_trait]
impl Publish for Silent {
    async fn publish(&self, announcements: &[Announcement]) -> Vec<Result<(), PublishError>> {
        announcements.iter().map(|_| Ok(())).collect()
    }
}

/// A service whose environments of these names are looked at so often, and that is in the table.
async fn scheduled(table: &TestTable, name: &str, hours: &[(&str, u32)]) -> Service {
    let service = with_hours(&service(table, "acme", name), hours);
    table.table.create_service(&service, &entry_of(table, &service)).await.unwrap();
    service
}

fn with_hours(service: &Service, hours: &[(&str, u32)]) -> Service {
    let hours: BTreeMap<_, _> = hours.iter().copied().collect();
    let mut environments = service.spec.environments.clone();
    for spec in &mut environments {
        spec.drift_hours = hours.get(spec.name.as_str()).copied();
    }
    Service { spec: ServiceSpec { environments, ..service.spec.clone() }, ..service.clone() }
}

/// Everything that is due within a year.
async fn due(table: &TestTable) -> Vec<DriftSchedule> {
    let late = table.system.now() + Duration::from_hours(366 * 24);
    let pages = pages(2, |page| async move { table.table.due_drift_checks(late, &page).await }).await;
    pages.into_iter().flatten().collect()
}

fn names(schedules: &[DriftSchedule]) -> Vec<&str> {
    schedules.iter().map(|schedule| schedule.environment.as_str()).collect()
}

async fn swept(table: &TestTable) -> Report {
    let settings = Settings { unused_days: NonZeroU16::new(90).unwrap(), deadline: Timestamp::MAX };
    let workflow = WorkflowPorts { start: Some(&Begins), answer: None, oversee: None };
    let report =
        sweep(&*table.table, workflow, &Silent, &Flushes::default(), &*table.system, &settings).await;
    assert!(report.failures.is_empty() && report.finished, "{report:?}");
    report
}

/// Lets time pass until then.
fn wait_until(table: &TestTable, then: Timestamp) {
    let passed = then.duration_since(table.system.now());
    table.system.advance(Duration::try_from(passed).unwrap());
}

#[tokio::test]
async fn a_schedule_is_an_item_beside_its_environment() {
    let table = TestTable::new().await;
    let shop = scheduled(&table, "shop", &[("dev", 24)]).await;
    let schedule = DriftSchedule::new(&shop.id, &"dev".parse().unwrap(), 24, shop.created_at);
    let (service, at) = (shop.id.as_str(), schedule.due);
    let expected = json!({
        "pk": format!("SERVICE#{service}"), "sk": "SERVICE#DRIFT#dev",
        "gsi1pk": "DRIFT_DUE", "gsi1sk": format!("{at:.3}#{service}#dev"),
        "service": service, "environment": "dev", "hours": 24, "due": at.to_string(),
    });
    assert_eq!(item(&table, &format!("SERVICE#{service}"), "SERVICE#DRIFT#dev").await, expected);
    let found = table.table.find_service(&shop.id).await.unwrap().unwrap();
    assert_eq!(found.drift_due, [("dev".parse().unwrap(), at)].into());
    assert!(found.environments.is_empty(), "it is no state");
}

#[tokio::test]
async fn schedules_are_listed_by_when_they_are_due() {
    let table = TestTable::new().await;
    for number in 0..3 {
        scheduled(&table, &format!("shop-{number}"), &[("dev", 24), ("prod", 744)]).await;
    }
    let all = due(&table).await;
    assert_eq!(all.len(), 6);
    assert!(all.is_sorted_by_key(|schedule| schedule.due), "{all:?}");
    let until = async |now| table.table.due_drift_checks(now, &PageRequest::default()).await.unwrap().items;
    assert_eq!(until(all[2].due).await, all[..3], "to the second");
    assert_eq!(until(all[2].due - Duration::from_millis(1)).await, all[..2]);
    // The other list of the index is another one.
    let ended = table.table.ended_environments(Timestamp::MAX, &PageRequest::default()).await.unwrap();
    assert_eq!(ended.items, []);
}

#[tokio::test]
async fn a_schedule_moves_where_it_is_as_it_was_seen() {
    let table = TestTable::new().await;
    let shop = scheduled(&table, "shop", &[("dev", 1)]).await;
    let seen = due(&table).await.remove(0);
    let next = seen.due_after(seen.due);
    assert_eq!(table.table.move_drift_check(&seen, next).await.unwrap(), EditOutcome::Done);
    let moved = DriftSchedule { due: next, ..seen.clone() };
    assert_eq!(due(&table).await, std::slice::from_ref(&moved));
    assert_eq!(table.table.move_drift_check(&seen, next).await.unwrap(), EditOutcome::Conflict);
    let other = DriftSchedule { hours: 2, ..moved.clone() };
    assert_eq!(table.table.move_drift_check(&other, next).await.unwrap(), EditOutcome::Conflict);
    let ended = vec!["dev".parse().unwrap()];
    let edits = DriftScheduleEdits { ended, ..DriftScheduleEdits::default() };
    replace(&table, &shop, edits).await;
    assert_eq!(table.table.move_drift_check(&moved, next).await.unwrap(), EditOutcome::Conflict);
    assert_eq!(due(&table).await, [], "it does not come back");
}

async fn replace(table: &TestTable, shop: &Service, schedules: DriftScheduleEdits) -> Service {
    let next = edited(table, shop);
    let edits = EnvironmentEdits { schedules, ..EnvironmentEdits::default() };
    let entry = entry_of(table, shop);
    let outcome = table.table.replace_service(&next, &shop.revision, &edits, &entry).await.unwrap();
    assert_eq!(outcome, EditOutcome::Done);
    next
}

#[tokio::test]
async fn an_edit_writes_schedules_with_the_service_or_not_at_all() {
    let table = TestTable::new().await;
    let shop = scheduled(&table, "shop", &[("dev", 1)]).await;
    let other = service(&table, "acme", "shop");
    let taken = with_hours(&other, &[("dev", 1), ("prod", 1)]);
    table.table.create_service(&taken, &entry_of(&table, &taken)).await.unwrap();
    assert_eq!(names(&due(&table).await), ["dev"], "the name was taken");

    let set = vec![DriftSchedule::new(&shop.id, &"prod".parse().unwrap(), 2, table.system.now())];
    let schedules = DriftScheduleEdits { set: set.clone(), ended: vec!["dev".parse().unwrap()] };
    let edits = EnvironmentEdits { schedules: schedules.clone(), ..EnvironmentEdits::default() };
    let stale = edited(&table, &shop);
    let refused =
        table.table.replace_service(&shop, &stale.revision, &edits, &entry_of(&table, &shop)).await.unwrap();
    assert_eq!((refused, names(&due(&table).await)), (EditOutcome::Conflict, vec!["dev"]));
    let next = replace(&table, &shop, schedules).await;
    assert_eq!(due(&table).await, set);

    // What is deleted is what the service says, and an operation in it keeps all of it.
    let next = with_hours(&next, &[("prod", 2)]);
    let operation = begun(&table, &next, "dev").await;
    let states: Vec<_> = state(&table, &next, "dev").await.into_iter().collect();
    let delete = async || {
        let deleted = table.table.delete_service(&next, &states, &entry_of(&table, &next)).await;
        (deleted.unwrap(), due(&table).await)
    };
    assert_eq!(delete().await, (EditOutcome::Conflict, set));
    end(&table, &operation, &Settled::default()).await;
    assert_eq!(delete().await, (EditOutcome::Done, Vec::new()));
}

#[tokio::test]
async fn a_full_edit_fits_into_one_transaction() {
    let table = TestTable::new().await;
    let twenty = |prefix: &str| -> Vec<_> {
        let named = (0..20).map(|number| environment(&format!("{prefix}{number}")));
        named.map(|spec| EnvironmentSpec { drift_hours: Some(1), ..spec }).collect()
    };
    let of = |service: &Service, prefix: &str| {
        let spec = ServiceSpec { environments: twenty(prefix), ..service.spec.clone() };
        Service { spec, ..service.clone() }
    };
    let shop = of(&service(&table, "acme", "shop"), "old");
    table.table.create_service(&shop, &entry_of(&table, &shop)).await.unwrap();
    let next = of(&edited(&table, &shop), "new");
    let names = |service: &Service| -> Vec<_> {
        service.spec.environments.iter().map(|spec| spec.name.clone()).collect()
    };
    let edits = EnvironmentEdits {
        removed: names(&shop).into_iter().collect(),
        schedules: DriftScheduleEdits { set: next.drift_schedules(table.system.now()), ended: names(&shop) },
        ..EnvironmentEdits::default()
    };
    let entry = entry_of(&table, &shop);
    let outcome = table.table.replace_service(&next, &shop.revision, &edits, &entry).await.unwrap();
    assert_eq!((outcome, due(&table).await.len()), (EditOutcome::Done, 20));
    let deleted = table.table.delete_service(&next, &[], &entry_of(&table, &next)).await.unwrap();
    assert_eq!((deleted, due(&table).await.len()), (EditOutcome::Done, 0));
}

#[tokio::test]
async fn what_is_due_is_looked_at_once_however_many_sweep_at_once() {
    let table = TestTable::new().await;
    for number in 0..3 {
        let shop = scheduled(&table, &format!("shop-{number}"), &[("dev", 1)]).await;
        let operation = begun(&table, &shop, "dev").await;
        end(&table, &operation, &present(&table, &operation)).await;
    }
    let schedules = due(&table).await;
    wait_until(&table, schedules[2].due);
    let reports = join_all((0..4).map(|_| swept(&table))).await;
    assert_eq!(reports.iter().map(|report| report.drift_checks).sum::<usize>(), 3);
    for schedule in &schedules {
        let operation = table.table.find_operation(&schedule.operation()).await.unwrap().unwrap();
        assert!(matches!(operation.work, Work::Drift(_)), "{operation:?}");
        assert_eq!(operation.requested.by, "gatehouse:janitor");
    }
    let next = due(&table).await;
    assert!(next.iter().all(|schedule| schedule.due > table.system.now()), "{next:?}");
    // It ends; and the next slot is looked at when it has come.
    for schedule in &schedules {
        let operation = table.table.find_operation(&schedule.operation()).await.unwrap().unwrap();
        let settled = Settled::default();
        end(&table, &operation, &settled).await;
    }
    assert_eq!(swept(&table).await.drift_checks, 0);
    wait_until(&table, next[2].due);
    assert_eq!(swept(&table).await.drift_checks, 3);
}

#[tokio::test]
async fn an_environment_that_is_not_due_costs_a_sweep_nothing_and_one_that_is_a_few_calls() {
    let table = TestTable::new().await;
    let shop = scheduled(&table, "shop", &[("dev", 1)]).await;
    let operation = begun(&table, &shop, "dev").await;
    end(&table, &operation, &present(&table, &operation)).await;
    swept(&table).await;
    table.calls.take();
    swept(&table).await;
    let quiet = table.calls.take();
    let schedule = due(&table).await.remove(0);
    wait_until(&table, schedule.due);
    table.calls.take();
    assert_eq!(swept(&table).await.drift_checks, 1);
    let mut calls = table.calls.take();
    // The service; the operation; the workflow was started; the next slot.
    let look = ["Query", "TransactWriteItems", "GetItem", "PutItem", "UpdateItem"];
    let place = calls.windows(look.len()).position(|calls| calls == look).expect("a look");
    calls.drain(place..place + look.len());
    assert_eq!(calls, quiet);
}

#[tokio::test]
async fn what_was_begun_before_is_not_begun_beside_it() {
    let table = TestTable::new().await;
    let shop = scheduled(&table, "shop", &[("dev", 1)]).await;
    let operation = begun(&table, &shop, "dev").await;
    end(&table, &operation, &present(&table, &operation)).await;
    let other = begun(&table, &shop, "dev").await;
    let schedule = due(&table).await.remove(0);
    wait_until(&table, schedule.due);
    assert_eq!((swept(&table).await.drift_checks, due(&table).await), (0, vec![schedule.clone()]));
    assert!(table.table.find_operation(&schedule.operation()).await.unwrap().is_none());
    // The sweep has started its workflow.
    let other = table.table.find_operation(&other.id).await.unwrap().unwrap();
    end(&table, &other, &Settled::default()).await;
    assert_eq!(swept(&table).await.drift_checks, 1);
}
