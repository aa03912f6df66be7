//! What the janitor announces: once, whatever else happens to it.

use std::{collections::BTreeSet, num::NonZeroU16, sync::Mutex, time::Duration};

use async_trait::async_trait;
use futures_util::future::join_all;
use gatehouse_domain::{
    access::Scope,
    api_key::{ApiKey, SaveApiKey},
    caller::Tenants,
    clock::Clock,
    id::{KeyId, TokenId},
    janitor::{
        Announce, Announcement, Marks, Outbox, Publish, PublishError, RememberRound, Report, Round, Settings,
        Subject, Watch, sweep,
    },
    operations::change::WorkflowPorts,
    paging::PageRequest,
    revision::{EditOutcome, Revision},
    signing::{FindKeyRing, KeyRing, ROTATE_AFTER, SaveKeyRing, SigningKey},
    tokens::{RecordUse, SaveToken, ServiceToken, TokenState, Use},
};
use jiff::Timestamp;

use crate::support::{Begins, Flushes, TestSystem, TestTable, behind, pages};

const DAY: Duration = Duration::from_hours(24);

/// A bus that keeps what it is told, or is down.
#[derive(Default)]
struct Bus {
    ids: Mutex<Vec<String>>,
    is_down: bool,
}

impl Bus {
    fn down() -> Self {
        Self { is_down: true, ..Self::default() }
    }

    fn ids(&self) -> Vec<String> {
        let mut ids = self.ids.lock().unwrap().clone();
        ids.sort();
        ids
    }
}

#[async_trait]
impl Publish for Bus {
    async fn publish(&self, announcements: &[Announcement]) -> Vec<Result<(), PublishError>> {
        if self.is_down {
            return announcements.iter().map(|_| Err(PublishError("down".into()))).collect();
        }
        self.ids.lock().unwrap().extend(announcements.iter().map(|announcement| announcement.id.clone()));
        announcements.iter().map(|_| Ok(())).collect()
    }
}

/// A bus that takes a second for each announcement.
struct Slow<'a>(&'a Bus, &'a TestSystem);

#[async_trait]
impl Publish for Slow<'_> {
    async fn publish(&self, announcements: &[Announcement]) -> Vec<Result<(), PublishError>> {
        self.1.advance(Duration::from_secs(announcements.len().try_into().unwrap()));
        self.0.publish(announcements).await
    }
}

async fn sweep_onto(table: &TestTable, bus: &Bus) -> Report {
    sweep_until(table, bus, Timestamp::MAX).await
}

async fn sweep_until(table: &TestTable, bus: &dyn Publish, deadline: Timestamp) -> Report {
    let settings = Settings { unused_days: NonZeroU16::new(90).unwrap(), deadline };
    let workflow = WorkflowPorts { start: Some(&Begins), answer: None, oversee: None };
    sweep(&*table.table, workflow, bus, &Flushes::default(), &*table.system, &settings).await
}

/// What a sweep publishes.
async fn swept(table: &TestTable) -> Vec<String> {
    let bus = Bus::default();
    let report = sweep_onto(table, &bus).await;
    assert!(report.failures.is_empty() && report.finished, "{report:?}");
    bus.ids()
}

async fn mint(table: &TestTable, days: u32) -> ServiceToken {
    let now = table.system.now();
    let token = ServiceToken {
        jti: TokenId::generate(&*table.system),
        tenant: "acme".parse().unwrap(),
        project: "payments".parse().unwrap(),
        service: "worker".parse().unwrap(),
        description: None,
        created_at: now,
        created_by: "user:ada".into(),
        expires_at: now + DAY * days,
        last_used_at: None,
        replaces: None,
        state: TokenState::Active,
    };
    let entry = table.entry("user:ada", &format!("token:{}", token.jti), Some("acme"));
    table.table.save_new_token(&token, &entry).await.unwrap();
    token
}

async fn waiting(table: &TestTable) -> Vec<String> {
    let pages = pages(2, |page| async move { table.table.to_publish(&page).await }).await;
    pages.into_iter().flatten().map(|announcement| announcement.id).collect()
}

#[tokio::test]
async fn every_token_is_announced_once_however_many_sweep_at_once() {
    let table = TestTable::new().await;
    let mut expected = Vec::new();
    for _ in 0..30 {
        expected.push(format!("{}:ending:14", mint(&table, 10).await.jti));
    }
    expected.sort();
    let bus = Bus::default();
    let reports = join_all((0..4).map(|_| sweep_onto(&table, &bus))).await;
    assert_eq!(reports.iter().map(|report| report.announced).sum::<usize>(), 30, "{reports:?}");
    let published: BTreeSet<_> = bus.ids().into_iter().collect();
    assert_eq!(published.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(waiting(&table).await, [""; 0]);
    assert_eq!(swept(&table).await, [""; 0]);
}

#[tokio::test]
async fn what_was_not_published_waits_in_the_order_of_its_finding() {
    let table = TestTable::new().await;
    let token = mint(&table, 10).await;
    assert_eq!(sweep_onto(&table, &Bus::down()).await.published, 0);
    table.system.advance(DAY * 5);
    assert_eq!(sweep_onto(&table, &Bus::down()).await.announced, 1);
    table.system.advance(DAY * 5);
    assert_eq!(sweep_onto(&table, &Bus::down()).await.announced, 1);
    let expected = ["ending:14", "ending:7", "ended:0"].map(|what| format!("{}:{what}", token.jti));
    assert_eq!(waiting(&table).await, expected);
    assert_eq!(swept(&table).await.len(), 3);
    assert_eq!(waiting(&table).await, [""; 0]);
}

#[tokio::test]
async fn what_was_announced_outlives_a_use_of_the_token_and_its_rotation() {
    let table = TestTable::new().await;
    let token = mint(&table, 10).await;
    assert_eq!(swept(&table).await.len(), 1);
    let used = Use { jti: token.jti.clone(), at: table.system.now(), ends: None };
    table.table.record_use(&used).await.unwrap();
    assert_eq!(swept(&table).await, [""; 0]);
    let newer = ServiceToken {
        jti: TokenId::generate(&*table.system),
        expires_at: token.expires_at + DAY * 80,
        ..token.clone()
    };
    let state = TokenState::Rotated { to: newer.jti.clone(), at: table.system.now(), expires_at: None };
    let entry = table.entry("user:ada", &format!("token:{}", token.jti), Some("acme"));
    table.table.save_rotation(&newer, &ServiceToken { state, ..token.clone() }, &entry).await.unwrap();
    assert_eq!(swept(&table).await, [""; 0]);
    table.system.advance(DAY * 9);
    assert_eq!(swept(&table).await, [format!("{}:ending:1", token.jti)]);
}

#[tokio::test]
async fn a_token_is_announced_for_two_reasons_at_once() {
    let table = TestTable::new().await;
    let token = mint(&table, 100).await;
    table.system.advance(DAY * 90);
    let of = |what: &str| format!("{}:{what}", token.jti);
    let day = (token.created_at + DAY * 90).strftime("%Y-%m-%d").to_string();
    assert_eq!(swept(&table).await, [of("ending:14"), of(&format!("unused:{day}"))]);
    assert_eq!(swept(&table).await, [""; 0]);
}

#[tokio::test]
async fn an_api_key_is_announced_until_it_has_ended() {
    let table = TestTable::new().await;
    let scopes = BTreeSet::from([Scope::All]);
    let (key, _) =
        ApiKey::generate(&*table.system, "nightly".into(), scopes, Tenants::All, table.system.now());
    let key = ApiKey { expires_at: Some(table.system.now() + DAY * 20), ..key };
    table.table.save_api_key(&key, None).await.unwrap();
    let of = |what: &str| [format!("{}:{what}", key.id.as_str())];
    assert_eq!(swept(&table).await, of("ending:30"));
    table.system.advance(DAY * 20);
    assert_eq!(swept(&table).await, of("ended:0"));
    assert_eq!(swept(&table).await, [""; 0]);
}

#[tokio::test]
async fn a_ring_is_announced_once_for_each_key_that_is_due() {
    let table = TestTable::new().await;
    for kid in ["one", "two"] {
        let previous = table.table.find_key_ring().await.unwrap();
        let mut keys = previous.as_ref().map(|ring| ring.keys.clone()).unwrap_or_default();
        let now = table.system.now();
        keys.push(SigningKey {
            kid: kid.parse::<KeyId>().unwrap(),
            public_key: "public".into(),
            published_at: now,
            signs_from: now,
        });
        let ring = KeyRing { keys, revision: Revision::new(&*table.system) };
        let entry = table.entry("user:root", &format!("signing_key:{kid}"), None);
        let previous = previous.map(|ring| ring.revision);
        let saved = table.table.save_key_ring(&ring, previous.as_ref(), &entry).await.unwrap();
        assert_eq!(saved, EditOutcome::Done);
        assert_eq!(swept(&table).await, [""; 0]);
        table.system.advance(ROTATE_AFTER);
        let day = table.system.now().strftime("%Y-%m-%d").to_string();
        assert_eq!(swept(&table).await, [format!("{kid}:due:{day}")]);
        assert_eq!(swept(&table).await, [""; 0]);
    }
}

#[tokio::test]
async fn what_is_gone_is_neither_announced_nor_made_again() {
    let table = TestTable::new().await;
    let token = mint(&table, 10).await;
    assert_eq!(sweep_onto(&table, &Bus::down()).await.announced, 1);
    let page = table.table.to_publish(&PageRequest::default()).await.unwrap();
    let gone = Subject::Token(TokenId::generate(&*table.system));
    let marks = Marks { ending: Some(14), ..Marks::default() };
    let announcement = Announcement { id: "gone:ending:14".into(), ..page.items[0].clone() };
    for previous in [Marks::default(), marks.clone()] {
        let outcome =
            table.table.announce(&gone, &previous, &marks, std::slice::from_ref(&announcement)).await;
        assert_eq!(outcome.unwrap(), EditOutcome::Conflict);
    }
    assert_eq!(waiting(&table).await, [format!("{}:ending:14", token.jti)]);
}

#[tokio::test]
async fn sweeps_with_little_time_go_on_where_the_one_before_stopped_and_announce_each_token_once() {
    let table = TestTable::new().await;
    let mut expected = Vec::new();
    for _ in 0..250 {
        expected.push(format!("{}:ending:14", mint(&table, 10).await.jti));
    }
    expected.sort();
    let bus = Bus::default();
    let mut sweeps = Vec::new();
    table.writes.take();
    while sweeps.last().is_none_or(|report: &Report| !report.finished) {
        let deadline = table.system.now() + Duration::from_mins(1);
        sweeps.push(sweep_until(&table, &Slow(&bus, &table.system), deadline).await);
        assert!(sweeps.len() < 20, "they never come to the end: {sweeps:?}");
    }
    let puts = table.writes.take().into_iter().filter(|(operation, _)| *operation == "PutItem");
    let places: Vec<_> = puts.map(|(_, partition)| partition).filter(|put| put != "CURSOR_KEY").collect();
    assert_eq!(places, ["SWEEP"; 3], "where each of them stopped");
    let looked: Vec<_> = sweeps.iter().map(|report| (report.resumed, report.finished)).collect();
    assert_eq!(looked, [(false, false), (true, false), (true, true)]);
    assert_eq!(table.table.round().await.unwrap(), Round::default());
    sweep_onto(&table, &bus).await;
    assert_eq!((bus.ids(), waiting(&table).await), (expected, Vec::<String>::new()));
}

#[tokio::test]
async fn a_place_that_is_noted_comes_back_and_one_of_another_list_is_none() {
    let table = TestTable::new().await;
    for _ in 0..2 {
        mint(&table, 90).await;
    }
    let store = &*table.table;
    assert_eq!(store.round().await.unwrap(), Round::default());
    let next = store.watched_tokens(&behind(None)).await.unwrap().next;
    let round = Round { tokens: next.clone(), api_keys: None };
    store.note_round(&round).await.unwrap();
    assert_eq!(store.round().await.unwrap(), round);
    // What no list has ended with begins anew, and is no failure.
    store.note_round(&Round { tokens: None, api_keys: next }).await.unwrap();
    let report = sweep_onto(&table, &Bus::default()).await;
    assert!(report.resumed && report.finished && report.failures.is_empty(), "{report:?}");
    assert_eq!(store.round().await.unwrap(), Round::default());
}

#[tokio::test]
async fn a_sweep_without_news_reads_ten_times_and_one_with_news_writes_what_it_must() {
    // The flush, the outbox, what is open, what ends soon, what has ended, what is due to be looked at, the ring, where the
    // sweep before stopped, the keys, the tokens.
    let quiet =
        ["GetItem", "Query", "Query", "Query", "Query", "Query", "GetItem", "GetItem", "Query", "Query"];
    let table = TestTable::new().await;
    mint(&table, 90).await;
    table.calls.take();
    assert_eq!(swept(&table).await, [""; 0]);
    assert_eq!(table.calls.take(), quiet);
    table.system.advance(DAY * 80);
    assert_eq!(swept(&table).await.len(), 1);
    let news = ["TransactWriteItems", "Query", "DeleteItem"];
    assert_eq!(table.calls.take(), [&quiet[..], &news[..]].concat());
}
