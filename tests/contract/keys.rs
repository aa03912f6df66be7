//! API keys, and the ring of signing keys.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use gatehouse_domain::{
    access::Scope,
    api_key::{self, ApiKey, FindApiKey, ListApiKeys, PresentedKey, RecordKeyUse, Revocation, SaveApiKey},
    audit::Entry,
    caller::Tenants,
    clock::Clock,
    paging::{Cursor, ListError, PageRequest},
    revision::{EditOutcome, Revision},
    revocation::PendingFlush,
    signing::{self, FindKeyRing, KeyRing, RotateKeyError, SaveKeyRing},
    tokens::TokenStatus,
};
use secrecy::{ExposeSecret, SecretString};

use crate::support::{Pretend, TestTable, admin, audit, origin, pages};

fn generate(table: &TestTable) -> (ApiKey, SecretString) {
    let scopes = BTreeSet::from([Scope::JobsRead, Scope::RunsWrite]);
    ApiKey::generate(&*table.system, "test".into(), scopes, "acme,beta".parse().unwrap(), table.system.now())
}

fn entry(table: &TestTable) -> Entry {
    table.entry("user:ada", "api_key:key_1", None)
}

async fn mint(table: &TestTable) -> (ApiKey, SecretString) {
    let (key, text) = generate(table);
    table.table.save_api_key(&key, Some(&entry(table))).await.unwrap();
    (key, text)
}

async fn find(table: &TestTable, key: &ApiKey) -> ApiKey {
    table.table.find_api_key(&key.id).await.unwrap().expect("the key is there")
}

fn revoked(table: &TestTable, key: &ApiKey, by: &str) -> ApiKey {
    let revocation = Revocation { at: table.system.now(), by: by.into(), reason: Some("leaked".into()) };
    ApiKey { revoked: Some(revocation), ..key.clone() }
}

#[tokio::test]
async fn a_key_is_known_by_its_hash_alone() {
    let table = TestTable::new().await;
    let (record, text) = mint(&table).await;
    let presented = PresentedKey::parse(text.expose_secret()).unwrap();
    let now = table.system.now();
    let (caller, is_news) = api_key::authenticate(&*table.table, &presented, now).await.unwrap().unwrap();
    let tenants: Tenants = "acme,beta".parse().unwrap();
    assert_eq!((caller.subject.as_str(), caller.tenants(), is_news), (record.id.as_str(), tenants, true));
    let other = PresentedKey::parse("some-other-key").unwrap();
    assert_eq!(api_key::authenticate(&*table.table, &other, now).await.unwrap(), None);
}

#[tokio::test]
async fn a_key_comes_back_as_it_was_saved() {
    let table = TestTable::new().await;
    let (key, _) = generate(&table);
    let expires_at = Some(table.system.now() + Duration::from_hours(24));
    let key = ApiKey { created_by: "user:ada".into(), expires_at, ..key };
    table.table.save_api_key(&key, Some(&entry(&table))).await.unwrap();
    let found = find(&table, &key).await;
    assert_eq!((&found.id, &found.name, &found.scopes), (&key.id, &key.name, &key.scopes));
    assert_eq!(
        (found.created_at, found.created_by, found.expires_at),
        (key.created_at, key.created_by, expires_at)
    );
    assert_eq!((found.last_used_at, found.revoked), (None, None));
}

#[tokio::test]
async fn a_key_that_is_saved_again_stays_revoked() {
    let table = TestTable::new().await;
    let (key, _) = generate(&table);
    table.table.save_api_key(&key, None).await.unwrap();
    let gone = revoked(&table, &key, "user:ada");
    assert_eq!(table.table.save_key_revocation(&gone, &entry(&table)).await.unwrap(), EditOutcome::Done);
    table.table.save_api_key(&key, None).await.unwrap();
    assert_eq!(find(&table, &key).await.status(table.system.now()), TokenStatus::Revoked);
    table.table.save_api_key(&key, Some(&entry(&table))).await.expect_err("a key was minted twice");
}

#[tokio::test]
async fn of_a_hundred_revocations_of_a_key_one_is_written() {
    let table = TestTable::new().await;
    let (key, _) = mint(&table).await;
    let keys: Vec<_> = (0..100).map(|n| revoked(&table, &key, &format!("user:{n}"))).collect();
    let outcomes = join_all(
        keys.iter().map(async |key| table.table.save_key_revocation(key, &entry(&table)).await.unwrap()),
    );
    let outcomes = outcomes.await;
    let mut done = keys.iter().zip(outcomes).filter(|(_, outcome)| *outcome == EditOutcome::Done);
    let (first, _) = done.next().unwrap();
    assert!(done.next().is_none());
    assert_eq!(find(&table, &key).await.revoked, first.revoked);
    assert_eq!(table.table.pending_flush().await.unwrap(), Some(table.system.now()));
    let (unknown, _) = generate(&table);
    let unknown = revoked(&table, &unknown, "user:ada");
    let outcome = table.table.save_key_revocation(&unknown, &entry(&table)).await.unwrap();
    assert_eq!(outcome, EditOutcome::Conflict);
    assert!(table.table.find_api_key(&unknown.id).await.unwrap().is_none());
}

#[tokio::test]
async fn the_latest_use_of_a_key_stays() {
    let table = TestTable::new().await;
    let (key, _) = mint(&table).await;
    let early = table.system.now();
    let late = early + Duration::from_mins(5);
    table.table.record_key_use(&key.id, late).await.unwrap();
    table.table.record_key_use(&key.id, early).await.unwrap();
    assert_eq!(find(&table, &key).await.last_used_at, Some(late));
    let (unknown, _) = generate(&table);
    table.table.record_key_use(&unknown.id, late).await.unwrap();
    assert!(table.table.find_api_key(&unknown.id).await.unwrap().is_none(), "a use made a key");
}

#[tokio::test]
async fn what_the_trail_cannot_take_does_not_happen_to_a_key() {
    let table = TestTable::new().await;
    let ((first, _), (second, _)) = (generate(&table), generate(&table));
    let used = entry(&table);
    table.table.save_api_key(&first, Some(&used)).await.unwrap();
    table.table.save_api_key(&second, Some(&used)).await.expect_err("minted without an entry");
    assert!(table.table.find_api_key(&second.id).await.unwrap().is_none());
    let gone = revoked(&table, &first, "user:ada");
    table.table.save_key_revocation(&gone, &used).await.expect_err("revoked without an entry");
    assert_eq!(find(&table, &first).await.revoked, None);
    assert_eq!(table.table.pending_flush().await.unwrap(), None);
}

#[tokio::test]
async fn keys_are_listed_newest_first_and_page_by_page() {
    let table = TestTable::new().await;
    let mut wanted = Vec::new();
    for _ in 0..7 {
        table.system.advance(Duration::from_millis(1));
        wanted.insert(0, mint(&table).await.0.id);
    }
    let found = pages(3, |page| {
        let keys = table.table.clone();
        async move { keys.list_api_keys(&page).await }
    });
    let found = found.await;
    assert!(found.iter().all(|page| page.len() <= 3));
    assert_eq!(found.concat().into_iter().map(|key| key.id).collect::<Vec<_>>(), wanted);
    for garbage in [&b"TOKENS\n2026"[..], b"APIKEYS", b"APIKEYS\n"] {
        let page = PageRequest { cursor: Some(Cursor::encode(garbage)), ..PageRequest::default() };
        let refused = table.table.list_api_keys(&page).await;
        assert!(matches!(refused, Err(ListError::Cursor(_))), "{refused:?}");
    }
}

/// Publishes a key as the domain does it.
async fn publish(table: &TestTable, pairs: &Pretend) -> Result<KeyRing, RotateKeyError> {
    let (caller, origin) = (admin("acme"), origin());
    signing::rotate(&*table.table, pairs, &*table.system, &audit(&caller, &origin)).await
}

#[tokio::test]
async fn of_a_hundred_who_make_the_first_signing_key_one_does() {
    let table = TestTable::new().await;
    assert_eq!(table.table.find_key_ring().await.unwrap(), None);
    let pairs = Pretend::default();
    let rings =
        join_all((0..100).map(|_| signing::ring_that_signs(&*table.table, &pairs, &*table.system))).await;
    let ring = table.table.find_key_ring().await.unwrap().unwrap();
    assert_eq!(ring.keys.len(), 1);
    assert!(rings.into_iter().all(|signs| signs.unwrap() == ring), "somebody signs with another key");
}

#[tokio::test]
async fn of_a_hundred_who_publish_the_next_signing_key_one_does() {
    let table = TestTable::new().await;
    let pairs = Pretend::default();
    publish(&table, &pairs).await.unwrap();
    table.system.advance(Duration::from_hours(1));
    let rings = join_all((0..100).map(|_| publish(&table, &pairs))).await;
    assert_eq!(rings.iter().filter(|ring| ring.is_ok()).count(), 1);
    assert_eq!(table.table.find_key_ring().await.unwrap().unwrap().keys.len(), 2);
}

#[tokio::test]
async fn the_ring_is_replaced_only_as_it_was_seen_and_with_its_entry() {
    let table = TestTable::new().await;
    let ring = publish(&table, &Pretend::default()).await.unwrap();
    assert_eq!(table.table.find_key_ring().await.unwrap().as_ref(), Some(&ring));
    let next = KeyRing { revision: Revision::new(&*table.system), ..ring.clone() };
    let stale = Revision::unverified("stale".into());
    for previous in [None, Some(&stale)] {
        let outcome = table.table.save_key_ring(&next, previous, &entry(&table)).await.unwrap();
        assert_eq!(outcome, EditOutcome::Conflict);
    }
    let used = entry(&table);
    table.table.save_api_key(&generate(&table).0, Some(&used)).await.unwrap();
    let unwritten = table.table.save_key_ring(&next, Some(&ring.revision), &used).await;
    unwritten.expect_err("the ring was changed without an entry");
    assert_eq!(table.table.find_key_ring().await.unwrap(), Some(ring));
}
