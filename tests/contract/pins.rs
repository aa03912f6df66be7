//! Leases of those who pin.

use std::{collections::BTreeMap, time::Duration};

use gatehouse_domain::{
    ci::{BuildId, ResourceVersion},
    clock::Clock,
    runs::pins::{PinLease, PinLeases},
};
use serde_json::json;

use crate::support::{TestTable, item, target};

fn lease(table: &TestTable, request: &str) -> PinLease {
    let (provider, target) = ("concourse".parse().unwrap(), target("build"));
    let version = ResourceVersion { id: "7".into(), fields: BTreeMap::from([("ref".into(), "abc".into())]) };
    PinLease {
        scope: PinLease::scope_of(&provider, &target).unwrap(),
        provider,
        target,
        versions: BTreeMap::from([("repo".into(), version)]),
        request: request.into(),
        build: None,
        run: None,
        settling: false,
        created_at: table.system.now(),
        held_until: table.system.now() + Duration::from_secs(95),
    }
}

#[tokio::test]
async fn a_pipeline_has_one_lease_that_is_changed_only_as_it_was_read() {
    let table = TestTable::new().await;
    let store = &*table.table;
    let first = lease(&table, "run_1");
    assert!(store.begin_pins(&first).await.unwrap());
    assert!(!store.begin_pins(&lease(&table, "run_2")).await.unwrap());
    assert_eq!(store.find_pins(&first.scope).await.unwrap().as_ref(), Some(&first));
    assert_eq!(store.open_pins().await.unwrap(), std::slice::from_ref(&first));

    let (build, run) = (Some(BuildId("42".into())), Some("main:app:build:42".parse().unwrap()));
    let lent = PinLease { build, run, settling: true, held_until: table.system.now(), ..first.clone() };
    assert!(store.change_pins(&first, &lent).await.unwrap());
    assert!(!store.change_pins(&first, &lent).await.unwrap(), "it is not as it was read");
    store.end_pins(&first).await.unwrap();
    assert_eq!(store.find_pins(&first.scope).await.unwrap(), Some(lent.clone()));
    store.end_pins(&lent).await.unwrap();
    assert_eq!(store.open_pins().await.unwrap(), []);
}

#[tokio::test]
async fn a_lease_is_stored_as_it_always_was() {
    let table = TestTable::new().await;
    let lease = lease(&table, "run_1");
    table.table.begin_pins(&lease).await.unwrap();
    let key = gatehouse_store::keys::pins(&lease.scope);
    assert_eq!(
        item(&table, &key.pk, &key.sk).await,
        json!({
            "pk": "PINS", "sk": key.sk, "scope": "concourse/main:app:{}", "provider": "concourse",
            "target": { "kind": "concourse", "ref": { "team": "main", "pipeline": "app", "job": "build" } },
            "versions": { "repo": { "id": "7", "fields": { "ref": "abc" } } }, "request": "run_1",
            "created_at": lease.created_at.to_string(), "held_until": lease.held_until.to_string(),
        })
    );
}
