//! Service tokens, and the flushes that are pending when one ends.

use std::time::Duration;

use futures_util::future::{join, join_all};
use gatehouse_domain::{
    audit::Entry,
    claims::ServiceClaims,
    clock::Clock,
    id::TokenId,
    paging::{ListError, PageRequest},
    revision::EditOutcome,
    revocation::PendingFlush,
    tokens::{
        FindToken, ListTokens, RecordUse, Replaces, SaveToken, ServiceToken, StateFilter, TokenFilter,
        TokenState, Use, authenticate,
    },
};
use jiff::Timestamp;

use crate::support::{Flushes, TestTable, admin, audit, behind, origin, pages};

const DAY: Duration = Duration::from_hours(24);

/// A token of `<tenant>/<project>/<service>` that lives so many days.
fn token(table: &TestTable, whose: &str, days: u32) -> ServiceToken {
    let parts: Vec<_> = whose.split('/').collect();
    let now = table.system.now();
    ServiceToken {
        jti: TokenId::generate(&*table.system),
        tenant: parts[0].parse().unwrap(),
        project: parts[1].parse().unwrap(),
        service: parts[2].parse().unwrap(),
        description: Some("for tests".into()),
        created_at: now,
        created_by: "user:ada".into(),
        expires_at: now + DAY * days,
        last_used_at: None,
        replaces: None,
        state: TokenState::Active,
    }
}

fn entry(table: &TestTable, token: &ServiceToken) -> Entry {
    table.entry("user:ada", &format!("token:{}", token.jti), Some(token.tenant.as_str()))
}

async fn mint(table: &TestTable, whose: &str, days: u32) -> ServiceToken {
    let token = token(table, whose, days);
    table.table.save_new_token(&token, &entry(table, &token)).await.unwrap();
    token
}

async fn find(table: &TestTable, token: &ServiceToken) -> Option<ServiceToken> {
    table.table.find_token(&token.jti).await.unwrap()
}

/// A successor, and the older token as it stands then. The older one ends when the successor is used, or
/// then.
fn rotation(
    table: &TestTable,
    older: &ServiceToken,
    expires_at: Option<Timestamp>,
) -> (ServiceToken, ServiceToken) {
    let newer = ServiceToken {
        jti: TokenId::generate(&*table.system),
        replaces: Some(Replaces { jti: older.jti.clone(), ends_it_when_used: expires_at.is_none() }),
        ..older.clone()
    };
    let state = TokenState::Rotated { to: newer.jti.clone(), at: table.system.now(), expires_at };
    (newer, ServiceToken { state, ..older.clone() })
}

async fn rotate(table: &TestTable, older: &ServiceToken) -> (ServiceToken, EditOutcome) {
    let (newer, older) = rotation(table, older, None);
    let outcome = table.table.save_rotation(&newer, &older, &entry(table, &older)).await.unwrap();
    (newer, outcome)
}

async fn revoke(table: &TestTable, token: &ServiceToken, by: &str) -> EditOutcome {
    let state = TokenState::Revoked { at: table.system.now(), by: by.into(), reason: Some("leaked".into()) };
    let token = ServiceToken { state, ..token.clone() };
    table.table.save_revocation(&token, &entry(table, &token)).await.unwrap()
}

fn filter(table: &TestTable, tenants: &str, state: StateFilter) -> TokenFilter {
    TokenFilter {
        tenants: tenants.parse().unwrap(),
        project: None,
        service: None,
        state,
        unused_since: None,
        expires_by: None,
        now: table.system.now(),
    }
}

async fn list(table: &TestTable, filter: &TokenFilter, limit: u8) -> Vec<ServiceToken> {
    let pages = pages(limit, |page| {
        let (tokens, filter) = (table.table.clone(), filter.clone());
        async move { tokens.list_tokens(&filter, &page).await }
    });
    pages.await.concat()
}

#[tokio::test]
async fn a_token_comes_back_as_it_was_saved() {
    let table = TestTable::new().await;
    let older = mint(&table, "acme/payments/worker", 90).await;
    assert_eq!(find(&table, &older).await, Some(older.clone()));
    let (newer, rotated) = rotation(&table, &older, Some(table.system.now() + DAY));
    table.table.save_rotation(&newer, &rotated, &entry(&table, &newer)).await.unwrap();
    assert_eq!((find(&table, &newer).await, find(&table, &older).await), (Some(newer), Some(rotated)));
    assert_eq!(find(&table, &token(&table, "acme/payments/worker", 1)).await, None);
}

#[tokio::test]
async fn of_a_hundred_rotations_one_is_made() {
    let table = TestTable::new().await;
    let older = mint(&table, "acme/payments/worker", 90).await;
    let outcomes = join_all((0..100).map(|_| rotate(&table, &older))).await;
    let made: Vec<_> = outcomes.iter().filter(|(_, outcome)| *outcome == EditOutcome::Done).collect();
    assert_eq!(made.len(), 1);
    let newer = &made[0].0;
    let all = list(&table, &filter(&table, "acme", StateFilter::All), 100).await;
    assert_eq!(all.len(), 2, "a rotation that was refused left a token behind");
    assert!(all.contains(newer));
    let state = find(&table, &older).await.unwrap().state;
    assert_eq!(
        state,
        TokenState::Rotated { to: newer.jti.clone(), at: table.system.now(), expires_at: None }
    );
}

#[tokio::test]
async fn of_a_hundred_revocations_one_is_written() {
    let table = TestTable::new().await;
    let token = mint(&table, "acme/payments/worker", 90).await;
    let names: Vec<_> = (0..100).map(|n| format!("user:{n}")).collect();
    let outcomes = join_all(names.iter().map(|name| revoke(&table, &token, name))).await;
    let mut done = names.iter().zip(outcomes).filter(|(_, outcome)| *outcome == EditOutcome::Done);
    let (name, _) = done.next().unwrap();
    assert!(done.next().is_none());
    let state = find(&table, &token).await.unwrap().state;
    let reason = Some("leaked".into());
    assert_eq!(state, TokenState::Revoked { at: table.system.now(), by: name.clone(), reason });
    assert_eq!(table.table.pending_flush().await.unwrap(), Some(table.system.now()));
}

#[tokio::test]
async fn a_token_that_is_revoked_while_it_is_rotated_is_revoked() {
    let table = TestTable::new().await;
    for _round in 0..10 {
        let token = mint(&table, "acme/payments/worker", 90).await;
        let ((newer, rotated), revoked) =
            join(rotate(&table, &token), revoke(&table, &token, "user:ada")).await;
        assert_eq!(revoked, EditOutcome::Done);
        assert!(matches!(find(&table, &token).await.unwrap().state, TokenState::Revoked { .. }));
        assert_eq!(find(&table, &newer).await.is_some(), rotated == EditOutcome::Done);
        assert_eq!(rotate(&table, &token).await.1, EditOutcome::Conflict);
    }
}

fn used(table: &TestTable, newer: &ServiceToken, older: Option<&ServiceToken>) -> Use {
    Use { jti: newer.jti.clone(), at: table.system.now(), ends: older.map(|older| older.jti.clone()) }
}

#[tokio::test]
async fn the_first_use_of_a_token_ends_the_one_that_it_replaces() {
    let table = TestTable::new().await;
    let older = mint(&table, "acme/payments/worker", 90).await;
    let (newer, _) = rotate(&table, &older).await;
    table.system.advance(DAY);
    let used = used(&table, &newer, Some(&older));
    join_all((0..20).map(|_| table.table.record_use(&used))).await.into_iter().for_each(Result::unwrap);
    assert_eq!(find(&table, &newer).await.unwrap().last_used_at, Some(used.at));
    let ended = find(&table, &older).await.unwrap();
    let TokenState::Revoked { at, by, reason } = ended.state else { panic!("{:?}", ended.state) };
    assert_eq!((at, by.as_str()), (used.at, "gatehouse"));
    assert_eq!(reason.as_deref(), Some("the token that replaces it is in use"));
    assert_eq!(table.table.pending_flush().await.unwrap(), Some(used.at));
}

#[tokio::test]
async fn a_use_is_written_down_when_the_older_token_was_revoked_before() {
    let table = TestTable::new().await;
    let older = mint(&table, "acme/payments/worker", 90).await;
    let (newer, _) = rotate(&table, &older).await;
    revoke(&table, &older, "user:ada").await;
    table.table.record_use(&used(&table, &newer, Some(&older))).await.unwrap();
    assert_eq!(find(&table, &newer).await.unwrap().last_used_at, Some(table.system.now()));
    let state = find(&table, &older).await.unwrap().state;
    assert!(matches!(state, TokenState::Revoked { by, .. } if by == "user:ada"));
}

#[tokio::test]
async fn the_latest_use_stays() {
    let table = TestTable::new().await;
    let token = mint(&table, "acme/payments/worker", 90).await;
    let early = used(&table, &token, None);
    table.system.advance(Duration::from_mins(5));
    let late = used(&table, &token, None);
    table.table.record_use(&late).await.unwrap();
    table.table.record_use(&early).await.unwrap();
    assert_eq!(find(&table, &token).await.unwrap().last_used_at, Some(late.at));
    let unknown = self::token(&table, "acme/payments/worker", 1);
    table.table.record_use(&used(&table, &unknown, None)).await.unwrap();
    assert_eq!(find(&table, &unknown).await, None, "a use made a token");
}

#[tokio::test]
async fn what_the_trail_cannot_take_does_not_happen_to_a_token() {
    let table = TestTable::new().await;
    let older = token(&table, "acme/payments/worker", 90);
    let used = entry(&table, &older);
    table.table.save_new_token(&older, &used).await.unwrap();
    let (newer, rotated) = rotation(&table, &older, None);
    table.table.save_new_token(&newer, &used).await.expect_err("minted without an entry");
    table.table.save_rotation(&newer, &rotated, &used).await.expect_err("rotated without an entry");
    let state = TokenState::Revoked { at: table.system.now(), by: "user:ada".into(), reason: None };
    let revoked = ServiceToken { state, ..older.clone() };
    table.table.save_revocation(&revoked, &used).await.expect_err("revoked without an entry");
    assert_eq!((find(&table, &newer).await, find(&table, &older).await), (None, Some(older)));
    assert_eq!(table.table.pending_flush().await.unwrap(), None);
}

#[tokio::test]
async fn tokens_are_listed_by_tenant_and_end_page_by_page() {
    let table = TestTable::new().await;
    let mut wanted = Vec::new();
    for tenant in ["acme", "beta", "zeta"] {
        for days in [30, 10, 20] {
            wanted.push(mint(&table, &format!("{tenant}/payments/worker"), days).await);
        }
    }
    wanted.sort_by_key(|token| (token.tenant.clone(), token.expires_at));
    for limit in [1, 2, 100] {
        for state in [StateFilter::Active, StateFilter::All] {
            assert_eq!(list(&table, &filter(&table, "*", state), limit).await, wanted);
            let two = list(&table, &filter(&table, "acme,other,zeta", state), limit).await;
            assert_eq!(two, [&wanted[..3], &wanted[6..]].concat());
        }
    }
    assert_eq!(list(&table, &filter(&table, "", StateFilter::All), 2).await, []);
}

#[tokio::test]
async fn filters_show_the_tokens_that_are_asked_for() {
    let table = TestTable::new().await;
    let names = ["short", "long", "revoked", "replaced", "newer", "other"];
    let short = mint(&table, "acme/payments/worker", 5).await;
    let long = mint(&table, "acme/payments/mailer", 200).await;
    let revoked = mint(&table, "acme/payments/worker", 300).await;
    revoke(&table, &revoked, "user:ada").await;
    let older = mint(&table, "acme/shop/worker", 100).await;
    let (newer, rotated) = rotation(&table, &older, Some(table.system.now() + DAY));
    table.table.save_rotation(&newer, &rotated, &entry(&table, &newer)).await.unwrap();
    let other = mint(&table, "beta/other/worker", 8).await;
    let all = [&short, &long, &revoked, &older, &newer, &other];
    table.system.advance(DAY * 6);
    table.table.record_use(&used(&table, &long, None)).await.unwrap();
    let shown = async |tenants: &str, state, adorn: &dyn Fn(&mut TokenFilter)| {
        let mut filter = filter(&table, tenants, state);
        adorn(&mut filter);
        let found = list(&table, &filter, 2).await;
        let is_shown = |token: &ServiceToken| found.iter().any(|found| found.jti == token.jti);
        let shown = names.iter().zip(all).filter(|(_, token)| is_shown(token));
        shown.map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
    };
    let (now, plain) = (table.system.now(), |_: &mut TokenFilter| {});
    for tenants in ["acme,beta", "*"] {
        assert_eq!(shown(tenants, StateFilter::Active, &plain).await, "long newer other");
        assert_eq!(shown(tenants, StateFilter::Expired, &plain).await, "short replaced");
        assert_eq!(shown(tenants, StateFilter::Revoked, &plain).await, "revoked");
        assert_eq!(shown(tenants, StateFilter::All, &plain).await, names.join(" "));
        let soon = |filter: &mut TokenFilter| filter.expires_by = Some(now + DAY * 3);
        assert_eq!(shown(tenants, StateFilter::Active, &soon).await, "other");
        let past = |filter: &mut TokenFilter| filter.expires_by = Some(now - DAY);
        assert_eq!(shown(tenants, StateFilter::Active, &past).await, "", "nothing that counts has ended");
        let unused = |filter: &mut TokenFilter| filter.unused_since = Some(now - DAY);
        assert_eq!(shown(tenants, StateFilter::Active, &unused).await, "newer other");
        let project = |filter: &mut TokenFilter| filter.project = "shop".parse().ok();
        assert_eq!(shown(tenants, StateFilter::All, &project).await, "replaced newer");
        let service = |filter: &mut TokenFilter| filter.service = "mailer".parse().ok();
        assert_eq!(shown(tenants, StateFilter::All, &service).await, "long");
    }
}

#[tokio::test]
async fn a_list_goes_on_when_the_token_that_its_cursor_stands_behind_has_ended() {
    let table = TestTable::new().await;
    for days in [1, 2, 3, 4] {
        mint(&table, "acme/payments/worker", days).await;
    }
    let active = filter(&table, "acme", StateFilter::Active);
    let first = table.table.list_tokens(&active, &behind(None)).await.unwrap();
    table.system.advance(DAY * 2);
    let active = filter(&table, "acme", StateFilter::Active);
    let second = table.table.list_tokens(&active, &behind(first.next)).await.unwrap();
    assert_eq!(second.items.len(), 1);
    assert_eq!(second.items[0].expires_at, table.system.now() + DAY);
}

#[tokio::test]
async fn a_cursor_does_not_lead_into_another_tenants_tokens() {
    let table = TestTable::new().await;
    for tenant in ["acme", "acme", "beta", "beta"] {
        mint(&table, &format!("{tenant}/payments/worker"), 9).await;
    }
    let all = filter(&table, "beta", StateFilter::All);
    let page = table.table.list_tokens(&all, &behind(None)).await.unwrap();
    assert!(page.next.is_some());
    let stolen = PageRequest { cursor: page.next, ..PageRequest::default() };
    let refused = table.table.list_tokens(&filter(&table, "acme", StateFilter::All), &stolen).await;
    assert!(matches!(refused, Err(ListError::Cursor(_))), "{refused:?}");
}

#[tokio::test]
async fn a_revocation_whose_flush_fails_says_so_and_the_record_denies_already() {
    let table = TestTable::new().await;
    let record = mint(&table, "acme/payments/worker", 90).await;
    let (caller, origin) = (admin("acme"), origin());
    let now = table.system.now();
    let (store, flush, system) = (&*table.table, Flushes::failing(), &*table.system);
    let audit = audit(&caller, &origin);
    let revoked = gatehouse_domain::tokens::revoke(store, &flush, system, &audit, &record.jti, None);
    let revoked = revoked.await.unwrap();
    assert_eq!((revoked.effective.flushed, revoked.flush_error.is_some()), (false, true));
    assert_eq!(revoked.effective.by, now + Duration::from_mins(5));
    assert_eq!(table.table.pending_flush().await.unwrap(), Some(now));
    let claims = ServiceClaims {
        jti: record.jti,
        project: record.project,
        service: record.service,
        issued_at: record.created_at,
        expires_at: record.expires_at,
    };
    assert_eq!(authenticate(&*table.table, &claims, now).await.unwrap(), None);
}

#[tokio::test]
async fn a_flush_is_pending_until_it_is_done_and_no_later_one_is() {
    let table = TestTable::new().await;
    let (a, b) = (mint(&table, "acme/x/a", 9).await, mint(&table, "acme/x/b", 9).await);
    assert_eq!(table.table.pending_flush().await.unwrap(), None);
    let first = table.system.now();
    revoke(&table, &a, "user:ada").await;
    table.system.advance(Duration::from_secs(1));
    let second = table.system.now();
    revoke(&table, &b, "user:ada").await;
    for another in [first, second + Duration::from_secs(1), second + Duration::from_millis(1)] {
        table.table.flush_done(another).await.unwrap();
        assert_eq!(table.table.pending_flush().await.unwrap(), Some(second), "the flush was forgotten");
    }
    table.table.flush_done(second).await.unwrap();
    assert_eq!(table.table.pending_flush().await.unwrap(), None);
    table.table.flush_done(second).await.unwrap();
}
