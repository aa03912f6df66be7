//! Permits to try a password.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use gatehouse_domain::{
    clock::Clock,
    id::SessionId,
    revision::Revision,
    users::{
        Attempt, Begun, FindUser, PasswordHash, Permit, SaveSession, SaveUser, Session, Throttle, User,
        UserState,
    },
};
use jiff::Timestamp;

use crate::support::TestTable;

const WINDOW: Duration = Duration::from_mins(15);

fn networks() -> BTreeMap<String, Timestamp> {
    BTreeMap::from([("192.0.2.1".to_owned(), Timestamp::UNIX_EPOCH)])
}

fn permit(of: &str, limit: u32) -> Permit {
    Permit { of: of.to_owned(), window: Timestamp::from_second(900).unwrap(), length: WINDOW, limit }
}

async fn take(table: &TestTable, permits: &[Permit]) -> bool {
    table.table.take_permits(permits).await.unwrap() == Attempt::Permitted
}

async fn take_until_refused(table: &TestTable, permit: &Permit) -> usize {
    let mut taken = 0;
    while take(table, std::slice::from_ref(permit)).await {
        taken += 1;
    }
    taken
}

#[tokio::test]
async fn of_a_hundred_simultaneous_attempts_as_many_are_made_as_are_allowed() {
    let table = TestTable::new().await;
    let permits = [permit("account:ada", 20), permit("address:192.0.2.1", 100)];
    let attempts = join_all((0..100).map(|_| take(&table, &permits))).await;
    assert_eq!(attempts.into_iter().filter(|permitted| *permitted).count(), 20);
}

#[tokio::test]
async fn every_permit_is_taken_or_none() {
    let table = TestTable::new().await;
    let (ada, bob, office) = (permit("account:ada", 1), permit("account:bob", 9), permit("address:::1", 3));
    assert!(take(&table, &[ada.clone(), office.clone()]).await);
    for _ in 0..5 {
        assert!(!take(&table, &[ada.clone(), office.clone()]).await);
        assert!(!take(&table, &[office.clone(), ada.clone()]).await);
    }
    assert!(take(&table, &[bob.clone(), office.clone()]).await);
    assert!(take(&table, &[bob.clone(), office.clone()]).await, "refused attempts took permits");
    assert!(!take(&table, &[bob.clone(), office]).await);
    assert_eq!(take_until_refused(&table, &bob).await, 7);
    assert!(take(&table, &[]).await, "somebody without name and address cannot log in");
}

#[tokio::test]
async fn windows_and_strange_addresses_are_counted_apart() {
    let table = TestTable::new().await;
    let long = format!("address:{}", "x".repeat(5000));
    for of in ["address:a", "address:a#b", "address:", &long] {
        assert_eq!(take_until_refused(&table, &permit(of, 2)).await, 2, "{of}");
    }
    let first = permit("address:a", 2);
    let next = Permit { window: first.window + WINDOW, ..first };
    assert_eq!(take_until_refused(&table, &next).await, 2);
}

#[tokio::test]
async fn who_logs_in_gives_their_permits_back() {
    let table = TestTable::new().await;
    let now = table.system.now();
    let user = User {
        name: "ada".parse().unwrap(),
        display_name: None,
        roles: "acme=viewer".parse().unwrap(),
        state: UserState::Active,
        password: PasswordHash::unverified("hash".into()),
        must_change_password: false,
        second_factor: None,
        second_factor_since: None,
        sessions: BTreeMap::new(),
        known_networks: BTreeMap::new(),
        revision: Revision::new(&*table.system),
        created_at: now,
        updated_at: now,
        updated_by: "user:root".into(),
    };
    let entry = || table.entry("user:ada", "user:ada", None);
    table.table.create_user(&user, &entry()).await.unwrap();
    let permits = [permit("account:ada", 3), permit("address:192.0.2.1", 5)];
    let session = Session::new(now, now + Duration::from_hours(12));
    for _ in 0..10 {
        assert!(take(&table, &permits).await);
        let id = SessionId::generate(&*table.system);
        let begun = Begun {
            user: &user,
            id: &id,
            session: &session,
            forgotten: Vec::new(),
            known_networks: networks(),
            spent: None,
        };
        assert!(table.table.begin_session(&begun, &permits, &entry()).await.unwrap());
    }
    let known = table.table.find_user(&user.name).await.unwrap().unwrap().known_networks;
    assert_eq!(known, networks());
    let stale = User { revision: Revision::new(&*table.system), ..user.clone() };
    let id = SessionId::generate(&*table.system);
    let begun = Begun {
        user: &stale,
        id: &id,
        session: &session,
        forgotten: Vec::new(),
        known_networks: networks(),
        spent: None,
    };
    assert!(take(&table, &permits).await);
    assert!(!table.table.begin_session(&begun, &permits, &entry()).await.unwrap());
    assert_eq!(take_until_refused(&table, &permits[0]).await, 2, "a failed attempt gave its permit back");
}

#[tokio::test]
async fn what_is_refused_names_the_permit_that_is_missing() {
    let table = TestTable::new().await;
    let (few, many) = (permit("account:ada", 1), permit("address:192.0.2.1", 9));
    assert!(take(&table, &[few.clone(), many.clone()]).await);
    let refused = table.table.take_permits(&[many, few]).await.unwrap();
    assert_eq!(refused, Attempt::Refused(1));
}
