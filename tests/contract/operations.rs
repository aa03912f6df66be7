//! Operations: one at a time in an environment, changed only as they were seen, and never forgotten while
//! they are open.

use std::{collections::BTreeMap, slice, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use gatehouse_domain::{
    audit::{AuditFilter, Entry, ListAudit},
    catalog::{
        DeployTarget, Deployed, Drift, DriftState, EnvironmentEdits, EnvironmentState, ExtendEnvironment,
        Infrastructure, Link, OutputValue, PlanSummary, Provisioned, Settled,
    },
    clock::Clock,
    operations::{
        Asked, Attempt, BeginOutcome, Configuration, Effects, FindOperation, ListOperations, Operation,
        OperationOutcome, Phase, SaveOperation, Signal, State, Step, StepState, TaskToken, Verdict, Work,
        reconcile::ListOpenOperations,
    },
    paging::{ListError, PageRequest},
    revision::EditOutcome,
    store::StoreError,
};
use serde_json::json;

use crate::{
    catalog::{
        begin, begun, changed, configuration, edited, end, ended, entry_of, find, operation, present,
        provisioned, saved, state,
    },
    support::{TestTable, behind, pages},
};

async fn save(table: &TestTable, operation: &Operation) -> EditOutcome {
    table.table.save_operation(operation, &Effects::default()).await.unwrap()
}

fn entry(table: &TestTable, operation: &Operation) -> Entry {
    table.entry("user:bob", &format!("operation:{}", operation.id), Some(operation.tenant.as_str()))
}

fn token() -> TaskToken {
    TaskToken::new("t0ken/+=".repeat(256)).unwrap()
}

fn asked(table: &TestTable, by: &str) -> Asked {
    Asked::by(by, table.system.now())
}

/// Everything that an operation can have.
fn full(table: &TestTable, plain: &Operation) -> Operation {
    let now = table.system.now();
    let mut attempt = Attempt::new(3, Phase::Apply, now);
    attempt.token = Some(token());
    attempt.sequence = u64::MAX;
    attempt.last_message = Some("fingerprint".into());
    attempt.reported = true;
    let step = |state, percentage, message: Option<&str>| Step {
        name: "init".into(),
        attempt: 1,
        state,
        percentage,
        message: message.map(str::to_owned),
        started_at: now,
        ended_at: percentage.map(|_| now),
    };
    let verdict = Verdict { approved: true, asked: asked(table, "user:bob"), comment: Some("fine".into()) };
    let value = json!({ "whole": 1.0, "great": 1e200, "deep": [[[null]]] });
    Operation {
        approval_required: true,
        cancel: Some(asked(table, "user:eve")),
        verdict: Some(verdict),
        attempt: Some(attempt),
        plan: Some(PlanSummary { add: 1, change: 2, destroy: u32::MAX, moved: 4, applyable: Some(true) }),
        outputs: BTreeMap::from([
            ("url".into(), OutputValue::Value(value.into())),
            (String::new(), OutputValue::Sensitive),
            ("large".into(), OutputValue::TooLarge),
        ]),
        steps: vec![
            step(StepState::Running, None, None),
            step(StepState::Succeeded, Some(100), Some("done")),
            step(StepState::Failed, Some(0), None),
        ],
        log: vec![String::new(), "ä".into()],
        links: vec![Link { name: "log".into(), url: "https://log.example/".into() }],
        run: Some("main:app:deploy:42".parse().unwrap()),
        failure: Some("it broke".into()),
        unchanged: true,
        ..plain.clone()
    }
}

fn every_state(table: &TestTable) -> Vec<State> {
    let (at, since) = (table.system.now(), table.system.now());
    let endings = [
        OperationOutcome::Succeeded,
        OperationOutcome::Failed,
        OperationOutcome::Cancelled,
        OperationOutcome::Rejected,
        OperationOutcome::TimedOut,
    ];
    let phases = [Phase::Plan, Phase::Apply, Phase::Deploy];
    let mut states = vec![State::Requested, State::AwaitingApproval { since, token: token() }];
    states.extend(phases.map(|phase| State::Running { phase }));
    states.extend(endings.map(|ending| State::Ended { ending, at, reason: None }));
    states.push(State::Ended { ending: OperationOutcome::Failed, at, reason: Some("it broke".into()) });
    states
}

fn every_signal() -> [Option<Signal>; 5] {
    let (error, cause) = ("Rejected".to_owned(), "no".to_owned());
    [
        None,
        Some(Signal::Start),
        Some(Signal::Succeed { token: token(), output: json!({ "next": 1.0, "by": null }) }),
        Some(Signal::Fail { token: token(), error, cause }),
        Some(Signal::Stop),
    ]
}

fn every_work() -> [Work; 5] {
    let webhook = DeployTarget::Webhook("https://deploy.example/canary".into());
    let job = DeployTarget::Job("job_deploy".parse().unwrap());
    [
        Work::Provision(configuration()),
        Work::Deprovision(Configuration {
            artifact: Some("a0".repeat(32).try_into().unwrap()),
            secret_inputs: serde_json::from_value(json!({ "password": "c2VhbGVk" })).unwrap(),
            ..configuration()
        }),
        Work::Drift(configuration()),
        Work::Deploy { version: "1.2".into(), target: webhook },
        Work::Deploy { version: "1.3".into(), target: job },
    ]
}

#[tokio::test]
async fn an_operation_comes_back_as_it_was_saved_in_every_state() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let mut current = begun(&table, &shop, "dev").await;
    assert_eq!(find(&table, &current).await.as_ref(), Some(&current));
    for full_or_not in [current.clone(), full(&table, &current)] {
        for (state, owed) in every_state(&table).into_iter().zip(every_signal().into_iter().cycle()) {
            for work in every_work() {
                let before = Operation { work, version: current.version, ..full_or_not.clone() };
                current = changed(&table, &before, state.clone(), owed.clone());
                assert_eq!(save(&table, &current).await, EditOutcome::Done);
                assert_eq!(find(&table, &current).await.as_ref(), Some(&current));
            }
        }
    }
}

#[tokio::test]
async fn an_operation_locks_its_environment_from_beginning_to_end() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    assert_eq!(state(&table, &shop, "dev").await, None);
    let first = begun(&table, &shop, "dev").await;
    let fresh = EnvironmentState::new(shop.id.clone(), "dev".parse().unwrap());
    let id = Some(first.id.clone());
    let locked = EnvironmentState { running: id.clone(), last_provisioning: id.clone(), ..fresh.clone() };
    assert_eq!(state(&table, &shop, "dev").await, Some(locked));
    let second = operation(&table, &shop, "dev");
    match begin(&table, &second, &shop).await {
        BeginOutcome::Busy(running) => assert_eq!(running, first.id),
        other => panic!("{other:?}"),
    }
    assert_eq!(find(&table, &second).await, None);
    begun(&table, &shop, "prod").await;
    end(&table, &first, &Settled::default()).await;
    let free = EnvironmentState { last_provisioning: id.clone(), ..fresh.clone() };
    assert_eq!(state(&table, &shop, "dev").await, Some(free));
    let target = DeployTarget::Job("job_deploy".parse().unwrap());
    let deploy = Operation { work: Work::Deploy { version: "1".into(), target }, ..second };
    assert!(matches!(begin(&table, &deploy, &shop).await, BeginOutcome::Begun));
    let deploying = Some(deploy.id.clone());
    let both = EnvironmentState {
        running: deploying.clone(),
        last_deploy: deploying,
        last_provisioning: id,
        ..fresh
    };
    assert_eq!(state(&table, &shop, "dev").await, Some(both));
}

#[tokio::test]
async fn of_a_hundred_operations_in_an_environment_one_begins() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let operations: Vec<_> = (0..100).map(|_| operation(&table, &shop, "dev")).collect();
    let outcomes = join_all(operations.iter().map(|operation| begin(&table, operation, &shop))).await;
    let begun = outcomes.iter().position(|outcome| matches!(outcome, BeginOutcome::Begun)).unwrap();
    for (place, outcome) in outcomes.iter().enumerate().filter(|(place, _)| *place != begun) {
        match outcome {
            BeginOutcome::Busy(running) => assert_eq!(*running, operations[begun].id),
            other => panic!("{place}: {other:?}"),
        }
    }
    assert_eq!(open(&table, 100).await, [operations[begun].clone()]);
    assert_eq!(history(&table, &operations[begun], 100).await, [operations[begun].clone()]);
}

#[tokio::test]
async fn an_operation_that_exists_is_answered_as_it_stands() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let first = begun(&table, &shop, "dev").await;
    let now = changed(&table, &first, State::Running { phase: Phase::Plan }, None);
    save(&table, &now).await;
    for service in [&shop, &edited(&table, &shop)] {
        match begin(&table, &first, service).await {
            BeginOutcome::Exists(existing) => assert_eq!(*existing, now, "it comes before all else"),
            other => panic!("{other:?}"),
        }
    }
    let over = end(&table, &now, &Settled::default()).await;
    match begin(&table, &first, &shop).await {
        BeginOutcome::Exists(existing) => assert_eq!(*existing, over),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_operation_begins_only_with_the_service_as_it_was_seen() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let next = edited(&table, &shop);
    let none = EnvironmentEdits::default();
    let entry = || entry_of(&table, &shop);
    let services: &dyn gatehouse_domain::catalog::SaveService = &*table.table;
    services.replace_service(&next, &shop.revision, &none, &entry()).await.unwrap();
    let operation = operation(&table, &shop, "dev");
    assert!(matches!(begin(&table, &operation, &shop).await, BeginOutcome::ServiceChanged));
    services.delete_service(&next, &[], &entry()).await.unwrap();
    assert!(matches!(begin(&table, &operation, &next).await, BeginOutcome::ServiceChanged));
    assert_eq!(find(&table, &operation).await, None);
    assert_eq!(open(&table, 10).await, []);
    let left = table.client.scan().table_name(&table.name).filter_expression("begins_with(pk, :service)");
    let left = left.expression_attribute_values(":service", AttributeValue::S("SERVICE#".into()));
    assert_eq!(left.send().await.unwrap().count, 0, "an environment of no service is left");
}

#[tokio::test]
async fn a_change_is_written_only_where_nobody_elses_came_first() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let first = begun(&table, &shop, "dev").await;
    let second = changed(&table, &first, State::Running { phase: Phase::Plan }, None);
    assert_eq!(save(&table, &second).await, EditOutcome::Done);
    let stale = changed(&table, &first, State::Running { phase: Phase::Deploy }, None);
    assert_eq!(save(&table, &stale).await, EditOutcome::Conflict);
    let stale_end = ended(&table, &first);
    let (settled, said) = (present(&table, &first), entry(&table, &first));
    let outcome = table
        .table
        .save_operation(
            &stale_end,
            &Effects { settled: Some(&settled), entry: Some(&said), ..Effects::default() },
        )
        .await
        .unwrap();
    assert_eq!(outcome, EditOutcome::Conflict);
    assert_eq!(find(&table, &first).await.as_ref(), Some(&second));
    let environment = state(&table, &shop, "dev").await.unwrap();
    assert_eq!(environment.running.as_ref(), Some(&first.id));
    assert_eq!(environment.infrastructure, Infrastructure::Absent);
    assert_eq!(open(&table, 10).await, [second]);
    assert!(!trail(&table).await.contains(&said.id), "an entry of what did not happen");
    let gone = operation(&table, &shop, "prod");
    assert_eq!(save(&table, &changed(&table, &gone, State::Requested, None)).await, EditOutcome::Conflict);
    assert_eq!(find(&table, &gone).await, None, "a change makes no operation");
}

#[tokio::test]
async fn of_a_hundred_changes_at_the_same_moment_one_is_written() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let first = begun(&table, &shop, "dev").await;
    let changes: Vec<_> = (0..100)
        .map(|n| {
            let next = changed(&table, &first, State::Running { phase: Phase::Plan }, None);
            Operation { log: vec![n.to_string()], ..next }
        })
        .collect();
    let outcomes = join_all(changes.iter().map(|change| save(&table, change))).await;
    let done: Vec<_> =
        outcomes.iter().zip(&changes).filter(|(outcome, _)| **outcome == EditOutcome::Done).collect();
    assert_eq!(done.len(), 1);
    assert_eq!(find(&table, &first).await.as_ref(), Some(done[0].1));
}

#[tokio::test]
async fn what_an_end_says_of_the_environment_is_written_and_the_rest_stays() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let settle = async |settled: &dyn Fn(&Operation) -> Settled| {
        let operation = begun(&table, &shop, "dev").await;
        end(&table, &operation, &settled(&operation)).await;
        let state = state(&table, &shop, "dev").await.unwrap();
        assert_eq!(state.running, None);
        (operation, state)
    };
    let at = table.system.now();
    let (_, nothing) = settle(&|_| Settled::default()).await;
    assert!(nothing.is_idle() && nothing.deployed.is_none() && nothing.drift.is_none());
    let url = OutputValue::Value(json!({ "whole": 1.0, "great": 1e200 }).into());
    let outputs = BTreeMap::from([("url".to_owned(), url), ("key".to_owned(), OutputValue::Sensitive)]);
    let made = |operation: &Operation| {
        let expires_at = Some(at + Duration::from_hours(8));
        Provisioned { outputs: outputs.clone(), expires_at, ..provisioned(&table, operation) }
    };
    let drift = |operation: &Operation, state, change| Drift {
        operation: operation.id.clone(),
        state,
        checked_at: at,
        summary: PlanSummary { change, ..PlanSummary::default() },
    };
    let (first, whole) = settle(&|operation| Settled {
        infrastructure: Some(Infrastructure::Present(made(operation))),
        drift: Some(Some(drift(operation, DriftState::None, 0))),
        ..Settled::default()
    })
    .await;
    assert_eq!(whole.infrastructure, Infrastructure::Present(made(&first)));
    assert_eq!(whole.drift, Some(drift(&first, DriftState::None, 0)));
    let deployed =
        |operation: &Operation| Deployed { operation: operation.id.clone(), version: "1".into(), at };
    let (second, more) =
        settle(&|operation| Settled { deployed: Some(deployed(operation)), ..Settled::default() }).await;
    assert_eq!((more.infrastructure, more.drift), (whole.infrastructure, whole.drift));
    assert_eq!(more.deployed, Some(deployed(&second)));
    let (third, drifted) = settle(&|operation| Settled {
        drift: Some(Some(drift(operation, DriftState::Detected, 3))),
        ..Settled::default()
    })
    .await;
    assert_eq!(drifted.drift, Some(drift(&third, DriftState::Detected, 3)));
    let (fourth, half) = settle(&|operation| Settled {
        infrastructure: Some(Infrastructure::Partial(made(operation))),
        ..Settled::default()
    })
    .await;
    assert_eq!(half.infrastructure, Infrastructure::Partial(made(&fourth)));
    assert_eq!((half.drift, &half.deployed), (drifted.drift, &more.deployed));
    let (_, gone) = settle(&|_| Settled {
        infrastructure: Some(Infrastructure::Absent),
        drift: Some(None),
        ..Settled::default()
    })
    .await;
    assert!(gone.is_idle() && gone.drift.is_none());
    assert_eq!(gone.deployed, more.deployed);
}

#[tokio::test]
async fn an_environment_expires_only_where_its_time_is_over_still() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let first = begun(&table, &shop, "dev").await;
    let over = table.system.now() + Duration::from_hours(8);
    let made = Provisioned { expires_at: Some(over), ..provisioned(&table, &first) };
    let infrastructure = Some(Infrastructure::Present(made));
    end(&table, &first, &Settled { infrastructure, ..Settled::default() }).await;
    table.system.advance(Duration::from_hours(8));
    let expiry = |environment: &str| Operation {
        work: Work::Deprovision(configuration()),
        requested: asked(&table, "gatehouse:janitor"),
        ..operation(&table, &shop, environment)
    };
    let overtaken = expiry("dev");
    let seen = state(&table, &shop, "dev").await.unwrap();
    let later = over + Duration::from_hours(1);
    let extended = table.table.extend_environment(&seen, later, &entry(&table, &first)).await.unwrap();
    assert_eq!(extended, EditOutcome::Done);
    for not_due in [&overtaken, &expiry("prod")] {
        let outcome = begin(&table, not_due, &shop).await;
        assert!(matches!(outcome, BeginOutcome::NotExpired), "{outcome:?}");
        assert_eq!(find(&table, not_due).await, None);
    }
    assert_eq!(state(&table, &shop, "dev").await.unwrap().running, None);
    table.system.advance(Duration::from_hours(1));
    let due = expiry("dev");
    assert!(matches!(begin(&table, &due, &shop).await, BeginOutcome::Begun));
    match begin(&table, &expiry("dev"), &shop).await {
        BeginOutcome::Busy(running) => assert_eq!(running, due.id),
        other => panic!("{other:?}"),
    }
}

/// Another end, another operation, one that runs: each has come since the environment was seen.
#[tokio::test]
async fn an_end_moves_only_where_it_stands_as_it_was_seen() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let ends = |hours| Some(table.system.now() + Duration::from_hours(hours));
    let first = begun(&table, &shop, "dev").await;
    let present_until = async |operation: &Operation, expires_at| {
        let made = Provisioned { expires_at, ..provisioned(&table, operation) };
        let infrastructure = Some(Infrastructure::Present(made));
        end(&table, operation, &Settled { infrastructure, ..Settled::default() }).await;
        state(&table, &shop, "dev").await.unwrap()
    };
    let seen = present_until(&first, ends(8)).await;
    let extended = async |seen: &EnvironmentState, hours| {
        let (until, entry) = (ends(hours).unwrap(), entry(&table, &first));
        table.table.extend_environment(seen, until, &entry).await.unwrap()
    };
    let until = async || {
        let now = state(&table, &shop, "dev").await.unwrap();
        now.infrastructure.provisioned().and_then(|made| made.expires_at)
    };

    assert_eq!(extended(&seen, 9).await, EditOutcome::Done);
    let (moved, written) = (state(&table, &shop, "dev").await.unwrap(), trail(&table).await.len());
    assert_eq!(extended(&seen, 10).await, EditOutcome::Conflict, "its end is another one by now");
    assert_eq!((until().await, trail(&table).await.len()), (ends(9), written));

    let second = begun(&table, &shop, "dev").await;
    assert_eq!(extended(&moved, 10).await, EditOutcome::Conflict, "an operation runs");
    assert_eq!(until().await, ends(9));

    let anew = present_until(&second, ends(9)).await;
    let written = trail(&table).await.len();
    assert_eq!(
        extended(&moved, 10).await,
        EditOutcome::Conflict,
        "it was provisioned anew, to end at the same time"
    );
    assert_eq!((until().await, trail(&table).await.len()), (ends(9), written));
    assert_eq!(extended(&anew, 10).await, EditOutcome::Done);
    assert_eq!((until().await, trail(&table).await.len()), (ends(10), written + 1));
}

#[tokio::test]
async fn an_operation_ends_only_an_environment_that_is_its_own() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let first = begun(&table, &shop, "dev").await;
    let other = begun(&table, &shop, "prod").await;
    let strays = [
        Operation { environment: "prod".parse().unwrap(), ..first.clone() },
        Operation { environment: "none".parse().unwrap(), ..first.clone() },
    ];
    for stray in strays {
        let settled = present(&table, &stray);
        let outcome = table
            .table
            .save_operation(
                &ended(&table, &stray),
                &Effects { settled: Some(&settled), ..Effects::default() },
            )
            .await;
        assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{outcome:?}");
    }
    assert_eq!(find(&table, &first).await.as_ref(), Some(&first), "nothing was written");
    let prod = state(&table, &shop, "prod").await.unwrap();
    assert_eq!((prod.running, prod.infrastructure), (Some(other.id), Infrastructure::Absent));
    assert_eq!(state(&table, &shop, "none").await, None);
}

async fn open(table: &TestTable, limit: u8) -> Vec<Operation> {
    let pages = pages(limit, |page| {
        let operations = table.table.clone();
        async move { operations.open_operations(&page).await }
    });
    let mut open = pages.await.concat();
    open.sort_by(|one, other| one.id.cmp(&other.id));
    open
}

#[tokio::test]
async fn an_operation_is_open_until_it_has_ended_and_no_signal_is_pending() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    assert_eq!(open(&table, 10).await, []);
    let first = begun(&table, &shop, "dev").await;
    let running = changed(&table, &first, State::Running { phase: Phase::Plan }, None);
    save(&table, &running).await;
    assert_eq!(open(&table, 10).await, slice::from_ref(&running));
    let over = Operation { pending_signal: Some(Signal::Stop), ..ended(&table, &running) };
    let settled = Settled::default();
    table
        .table
        .save_operation(&over, &Effects { settled: Some(&settled), ..Effects::default() })
        .await
        .unwrap();
    assert_eq!(open(&table, 10).await, slice::from_ref(&over));
    assert_eq!(state(&table, &shop, "dev").await.unwrap().running, None, "the lock does not wait for that");
    begun(&table, &shop, "dev").await;
    let told = changed(&table, &over, over.state.clone(), None);
    assert_eq!(save(&table, &told).await, EditOutcome::Done);
    assert_eq!(find(&table, &first).await, Some(told));
    assert_eq!(open(&table, 10).await.len(), 1, "the next one is open, and no other");
}

#[tokio::test]
async fn open_operations_are_listed_page_by_page() {
    let table = TestTable::new().await;
    let mut begun_ones = Vec::new();
    for n in 0..5 {
        let shop = saved(&table, "acme", &format!("shop-{n}")).await;
        begun_ones.push(begun(&table, &shop, "dev").await);
    }
    begun_ones.sort_by(|one, other| one.id.cmp(&other.id));
    for limit in [1, 2, 5, 100] {
        assert_eq!(open(&table, limit).await, begun_ones, "{limit}");
    }
    table.calls.take();
    table.table.open_operations(&PageRequest::default()).await.unwrap();
    assert_eq!(table.calls.take(), ["Query", "BatchGetItem"]);
}

async fn ending(table: &TestTable, hours: u64, limit: u8) -> Vec<String> {
    let now = table.system.now() + Duration::from_hours(hours);
    let pages = pages(limit, |page| {
        let operations = table.table.clone();
        async move { operations.ended_environments(now, &page).await }
    });
    pages.await.concat().into_iter().map(|(_, environment)| environment.to_string()).collect()
}

#[tokio::test]
async fn environments_whose_time_is_over_are_listed_in_the_order_of_their_ends() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let provision = async |environment: &str, hours: Option<u64>, whole: bool| {
        let operation = begun(&table, &shop, environment).await;
        let expires_at = hours.map(|hours| table.system.now() + Duration::from_hours(hours));
        let made = Provisioned { expires_at, ..provisioned(&table, &operation) };
        let made = if whole { Infrastructure::Present(made) } else { Infrastructure::Partial(made) };
        end(&table, &operation, &Settled { infrastructure: Some(made), ..Settled::default() }).await;
    };
    provision("late", Some(9), true).await;
    provision("half", Some(2), false).await;
    provision("forever", None, true).await;
    provision("early", Some(1), true).await;
    for limit in [1, 2, 100] {
        assert_eq!(ending(&table, 0, limit).await, [""; 0]);
        assert_eq!(ending(&table, 1, limit).await, ["early"], "at its very end");
        assert_eq!(ending(&table, 8, limit).await, ["early", "half"]);
        assert_eq!(ending(&table, 9, limit).await, ["early", "half", "late"]);
    }
    begun(&table, &shop, "early").await;
    assert_eq!(ending(&table, 8, 100).await, ["early", "half"], "it stays while something goes on there");
    provision("half", Some(10), true).await;
    provision("late", None, true).await;
    assert_eq!(ending(&table, 100, 100).await, ["early", "half"]);
    let operation = begun(&table, &shop, "half").await;
    let gone = Settled { infrastructure: Some(Infrastructure::Absent), ..Settled::default() };
    end(&table, &operation, &gone).await;
    assert_eq!(ending(&table, 100, 100).await, ["early"]);
}

async fn history(table: &TestTable, of: &Operation, limit: u8) -> Vec<Operation> {
    let pages = pages(limit, |page| {
        let (operations, service) = (table.table.clone(), of.service.clone());
        async move { operations.list_operations(&service, &page).await }
    });
    pages.await.concat()
}

#[tokio::test]
async fn the_operations_of_a_service_are_listed_with_the_newest_first() {
    let table = TestTable::new().await;
    let (shop, other) = (saved(&table, "acme", "shop").await, saved(&table, "acme", "other").await);
    let foreign = begun(&table, &other, "dev").await;
    let mut ended_ones = Vec::new();
    for n in 0..5 {
        table.system.advance(Duration::from_millis(1));
        let operation = begun(&table, &shop, if n % 2 == 0 { "dev" } else { "prod" }).await;
        ended_ones.insert(0, end(&table, &operation, &Settled::default()).await);
    }
    for limit in [1, 2, 5, 100] {
        assert_eq!(history(&table, &ended_ones[0], limit).await, ended_ones, "{limit}");
    }
    let page = table.table.list_operations(&shop.id, &behind(None)).await.unwrap();
    let refused = table.table.list_operations(&foreign.service, &behind(page.next.clone())).await;
    assert!(matches!(refused, Err(ListError::Cursor(_))), "{refused:?}");
    let refused = table.table.open_operations(&behind(page.next)).await;
    assert!(matches!(refused, Err(ListError::Cursor(_))), "{refused:?}");
}

#[tokio::test]
async fn operations_are_looked_up_together_with_one_call() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let (dev, prod) = (begun(&table, &shop, "dev").await, begun(&table, &shop, "prod").await);
    let missing = operation(&table, &shop, "dev");
    let ids = [&dev, &missing, &prod, &dev].map(|operation| operation.id.clone());
    table.calls.take();
    let mut found = table.table.find_operations(&ids).await.unwrap();
    assert_eq!(table.calls.take(), ["BatchGetItem"]);
    found.sort_by(|one, other| one.environment.as_str().cmp(other.environment.as_str()));
    assert_eq!(found, [dev, prod]);
    assert_eq!(table.table.find_operations(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn an_operation_is_forgotten_400_days_after_it_was_asked_for_if_it_has_ended() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let operation = begun(&table, &shop, "dev").await;
    let expiry = async || {
        let key = |text: String| AttributeValue::S(text);
        let call = table.client.get_item().table_name(&table.name);
        let call =
            call.key("pk", key(format!("OPERATION#{}", operation.id))).key("sk", key("OPERATION".into()));
        let item = call.send().await.unwrap().item.expect("the operation");
        item.get("expires_at").cloned()
    };
    assert_eq!(expiry().await, None, "one that goes on is never forgotten");
    table.system.advance(Duration::from_hours(1));
    end(&table, &operation, &Settled::default()).await;
    let end = operation.requested.at + Duration::from_hours(400 * 24);
    assert_eq!(expiry().await, Some(AttributeValue::N(end.as_second().to_string())));
}

async fn trail(table: &TestTable) -> Vec<String> {
    let pages = pages(100, |page| {
        let (trail, now) = (table.table.clone(), table.system.now());
        async move { trail.list_audit(&AuditFilter::Everything, now, &page).await }
    });
    pages.await.concat().into_iter().map(|entry| entry.id).collect()
}

#[tokio::test]
async fn what_the_trail_cannot_take_does_not_happen_to_an_operation() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let (first, second) = (operation(&table, &shop, "dev"), operation(&table, &shop, "prod"));
    let used = entry(&table, &first);
    table.table.begin_operation(&first, &shop.revision, &used).await.unwrap();
    let begun = table.table.begin_operation(&second, &shop.revision, &used).await;
    begun.expect_err("begun without an entry");
    let over = ended(&table, &first);
    let settled = present(&table, &first);
    let saved = table
        .table
        .save_operation(&over, &Effects { settled: Some(&settled), entry: Some(&used), ..Effects::default() })
        .await;
    saved.expect_err("ended without an entry");
    assert_eq!((find(&table, &first).await, find(&table, &second).await), (Some(first.clone()), None));
    assert_eq!(state(&table, &shop, "prod").await, None);
    let dev = state(&table, &shop, "dev").await.unwrap();
    assert_eq!((dev.running, dev.infrastructure), (Some(first.id.clone()), Infrastructure::Absent));
    assert_eq!(open(&table, 10).await, slice::from_ref(&first));
    let said = entry(&table, &first);
    let saved = table
        .table
        .save_operation(&over, &Effects { settled: Some(&settled), entry: Some(&said), ..Effects::default() })
        .await;
    assert_eq!(saved.unwrap(), EditOutcome::Done);
    assert_eq!(trail(&table).await.iter().filter(|id| **id == said.id).count(), 1);
}

#[tokio::test]
async fn a_change_that_was_written_before_is_done() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let first = begun(&table, &shop, "dev").await;
    let second = Operation { version: 2, ..full(&table, &first) };
    for _ in 0..2 {
        assert_eq!(save(&table, &second).await, EditOutcome::Done);
    }
    let over = ended(&table, &second);
    let settled = present(&table, &second);
    for _ in 0..2 {
        let saved = table
            .table
            .save_operation(&over, &Effects { settled: Some(&settled), ..Effects::default() })
            .await;
        assert_eq!(saved.unwrap(), EditOutcome::Done);
    }
    let next = begun(&table, &shop, "dev").await;
    let saved =
        table.table.save_operation(&over, &Effects { settled: Some(&settled), ..Effects::default() }).await;
    assert_eq!(saved.unwrap(), EditOutcome::Done);
    assert_eq!(state(&table, &shop, "dev").await.unwrap().running, Some(next.id), "its lock is another's");
}

#[tokio::test]
async fn an_answer_that_is_lost_changes_neither_what_happened_nor_what_is_said_of_it() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let line = table.losing_answers();
    let first = operation(&table, &shop, "dev");
    table.calls.take();
    let begun = line.begin_operation(&first, &shop.revision, &entry(&table, &first)).await.unwrap();
    assert!(matches!(begun, BeginOutcome::Begun), "{begun:?}");
    assert_eq!(table.calls.take(), ["TransactWriteItems"; 2], "it was tried again");
    let second = changed(&table, &first, State::Running { phase: Phase::Plan }, None);
    assert_eq!(line.save_operation(&second, &Effects::default()).await.unwrap(), EditOutcome::Done);
    assert_eq!(table.calls.take(), ["PutItem"; 2], "it was tried again");
    let stale = changed(&table, &first, State::Running { phase: Phase::Deploy }, None);
    assert_eq!(line.save_operation(&stale, &Effects::default()).await.unwrap(), EditOutcome::Conflict);
    let over = ended(&table, &second);
    let (settled, said) = (present(&table, &second), entry(&table, &second));
    let outcome = line
        .save_operation(&over, &Effects { settled: Some(&settled), entry: Some(&said), ..Effects::default() })
        .await
        .unwrap();
    assert_eq!(outcome, EditOutcome::Done);
    assert_eq!(find(&table, &first).await, Some(over));
    assert_eq!(open(&table, 10).await, []);
    assert_eq!(trail(&table).await.len(), 3, "the service, the beginning, the end");
}
