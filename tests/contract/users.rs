//! Users, their sessions, and that one platform admin stays.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::{join, join_all};
use gatehouse_domain::{
    audit::{AuditFilter, Entry, ListAudit},
    clock::Clock,
    id::SessionId,
    paging::{ListError, PageRequest},
    revision::Revision,
    revocation::PendingFlush,
    users::{
        Attempt, Begun, FindAccount, FindUser, MAX_SESSIONS, PasswordHash, Permit, Reauthenticated,
        RecordSessionUse, RecoveryCodeHash, SaveSession, SaveUser, SealedSecret, SecondFactor, Session,
        SessionUse, SpentCode, Throttle, User, UserEdit, UserEditOutcome, UserState,
    },
};

use crate::support::{TestTable, behind, pages};

fn user(table: &TestTable, name: &str, roles: &str) -> User {
    let now = table.system.now();
    User {
        name: name.parse().unwrap(),
        display_name: Some("Ada".into()),
        roles: roles.parse().unwrap(),
        state: UserState::Active,
        password: PasswordHash::unverified("first".into()),
        must_change_password: false,
        second_factor: None,
        second_factor_since: None,
        sessions: BTreeMap::new(),
        known_networks: BTreeMap::new(),
        revision: Revision::new(&*table.system),
        created_at: now,
        updated_at: now,
        updated_by: "user:root".into(),
    }
}

async fn create(table: &TestTable, name: &str, roles: &str) -> User {
    let user = user(table, name, roles);
    let outcome = table.table.create_user(&user, &entry(table, name)).await.unwrap();
    assert_eq!(outcome, UserEditOutcome::Done);
    user
}

fn entry(table: &TestTable, name: &str) -> Entry {
    table.entry("user:root", &format!("user:{name}"), None)
}

/// An edit of `previous` that makes them what `change` says, and keeps their sessions.
fn edit(table: &TestTable, previous: &User, change: impl FnOnce(&mut User)) -> UserEdit {
    let mut user = User { revision: Revision::new(&*table.system), ..previous.clone() };
    change(&mut user);
    UserEdit { previous: previous.clone(), user, keep_sessions: None }
}

fn roles(table: &TestTable, previous: &User, roles: &str) -> UserEdit {
    edit(table, previous, |user| user.roles = roles.parse().unwrap())
}

async fn save(table: &TestTable, edit: &UserEdit) -> UserEditOutcome {
    table.table.edit_user(edit, &entry(table, edit.user.name.as_str())).await.unwrap()
}

fn session(table: &TestTable) -> (SessionId, Session) {
    let started_at = table.system.now();
    (SessionId::generate(&*table.system), Session::new(started_at, started_at + Duration::from_hours(12)))
}

async fn begin(table: &TestTable, user: &User, forgotten: Vec<SessionId>) -> (SessionId, bool) {
    let (id, session) = session(table);
    let begun =
        Begun { user, id: &id, session: &session, forgotten, known_networks: BTreeMap::new(), spent: None };
    let begun = table.table.begin_session(&begun, &[], &entry(table, user.name.as_str())).await.unwrap();
    (id, begun)
}

async fn sessions(table: &TestTable, user: &User) -> Vec<SessionId> {
    let account = table.table.find_account(&user.name).await.unwrap().unwrap();
    account.sessions.into_keys().collect()
}

async fn trail(table: &TestTable, actor: &str) -> usize {
    let filter = AuditFilter::Actor { actor: actor.into(), tenants: "*".parse().unwrap() };
    let now = table.system.now();
    pages(100, |page| {
        let (trail, filter) = (table.table.clone(), filter.clone());
        async move { trail.list_audit(&filter, now, &page).await }
    })
    .await
    .concat()
    .len()
}

#[tokio::test]
async fn a_user_comes_back_as_they_were_created() {
    let table = TestTable::new().await;
    let ada = create(&table, "ada@example.com", "*=viewer,acme=admin").await;
    let found = table.table.find_user(&ada.name).await.unwrap().unwrap();
    assert_eq!((&found.roles, found.state, &found.revision), (&ada.roles, ada.state, &ada.revision));
    assert_eq!((found.display_name, found.password.expose()), (ada.display_name, "first"));
    assert_eq!((found.created_at, found.updated_at), (ada.created_at, ada.updated_at));
    let account = table.table.find_account(&ada.name).await.unwrap().unwrap();
    assert_eq!((account.roles, account.state, account.sessions.len()), (ada.roles, ada.state, 0));
    assert!(table.table.find_account(&"bob".parse().unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_name_is_given_once() {
    let table = TestTable::new().await;
    let ada = create(&table, "ada", "acme=viewer").await;
    let thief = user(&table, "ada", "*=admin");
    let outcome = table.table.create_user(&thief, &entry(&table, "ada")).await.unwrap();
    assert_eq!(outcome, UserEditOutcome::Conflict);
    assert_eq!(table.table.find_user(&ada.name).await.unwrap().unwrap().roles, ada.roles);
}

#[tokio::test]
async fn of_a_hundred_edits_of_one_revision_one_is_made() {
    let table = TestTable::new().await;
    let ada = create(&table, "ada", "acme=viewer").await;
    let before = trail(&table, "user:root").await;
    let edits: Vec<_> = (0..100).map(|n| roles(&table, &ada, &format!("tenant-{n}=admin"))).collect();
    let outcomes = join_all(edits.iter().map(|edit| save(&table, edit))).await;
    let made: Vec<_> =
        edits.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == UserEditOutcome::Done).collect();
    assert_eq!(made.len(), 1, "{outcomes:?}");
    let found = table.table.find_user(&ada.name).await.unwrap().unwrap();
    assert_eq!((&found.roles, &found.revision), (&made[0].0.user.roles, &made[0].0.user.revision));
    assert_eq!(trail(&table, "user:root").await, before + 1, "the trail has what was not done");
}

#[tokio::test]
async fn an_edit_changes_what_it_says_and_marks_a_flush_as_pending() {
    let table = TestTable::new().await;
    let ada = create(&table, "ada", "acme=viewer").await;
    let (session, _) = begin(&table, &ada, Vec::new()).await;
    table.system.advance(Duration::from_secs(1));
    let edit = edit(&table, &ada, |user| {
        user.display_name = None;
        user.state = UserState::Disabled;
        user.password = PasswordHash::unverified("second".into());
        user.updated_by = "user:bob".into();
    });
    assert_eq!(save(&table, &edit).await, UserEditOutcome::Done);
    let found = table.table.find_user(&ada.name).await.unwrap().unwrap();
    assert_eq!((found.display_name, found.state), (None, UserState::Disabled));
    assert_eq!((found.password.expose(), found.updated_by.as_str()), ("second", "user:bob"));
    assert_eq!(found.sessions.into_keys().collect::<Vec<_>>(), [session], "the edit ended a session");
    assert_eq!(table.table.pending_flush().await.unwrap(), Some(table.system.now()));
}

#[tokio::test]
async fn the_last_platform_admin_stays() {
    let table = TestTable::new().await;
    let root = create(&table, "root", "*=admin").await;
    create(&table, "viewer", "*=viewer").await;
    let less = roles(&table, &root, "*=developer");
    let off = edit(&table, &root, |user| user.state = UserState::Disabled);
    assert_eq!(save(&table, &less).await, UserEditOutcome::LastPlatformAdmin);
    assert_eq!(save(&table, &off).await, UserEditOutcome::LastPlatformAdmin);
    let ada = create(&table, "ada", "acme=viewer").await;
    assert_eq!(save(&table, &roles(&table, &ada, "*=admin")).await, UserEditOutcome::Done);
    assert_eq!(save(&table, &off).await, UserEditOutcome::Done);
    let ada = table.table.find_user(&ada.name).await.unwrap().unwrap();
    assert_eq!(save(&table, &roles(&table, &ada, "")).await, UserEditOutcome::LastPlatformAdmin);
    let on = edit(&table, &off.user, |user| user.state = UserState::Active);
    assert_eq!(save(&table, &on).await, UserEditOutcome::Done);
    assert_eq!(save(&table, &roles(&table, &ada, "")).await, UserEditOutcome::Done);
}

#[tokio::test]
async fn of_two_admins_who_remove_each_other_one_stays() {
    let table = TestTable::new().await;
    let (mut ada, mut bob) = (create(&table, "ada", "*=admin").await, create(&table, "bob", "*=admin").await);
    for _round in 0..10 {
        let (without_ada, without_bob) = (roles(&table, &ada, ""), roles(&table, &bob, ""));
        let (first, second) = join(save(&table, &without_ada), save(&table, &without_bob)).await;
        let (removed, edit) = match (first, second) {
            (UserEditOutcome::Done, UserEditOutcome::LastPlatformAdmin) => (&mut ada, without_ada),
            (UserEditOutcome::LastPlatformAdmin, UserEditOutcome::Done) => (&mut bob, without_bob),
            others => panic!("{others:?}"),
        };
        let again = roles(&table, &edit.user, "*=admin");
        assert_eq!(save(&table, &again).await, UserEditOutcome::Done);
        *removed = again.user;
    }
}

#[tokio::test]
async fn a_hundred_simultaneous_logins_are_a_hundred_sessions() {
    let table = TestTable::new().await;
    let ada = create(&table, "ada", "acme=viewer").await;
    let begun = join_all((0..100).map(|_| begin(&table, &ada, Vec::new()))).await;
    assert!(begun.iter().all(|(_, begun)| *begun));
    let mut wanted: Vec<_> = begun.into_iter().map(|(id, _)| id).collect();
    wanted.sort();
    assert_eq!(sessions(&table, &ada).await, wanted);
    let (newest, _) = begin(&table, &ada, wanted).await;
    assert_eq!(sessions(&table, &ada).await, [newest], "those that were to make room are still there");
}

#[tokio::test]
async fn no_session_outlives_the_password_that_it_began_with() {
    let table = TestTable::new().await;
    let ada = create(&table, "ada", "acme=viewer").await;
    let reset = UserEdit {
        keep_sessions: Some(Vec::new()),
        ..edit(&table, &ada, |user| user.password = PasswordHash::unverified("second".into()))
    };
    let some = || join_all((0..30).map(|_| begin(&table, &ada, Vec::new())));
    let (_before, (outcome, _after)) = join(some(), join(save(&table, &reset), some())).await;
    assert_eq!(outcome, UserEditOutcome::Done);
    assert_eq!(sessions(&table, &ada).await, []);
    assert!(!begin(&table, &ada, Vec::new()).await.1, "the old password still logs in");
    assert!(begin(&table, &reset.user, Vec::new()).await.1);
}

#[tokio::test]
async fn a_session_begins_only_for_who_may_log_in_and_was_not_changed() {
    let table = TestTable::new().await;
    let ada = create(&table, "ada", "acme=viewer").await;
    let more = roles(&table, &ada, "acme=admin");
    save(&table, &more).await;
    assert!(!begin(&table, &ada, Vec::new()).await.1, "a session does not know of an edit");
    let off = edit(&table, &more.user, |user| user.state = UserState::Disabled);
    save(&table, &off).await;
    assert!(!begin(&table, &more.user, Vec::new()).await.1);
    assert!(!begin(&table, &off.user, Vec::new()).await.1, "somebody who is disabled has logged in");
    assert_eq!(sessions(&table, &ada).await, []);
}

#[tokio::test]
async fn a_session_ends_at_once_and_a_flush_is_pending() {
    let table = TestTable::new().await;
    let ada = create(&table, "ada", "acme=viewer").await;
    let (first, _) = begin(&table, &ada, Vec::new()).await;
    let (second, _) = begin(&table, &ada, Vec::new()).await;
    table.table.end_sessions(&ada.name, std::slice::from_ref(&first), &entry(&table, "ada")).await.unwrap();
    assert_eq!(sessions(&table, &ada).await, [second]);
    assert_eq!(table.table.pending_flush().await.unwrap(), Some(table.system.now()));
    table.table.end_sessions(&ada.name, std::slice::from_ref(&first), &entry(&table, "ada")).await.unwrap();
    let nobody = "nobody".parse().unwrap();
    table.table.end_sessions(&nobody, std::slice::from_ref(&first), &entry(&table, "nobody")).await.unwrap();
    assert!(table.table.find_account(&nobody).await.unwrap().is_none());
}

#[tokio::test]
async fn a_session_that_ended_is_not_kept_by_who_changes_their_password() {
    let table = TestTable::new().await;
    let ada = create(&table, "ada", "acme=viewer").await;
    let (own, _) = begin(&table, &ada, Vec::new()).await;
    begin(&table, &ada, Vec::new()).await;
    let ada = table.table.find_user(&ada.name).await.unwrap().unwrap();
    let change = |password: &str| UserEdit {
        keep_sessions: Some(vec![own.clone()]),
        ..edit(&table, &ada, |user| user.password = PasswordHash::unverified(password.into()))
    };
    let (kept, late) = (change("second"), change("third"));
    assert_eq!(save(&table, &kept).await, UserEditOutcome::Done);
    assert_eq!(sessions(&table, &ada).await, std::slice::from_ref(&own));
    table.table.end_sessions(&ada.name, std::slice::from_ref(&own), &entry(&table, "ada")).await.unwrap();
    let seen = User { revision: kept.user.revision.clone(), ..ada.clone() };
    let late = UserEdit { previous: seen, ..late };
    assert_eq!(save(&table, &late).await, UserEditOutcome::Conflict);
    assert_eq!(sessions(&table, &ada).await, []);
}

async fn kept(table: &TestTable, user: &User, id: &SessionId) -> Option<Session> {
    table.table.find_account(&user.name).await.unwrap().unwrap().sessions.remove(id)
}

#[tokio::test]
async fn of_the_uses_of_a_session_the_latest_is_kept_and_an_ended_one_stays_ended() {
    let table = TestTable::new().await;
    let ada = create(&table, "ada", "acme=viewer").await;
    let (id, _) = begin(&table, &ada, Vec::new()).await;
    let begun = table.system.now();
    let used = |minutes: u64| SessionUse {
        user: ada.name.clone(),
        session: id.clone(),
        at: begun + Duration::from_mins(minutes),
    };
    for (written, latest) in [(5, 5), (3, 5), (9, 9), (9, 9)] {
        table.table.record_session_use(&used(written)).await.unwrap();
        assert_eq!(kept(&table, &ada, &id).await.unwrap().last_used_at, Some(used(latest).at));
    }
    table.table.end_sessions(&ada.name, std::slice::from_ref(&id), &entry(&table, "ada")).await.unwrap();
    table.table.record_session_use(&used(20)).await.unwrap();
    assert_eq!(kept(&table, &ada, &id).await, None);
    let nobody = SessionUse { user: "nobody".parse().unwrap(), ..used(20) };
    table.table.record_session_use(&nobody).await.unwrap();
    assert!(table.table.find_account(&nobody.user).await.unwrap().is_none());
}

#[tokio::test]
async fn many_sessions_end_in_one_transaction_and_none_is_fine() {
    let table = TestTable::new().await;
    let ada = create(&table, "ada", "acme=viewer").await;
    let mut ids = Vec::new();
    for _ in 0..MAX_SESSIONS {
        ids.push(begin(&table, &ada, Vec::new()).await.0);
    }
    let own = ids.split_off(MAX_SESSIONS - 1);
    table.table.end_sessions(&ada.name, &ids, &entry(&table, "ada")).await.unwrap();
    assert_eq!(sessions(&table, &ada).await, own);
    table.table.end_sessions(&ada.name, &[], &entry(&table, "ada")).await.unwrap();
    assert_eq!(sessions(&table, &ada).await, own);
    assert_eq!(trail(&table, "user:root").await, MAX_SESSIONS + 3);
}

#[tokio::test]
async fn a_password_is_said_again_only_in_a_session_of_whoever_has_it_still() {
    let table = TestTable::new().await;
    let ada = create(&table, "ada", "acme=viewer").await;
    let (id, _) = begin(&table, &ada, Vec::new()).await;
    let (other, _) = session(&table);
    let permit = Permit {
        of: "own:ada".into(),
        window: table.system.now(),
        length: Duration::from_hours(1),
        limit: 1,
    };
    let permits = std::slice::from_ref(&permit);
    let at = table.system.now() + Duration::from_mins(20);
    let save = async |user: &User, session: &SessionId| {
        let said = Reauthenticated { user, session, at, spent: None };
        table.table.save_reauthentication(&said, &permit, &entry(&table, "ada")).await.unwrap()
    };
    assert_eq!(table.table.take_permits(permits).await.unwrap(), Attempt::Permitted);
    let another = User { password: PasswordHash::unverified("another".into()), ..ada.clone() };
    assert!(!save(&another, &id).await, "the password was changed meanwhile");
    assert!(!save(&ada, &other).await, "there is no such session");
    assert_eq!(table.table.take_permits(permits).await.unwrap(), Attempt::Refused(0));
    assert!(save(&ada, &id).await);
    assert_eq!(kept(&table, &ada, &id).await.unwrap().authenticated_at(), at);
    assert_eq!(table.table.take_permits(permits).await.unwrap(), Attempt::Permitted, "it is given back");
    assert!(table.table.pending_flush().await.unwrap().is_some());
}

/// `ada` with a second factor, whose one recovery code has this hash.
async fn with_factor(table: &TestTable, hash: &RecoveryCodeHash) -> User {
    let ada = create(table, "ada", "acme=viewer").await;
    let mut factor = SecondFactor::new(SealedSecret::unverified("sealed".into()));
    factor.recovery_codes.insert(hash.clone(), table.system.now());
    let enrolled = edit(table, &ada, |user| {
        user.second_factor = Some(factor);
        user.second_factor_since = Some(table.system.now());
    });
    assert_eq!(save(table, &enrolled).await, UserEditOutcome::Done);
    table.table.find_user(&ada.name).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_code_is_spent_once_by_whatever_it_is_used_for() {
    let table = TestTable::new().await;
    let hash: RecoveryCodeHash = serde_json::from_value(serde_json::json!("00ff")).unwrap();
    let ada = with_factor(&table, &hash).await;
    let begin = async |spent: &SpentCode| {
        let (id, session) = session(&table);
        let begun = Begun {
            user: &ada,
            id: &id,
            session: &session,
            forgotten: Vec::new(),
            known_networks: BTreeMap::new(),
            spent: Some(spent),
        };
        let begun = table.table.begin_session(&begun, &[], &entry(&table, "ada")).await.unwrap();
        begun.then_some(id)
    };
    let recovery = SpentCode::Recovery(hash);
    let own = begin(&SpentCode::Step(7)).await.expect("the first use");
    for (spent, good) in [
        (&SpentCode::Step(7), false),
        (&SpentCode::Step(6), false),
        (&SpentCode::Step(8), true),
        (&recovery, true),
        (&recovery, false),
    ] {
        assert_eq!(begin(spent).await.is_some(), good, "{spent:?}");
    }
    let permit = Permit {
        of: "own:ada".into(),
        window: table.system.now(),
        length: Duration::from_hours(1),
        limit: 9,
    };
    for (step, good) in [(8, false), (9, true), (9, false)] {
        let spent = SpentCode::Step(step);
        let said = Reauthenticated { user: &ada, session: &own, at: table.system.now(), spent: Some(&spent) };
        let saved = table.table.save_reauthentication(&said, &permit, &entry(&table, "ada")).await.unwrap();
        assert_eq!(saved, good, "{step}");
    }
    // Of many at once, with one code, one begins.
    let tenth = SpentCode::Step(10);
    let at_once = join_all((0..20).map(|_| begin(&tenth))).await;
    assert_eq!(at_once.iter().flatten().count(), 1);
    let found = table.table.find_user(&ada.name).await.unwrap().unwrap();
    assert_eq!(found.second_factor.unwrap().last_step, Some(10));
}

#[tokio::test]
async fn an_edit_of_something_else_brings_no_spent_code_back() {
    let table = TestTable::new().await;
    let hash: RecoveryCodeHash = serde_json::from_value(serde_json::json!("00ff")).unwrap();
    let ada = with_factor(&table, &hash).await;
    let (id, session) = session(&table);
    let begun = Begun {
        user: &ada,
        id: &id,
        session: &session,
        forgotten: Vec::new(),
        known_networks: BTreeMap::new(),
        spent: Some(&SpentCode::Step(7)),
    };
    assert!(table.table.begin_session(&begun, &[], &entry(&table, "ada")).await.unwrap());
    let demoted = roles(&table, &ada, "");
    assert_eq!(save(&table, &demoted).await, UserEditOutcome::Done);
    let found = table.table.find_user(&ada.name).await.unwrap().unwrap();
    assert_eq!(found.second_factor.as_ref().unwrap().last_step, Some(7));
    let removed = edit(&table, &found, |user| (user.second_factor, user.second_factor_since) = (None, None));
    assert_eq!(save(&table, &removed).await, UserEditOutcome::Done);
    let found = table.table.find_user(&ada.name).await.unwrap().unwrap();
    assert_eq!((found.second_factor, found.second_factor_since), (None, None));
}

/// Who renews their recovery codes has read the user before: a code that is spent in between is not good once more.
#[tokio::test]
async fn new_recovery_codes_take_the_place_of_all_and_bring_no_spent_code_back() {
    let table = TestTable::new().await;
    let [old, new]: [RecoveryCodeHash; 2] =
        ["00ff", "11ff"].map(|hash| serde_json::from_value(serde_json::json!(hash)).unwrap());
    let ada = with_factor(&table, &old).await;
    let begin = async |user: &User, spent: &SpentCode| {
        let (id, session) = session(&table);
        let begun = Begun {
            user,
            id: &id,
            session: &session,
            forgotten: Vec::new(),
            known_networks: BTreeMap::new(),
            spent: Some(spent),
        };
        table.table.begin_session(&begun, &[], &entry(&table, "ada")).await.unwrap()
    };
    assert!(begin(&ada, &SpentCode::Step(7)).await);
    let renewed = edit(&table, &ada, |user| {
        user.second_factor.as_mut().unwrap().recovery_codes = [(new.clone(), table.system.now())].into();
    });
    assert_eq!(save(&table, &renewed).await, UserEditOutcome::Done);
    let found = table.table.find_user(&ada.name).await.unwrap().unwrap();
    let factor = found.second_factor.as_ref().unwrap();
    assert_eq!((factor.last_step, factor.recovery_codes.len()), (Some(7), 1));
    for (spent, good) in
        [(SpentCode::Step(7), false), (SpentCode::Recovery(old), false), (SpentCode::Recovery(new), true)]
    {
        assert_eq!(begin(&found, &spent).await, good, "{spent:?}");
    }
}

#[tokio::test]
async fn what_the_trail_cannot_take_does_not_happen_to_a_user() {
    let table = TestTable::new().await;
    let used = entry(&table, "ada");
    let ada = user(&table, "ada", "acme=viewer");
    table.table.create_user(&ada, &used).await.unwrap();
    let bob = user(&table, "bob", "*=admin");
    table.table.create_user(&bob, &used).await.expect_err("bob was created without an entry");
    assert!(table.table.find_user(&bob.name).await.unwrap().is_none());
    let edit = roles(&table, &ada, "*=admin");
    table.table.edit_user(&edit, &used).await.expect_err("ada was changed without an entry");
    assert_eq!(table.table.find_user(&ada.name).await.unwrap().unwrap().revision, ada.revision);
    assert_eq!(table.table.pending_flush().await.unwrap(), None);
    let (id, session) = session(&table);
    let begun = Begun {
        user: &ada,
        id: &id,
        session: &session,
        forgotten: Vec::new(),
        known_networks: BTreeMap::new(),
        spent: None,
    };
    table.table.begin_session(&begun, &[], &used).await.expect_err("ada logged in without an entry");
    assert_eq!(sessions(&table, &ada).await, []);
    let (id, _) = begin(&table, &ada, Vec::new()).await;
    table
        .table
        .end_sessions(&ada.name, std::slice::from_ref(&id), &used)
        .await
        .expect_err("ada logged out without an entry");
    assert_eq!(sessions(&table, &ada).await, [id]);
}

#[tokio::test]
async fn users_are_listed_by_name_page_by_page() {
    let table = TestTable::new().await;
    for name in ["eve", "ada", "bob.2", "bob", "bob@example.com", "dan", "carl"] {
        create(&table, name, "").await;
    }
    let found = pages(2, |page| {
        let users = table.table.clone();
        async move { users.list_users(&page).await }
    });
    let found = found.await;
    assert!(found.iter().all(|page| page.len() <= 2));
    let names: Vec<_> = found.concat().into_iter().map(|user| user.name.to_string()).collect();
    assert_eq!(names, ["ada", "bob", "bob.2", "bob@example.com", "carl", "dan", "eve"]);
}

#[tokio::test]
async fn a_cursor_of_another_list_does_not_list_users() {
    let table = TestTable::new().await;
    table.save_job("a").await;
    table.save_job("b").await;
    let jobs =
        gatehouse_domain::jobs::JobFilter { tenants: "*".parse().unwrap(), project: None, environment: None };
    let page =
        gatehouse_domain::jobs::ListJobs::list_jobs(&*table.table, &jobs, &behind(None)).await.unwrap();
    assert!(page.next.is_some());
    let refused = table.table.list_users(&PageRequest { cursor: page.next, ..PageRequest::default() }).await;
    assert!(matches!(refused, Err(ListError::Cursor(_))), "{refused:?}");
}
