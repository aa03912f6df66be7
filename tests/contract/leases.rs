//! Leases.

use std::time::Duration;

use gatehouse_domain::lease::{LeaseOutcome, Leases};

use crate::support::TestTable;

#[tokio::test]
async fn a_lease_has_one_holder_until_its_time_ends() {
    let table = TestTable::new().await;
    let time = Duration::from_secs(20);
    let acquire = async |holder: &str| table.table.acquire("token", holder, time).await.unwrap();
    assert_eq!(acquire("a").await, LeaseOutcome::Acquired);
    assert_eq!(acquire("b").await, LeaseOutcome::Held);
    table.table.release("token", "b").await.unwrap();
    assert_eq!(acquire("b").await, LeaseOutcome::Held, "somebody else's lease was given back");
    table.system.advance(time);
    assert_eq!(acquire("b").await, LeaseOutcome::Acquired);
    table.table.release("token", "b").await.unwrap();
    assert_eq!(acquire("a").await, LeaseOutcome::Acquired);
}

#[tokio::test]
async fn of_a_hundred_who_want_a_lease_one_gets_it() {
    let table = TestTable::new().await;
    let wanted = (0..100).map(|n| {
        let leases = table.table.clone();
        async move { leases.acquire("token", &format!("holder-{n}"), Duration::from_secs(20)).await.unwrap() }
    });
    let outcomes = futures_util::future::join_all(wanted).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == LeaseOutcome::Acquired).count(), 1);
}
