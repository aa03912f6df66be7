//! The audit trail.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::join_all;
use gatehouse_domain::{
    audit::{Action, AppendAudit, AuditFilter, CountAudit, Entry, ListAudit, Origin, Outcome},
    caller::Tenants,
    clock::Clock,
    paging::{Cursor, ListError, PageRequest},
};
use gatehouse_store::{
    item::{key_attributes, text},
    keys,
};
use jiff::Timestamp;

use crate::support::{TestTable, behind, pages};

const DAY: Duration = Duration::from_hours(24);

async fn append(table: &TestTable, actor: &str, target: &str, tenant: Option<&str>) -> Entry {
    let entry = table.entry(actor, target, tenant);
    table.table.append_audit(&entry).await.unwrap();
    entry
}

async fn read(table: &TestTable, filter: &AuditFilter, until: Timestamp, limit: u8) -> Vec<Vec<Entry>> {
    pages(limit, |page| {
        let (trail, filter) = (table.table.clone(), filter.clone());
        async move { trail.list_audit(&filter, until, &page).await }
    })
    .await
}

async fn targets(table: &TestTable, filter: &AuditFilter, until: Timestamp, limit: u8) -> Vec<String> {
    let entries = read(table, filter, until, limit).await.concat();
    entries.into_iter().map(|entry| entry.target).collect()
}

fn of_tenant(tenant: &str) -> AuditFilter {
    AuditFilter::Tenant(tenant.parse().unwrap())
}

fn of_actor(actor: &str, tenants: &str) -> AuditFilter {
    AuditFilter::Actor { actor: actor.into(), tenants: tenants.parse().unwrap() }
}

#[tokio::test]
async fn an_entry_comes_back_as_it_was_written() {
    let table = TestTable::new().await;
    let now = table.system.now();
    let bare = Entry { detail: None, origin: Origin::default(), ..table.entry("user:?", "user:?", None) };
    let full = Entry {
        action: Action::RotateToken,
        outcome: Outcome::Refused,
        detail: Some("replaced by tok_1".into()),
        ..table.entry("api_key:key_1", "token:tok_1", Some("acme"))
    };
    for entry in [&bare, &full] {
        table.table.append_audit(entry).await.unwrap();
        table.table.append_audit(entry).await.unwrap();
    }
    let both = read(&table, &AuditFilter::Everything, now, 9).await.concat();
    assert_eq!(both, [full.clone(), bare.clone()], "an entry that was written twice is there twice");
    assert_eq!(read(&table, &of_tenant("acme"), now, 9).await.concat(), std::slice::from_ref(&full));
    assert_eq!(read(&table, &of_actor("user:?", "*"), now, 9).await.concat(), [bare]);
    assert_eq!(read(&table, &of_actor("api_key:key_1", "acme"), now, 9).await.concat(), [full]);
}

#[tokio::test]
async fn every_action_and_outcome_comes_back() {
    let table = TestTable::new().await;
    let mut written = Vec::new();
    for (place, action) in Action::ALL.iter().enumerate() {
        let outcome = Outcome::ALL[place % Outcome::ALL.len()];
        let entry = Entry { action: *action, outcome, ..table.entry("user:ada", "x", None) };
        table.table.append_audit(&entry).await.unwrap();
        table.system.advance(Duration::from_millis(1));
        written.insert(0, entry);
    }
    let found = read(&table, &AuditFilter::Everything, table.system.now(), 100).await.concat();
    assert_eq!(found, written);
}

#[tokio::test]
async fn the_trail_is_read_backwards_over_months_each_entry_once() {
    let table = TestTable::new().await;
    let mut wanted = Vec::new();
    for number in 0..12 {
        for _same_moment in 0..2 {
            let target = format!("x:{number}");
            append(&table, "user:ada", &target, Some("acme")).await;
            wanted.insert(0, target);
        }
        // Some months have several entries, and some have none.
        table.system.advance(if number % 4 == 3 { DAY * 70 } else { DAY * 9 });
    }
    let now = table.system.now();
    for filter in [AuditFilter::Everything, of_tenant("acme"), of_actor("user:ada", "acme")] {
        for limit in [1, 3, 100] {
            assert_eq!(targets(&table, &filter, now, limit).await, wanted, "{filter:?} by {limit}");
        }
    }
}

/// Puts an entry that was written where a version without shards has it: in one partition for each month of a trail.
async fn undivide(table: &TestTable, entry: &Entry) {
    for key in [keys::audit(entry), keys::audit_of_actor(entry)].map(key_attributes) {
        let call = table.client.get_item().table_name(&table.name).set_key(Some(key.clone()));
        let mut item = call.send().await.unwrap().item.expect("the entry");
        table.client.delete_item().table_name(&table.name).set_key(Some(key)).send().await.unwrap();
        for name in ["pk", "gsi1pk"] {
            let Some(shard) = item.get(name).map(|shard| shard.as_s().unwrap().clone()) else { continue };
            let (month, _) = shard.rsplit_once('#').unwrap();
            item.insert(name.to_owned(), text(month));
        }
        table.client.put_item().table_name(&table.name).set_item(Some(item)).send().await.unwrap();
    }
}

#[tokio::test]
async fn what_versions_with_and_without_shards_wrote_is_read_once_and_in_order() {
    let table = TestTable::new().await;
    let mut wanted = Vec::new();
    for number in 0..60_u32 {
        let entry = append(&table, "user:ada", &format!("x:{number}"), Some("acme")).await;
        // For a while both of them write.
        if number < 20 || (number < 40 && number % 3 == 0) {
            undivide(&table, &entry).await;
        }
        wanted.push(entry);
        // Some are of one moment, some of one month, and some months have none.
        table.system.advance(match number % 8 {
            0 => Duration::ZERO,
            7 => DAY * 33,
            _ => DAY,
        });
    }
    wanted.sort_by(|one, other| (other.at, &other.id).cmp(&(one.at, &one.id)));
    let now = table.system.now();
    for filter in [AuditFilter::Everything, of_tenant("acme"), of_actor("user:ada", "acme")] {
        for limit in [1, 2, 3, 7, 10, 59, 60, 100] {
            let pages = read(&table, &filter, now, limit).await;
            assert!(pages.iter().all(|page| page.len() <= usize::from(limit)), "{filter:?} by {limit}");
            assert_eq!(pages.concat(), wanted, "{filter:?} by {limit}");
        }
    }
}

#[tokio::test]
async fn what_is_written_between_two_pages_moves_nothing_on_the_next_ones() {
    let table = TestTable::new().await;
    let mut older = Vec::new();
    for number in 0..20 {
        older.insert(0, append(&table, "user:ada", &format!("x:{number}"), Some("acme")).await);
        table.system.advance(Duration::from_millis(1));
    }
    let (store, now) = (&*table.table, table.system.now());
    let mut found = Vec::new();
    let mut cursor = None;
    for _ in 0..older.len() {
        let page = store.list_audit(&AuditFilter::Everything, now, &behind(cursor)).await.unwrap();
        found.extend(page.items);
        cursor = page.next;
        append(&table, "user:bob", "new", Some("acme")).await;
    }
    assert_eq!(found, older);
}

#[tokio::test]
async fn a_count_that_versions_with_and_without_shards_share_is_one_entry() {
    let table = TestTable::new().await;
    let entry = table.entry("user:ada", "user:ada", Some("acme")).counted(Duration::from_mins(15), "ada");
    let count = async |times| {
        for _ in 0..times {
            table.table.count_audit(&entry).await.unwrap();
        }
    };
    count(3).await;
    undivide(&table, &entry).await;
    count(2).await;
    for filter in [AuditFilter::Everything, of_tenant("acme"), of_actor("user:ada", "*")] {
        let found = read(&table, &filter, table.system.now(), 10).await.concat();
        assert_eq!(found.iter().map(|entry| entry.count).collect::<Vec<_>>(), [Some(5)], "{filter:?}");
    }
}

#[tokio::test]
async fn entries_are_shared_out_to_all_shards() {
    let table = TestTable::new().await;
    let mut shards = BTreeMap::<_, u32>::new();
    for _ in 0..800 {
        let entry = table.entry("user:ada", "x", Some("acme"));
        let (everybodys, tenants) = (keys::audit(&entry).pk, keys::audit_of_tenant(&entry).unwrap().pk);
        *shards.entry((everybodys, tenants)).or_default() += 1;
    }
    assert_eq!(shards.len(), usize::from(keys::AUDIT_SHARDS));
    assert!(shards.values().all(|entries| (50..150).contains(entries)), "{shards:?}");
}

#[tokio::test]
async fn the_trail_ends_with_the_months_that_are_forgotten() {
    let table = TestTable::new().await;
    append(&table, "user:ada", "old", None).await;
    table.system.advance(DAY * 450);
    append(&table, "user:ada", "new", None).await;
    let now = table.system.now();
    let found = read(&table, &AuditFilter::Everything, now, 10).await;
    assert!((14..=15).contains(&found.len()), "{} pages for 400 days", found.len());
    assert_eq!(found.concat().into_iter().map(|entry| entry.target).collect::<Vec<_>>(), ["new"]);
    let before = read(&table, &AuditFilter::Everything, now - DAY * 450, 10).await;
    assert_eq!(before, [Vec::new()]);
    let for_ever = Timestamp::MAX;
    assert_eq!(targets(&table, &AuditFilter::Everything, for_ever, 10).await, ["new"]);
    assert_eq!(targets(&table, &AuditFilter::Everything, Timestamp::MIN, 10).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_trail_is_read_from_a_moment_back() {
    let table = TestTable::new().await;
    append(&table, "user:ada", "first", None).await;
    table.system.advance(Duration::from_millis(1));
    let until = table.system.now();
    append(&table, "user:ada", "second", None).await;
    table.system.advance(Duration::from_millis(1));
    append(&table, "user:ada", "third", None).await;
    assert_eq!(targets(&table, &AuditFilter::Everything, until, 1).await, ["second", "first"]);
}

#[tokio::test]
async fn somebodys_trail_shows_the_tenants_that_may_be_seen() {
    let table = TestTable::new().await;
    for tenant in [None, Some("acme"), Some("beta"), Some("zeta")] {
        append(&table, "user:ada", tenant.unwrap_or("none"), tenant).await;
        append(&table, "user:bob", "another's", tenant).await;
        table.system.advance(Duration::from_millis(1));
    }
    let now = table.system.now();
    let seen = async |tenants: &str| targets(&table, &of_actor("user:ada", tenants), now, 1).await;
    assert_eq!(seen("*").await, ["zeta", "beta", "acme", "none"]);
    assert_eq!(seen("acme,zeta").await, ["zeta", "acme"]);
    assert_eq!(seen("other").await, Vec::<String>::new());
    let nobody = AuditFilter::Actor { actor: "user:ada".into(), tenants: Tenants::Only(BTreeSet::new()) };
    assert_eq!(targets(&table, &nobody, now, 9).await, Vec::<String>::new());
    let long = "x".repeat(10_000);
    for strange in ["", "user:ada#2026-09", "#", &long] {
        assert_eq!(targets(&table, &of_actor(strange, "*"), now, 9).await, Vec::<String>::new(), "{strange}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_trail_is_refused() {
    let table = TestTable::new().await;
    for tenant in ["acme", "acme", "beta", "beta"] {
        append(&table, "user:ada", "x", Some(tenant)).await;
    }
    let now = table.system.now();
    let filters = [AuditFilter::Everything, of_tenant("acme"), of_tenant("beta"), of_actor("user:ada", "*")];
    for own in &filters {
        let page = table.table.list_audit(own, now, &behind(None)).await.unwrap();
        assert!(page.next.is_some());
        for other in filters.iter().filter(|other| *other != own) {
            let stolen = behind(page.next.clone());
            let refused = table.table.list_audit(other, now, &stolen).await;
            assert!(matches!(refused, Err(ListError::Cursor(_))), "{own:?} in {other:?}: {refused:?}");
        }
    }
    for garbage in [&b"AUDIT\n"[..], b"AUDIT\n2", b"AUDIT\n2026-00-", b"AUDIT", b"JOBS\n2026-09"] {
        let page = PageRequest { cursor: Some(Cursor::encode(garbage)), ..PageRequest::default() };
        let refused = table.table.list_audit(&AuditFilter::Everything, now, &page).await;
        assert!(matches!(refused, Err(ListError::Cursor(_))), "{garbage:?}: {refused:?}");
    }
}

#[tokio::test]
async fn what_is_counted_is_one_entry_however_many_come_at_once() {
    let table = TestTable::new().await;
    let entry = || table.entry("user:ada", "user:ada", None).counted(Duration::from_mins(15), "ada");
    join_all((0..50).map(async |_| table.table.count_audit(&entry()).await.unwrap())).await;
    table
        .table
        .count_audit(&table.entry("user:bob", "user:bob", None).counted(Duration::from_mins(15), "bob"))
        .await
        .unwrap();
    for filter in [
        AuditFilter::Everything,
        AuditFilter::Actor { actor: "user:ada".into(), tenants: "*".parse().unwrap() },
    ] {
        let page = PageRequest::default();
        let trail = table.table.list_audit(&filter, table.system.now(), &page).await.unwrap();
        let counts: Vec<_> =
            trail.items.iter().filter(|it| it.actor == "user:ada").map(|entry| entry.count).collect();
        assert_eq!(counts, [Some(50)], "{filter:?}");
    }
}
