mod drift_checks;
mod operations;
mod round;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::FutureExt;
use jiff::Timestamp;

use super::*;
use crate::{
    access::Scope,
    api_key::{ApiKey, Revocation},
    audit::Entry,
    caller::Tenants,
    catalog::{DriftSchedule, EnvironmentState, FindService, Registered},
    clock::{Clock, IdSource},
    id::{KeyId, OperationId, ServiceId, TokenId},
    name::EnvironmentName,
    operations::{
        BeginOutcome, Effects, FindOperation, Operation, SaveOperation, drift_check::DriftSchedules,
        reconcile::ListOpenOperations, tests::support::Site,
    },
    paging::{Cursor, InvalidCursor, ListError, Page, PageRequest},
    revision::{EditOutcome, Revision},
    revocation::{FlushAuthorizer, FlushError, PendingFlush},
    signing::{KeyRing, ROTATE_AFTER, SigningKey},
    store::StoreError,
    tokens::{ServiceToken, TokenState},
};

const DAY: i64 = 24 * 60 * 60;

/// A table, a bus and a clock that a test moves.
#[derive(Default)]
struct World(Mutex<State>, Site);

#[expect(clippy::struct_excessive_bools, reason = "each is a fault that one test switches on")]
#[derive(Default)]
struct State {
    now: i64,
    /// How many seconds every look at the clock takes.
    tick: i64,
    tokens: Vec<Watched<ServiceToken>>,
    api_keys: Vec<Watched<ApiKey>>,
    ring: Option<Watched<KeyRing>>,
    outbox: Vec<Announcement>,
    bus: Vec<Announcement>,
    bus_is_down: bool,
    refused_by_bus: Option<String>,
    outbox_forgets_nothing: bool,
    outbox_is_unreadable: bool,
    faster_sweep: bool,
    /// Somebody extends every environment for an hour, right before an operation begins.
    extends_meanwhile: bool,
    /// A sweep gets no further than to what it begins by a schedule.
    dies_before_moving: bool,
    /// What somebody else does between that a service is read and an operation begins in it.
    meanwhile: Option<fn(&Site)>,
    /// How many announcements the bus was offered.
    offered: usize,
    decisions_until_failure: Option<usize>,
    owed_since: Option<Timestamp>,
    flush_fails: bool,
    flushes: usize,
    /// What was announced of environments, by service and name.
    environments: BTreeMap<String, Marks>,
    round: Round,
    /// How often that was noted.
    noted: usize,
    notes_nothing: bool,
    /// A cursor that is refused once.
    void_cursor: Option<Cursor>,
    /// Its page cannot be read.
    unreadable_token: Option<TokenId>,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn broken() -> StoreError {
    StoreError::Unavailable("the wire is cut".into())
}

fn paged<T: Clone>(items: &[T], page: &PageRequest) -> Page<T> {
    let decode = |cursor: &Cursor| String::from_utf8(cursor.decode().unwrap()).unwrap().parse().unwrap();
    let from: usize = page.cursor.as_ref().map_or(0, decode);
    let to = items.len().min(from + usize::from(page.limit.get()));
    let next = (to < items.len()).then(|| Cursor::encode(to.to_string().as_bytes()));
    Page { items: items[from.min(to)..to].to_vec(), next }
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn with_token(ends_on_day: i64) -> Self {
        let world = Self::default();
        world.state().tokens.push(fresh(token(0, ends_on_day * DAY)));
        world
    }

    fn sweep_until(&self, deadline: Timestamp) -> Report {
        let settings = Settings { unused_days: NonZeroU16::new(90).unwrap(), deadline };
        sweep(self, self.1.workflow_ports(), self, self, self, &settings).now_or_never().unwrap()
    }

    fn sweep(&self) -> Report {
        self.sweep_until(Timestamp::MAX)
    }

    /// What a sweep on that day publishes.
    fn on_day(&self, day: i64) -> Vec<String> {
        self.state().now = day * DAY;
        let before = self.state().bus.len();
        self.sweep();
        self.state().bus[before..].iter().map(|announcement| announcement.id.clone()).collect()
    }
}

fn fresh<T>(thing: T) -> Watched<T> {
    Watched { thing, marks: Marks::default() }
}

fn token(number: u32, expires_at: i64) -> ServiceToken {
    ServiceToken {
        jti: format!("tok_{number:026}").parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        project: "payments".parse().unwrap(),
        service: "worker".parse().unwrap(),
        description: None,
        created_at: at(0),
        created_by: "user:ada".into(),
        expires_at: at(expires_at),
        last_used_at: None,
        replaces: None,
        state: TokenState::Active,
    }
}

fn api_key(expires_at: Option<i64>) -> ApiKey {
    let key = ApiKey::of_text(
        "gh_test_key",
        "nightly".into(),
        BTreeSet::from([Scope::All]),
        Tenants::Only(BTreeSet::from(["acme".parse().unwrap()])),
        at(0),
    );
    ApiKey { expires_at: expires_at.map(at), ..key }
}

fn ring(kid: &str, signs_from: i64) -> KeyRing {
    let key = SigningKey {
        kid: kid.parse::<KeyId>().unwrap(),
        public_key: String::new(),
        published_at: at(signs_from),
        signs_from: at(signs_from),
    };
    KeyRing { keys: vec![key], revision: Revision::unverified("r".into()) }
}

fn id(of: &str) -> String {
    format!("tok_{:026}:{of}", 0)
}

#[async_trait]
impl Clock for World {
    fn now(&self) -> Timestamp {
        let mut state = self.state();
        state.now += state.tick;
        at(state.now)
    }

    async fn sleep(&self, pause: Duration) {
        self.state().now += i64::try_from(pause.as_secs()).unwrap();
    }
}

impl IdSource for World {
    fn random(&self) -> [u8; 16] {
        self.1.hand.random()
    }
}

/// Operations are where the site has them.
#[async_trait]
impl FindOperation for World {
    async fn find_operation(&self, id: &OperationId) -> Result<Option<Operation>, StoreError> {
        self.1.memory.find_operation(id).await
    }

    async fn find_operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError> {
        self.1.memory.find_operations(ids).await
    }
}

#[async_trait]
impl SaveOperation for World {
    async fn begin_operation(
        &self,
        operation: &Operation,
        service: &Revision,
        entry: &Entry,
    ) -> Result<BeginOutcome, StoreError> {
        let extends_meanwhile = self.state().extends_meanwhile;
        if extends_meanwhile {
            for environment in self.1.memory.items().environments.values_mut() {
                if let crate::catalog::Infrastructure::Present(provisioned) = &mut environment.infrastructure
                {
                    provisioned.expires_at = Some(operation.requested.at + Duration::from_hours(1));
                }
            }
        }
        let meanwhile = self.state().meanwhile.take();
        if let Some(act) = meanwhile {
            act(&self.1);
        }
        self.1.memory.begin_operation(operation, service, entry).await
    }

    async fn save_operation(
        &self,
        operation: &Operation,
        effects: &Effects<'_>,
    ) -> Result<EditOutcome, StoreError> {
        self.1.memory.save_operation(operation, effects).await
    }
}

#[async_trait]
impl FindService for World {
    async fn find_service(&self, id: &ServiceId) -> Result<Option<Registered>, StoreError> {
        self.1.memory.find_service(id).await
    }
}

#[async_trait]
impl ListOpenOperations for World {
    async fn open_operations(&self, page: &PageRequest) -> Result<Page<Operation>, ListError> {
        self.1.memory.open_operations(page).await
    }

    async fn ended_environments(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<(ServiceId, EnvironmentName)>, ListError> {
        self.1.memory.ended_environments(now, page).await
    }
}

#[async_trait]
impl DriftSchedules for World {
    async fn due_drift_checks(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<DriftSchedule>, ListError> {
        self.1.memory.due_drift_checks(now, page).await
    }

    async fn move_drift_check(
        &self,
        seen: &DriftSchedule,
        due: Timestamp,
    ) -> Result<EditOutcome, StoreError> {
        if self.state().dies_before_moving {
            Err(broken())
        } else {
            self.1.memory.move_drift_check(seen, due).await
        }
    }
}

#[async_trait]
impl Watch for World {
    async fn watched_tokens(&self, page: &PageRequest) -> Result<Page<Watched<ServiceToken>>, ListError> {
        let mut state = self.state();
        if page.cursor.is_some() && state.void_cursor == page.cursor {
            state.void_cursor = None;
            return Err(InvalidCursor.into());
        }
        let page = paged(&state.tokens, page);
        let unreadable =
            |token: &Watched<ServiceToken>| Some(&token.thing.jti) == state.unreadable_token.as_ref();
        if page.items.iter().any(unreadable) { Err(broken().into()) } else { Ok(page) }
    }

    async fn watched_api_keys(&self, page: &PageRequest) -> Result<Page<Watched<ApiKey>>, ListError> {
        Ok(paged(&self.state().api_keys, page))
    }

    async fn watched_environments(
        &self,
        until: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Watched<EnvironmentState>>, ListError> {
        let ending = self.1.memory.ended_environments(until, page).await?;
        let watched = |(service, name): (ServiceId, EnvironmentName)| {
            let marks = self.state().environments.get(&format!("{service}/{name}")).cloned();
            let thing = self.1.memory.environment(&service, name.as_str());
            Watched { thing, marks: marks.unwrap_or_default() }
        };
        Ok(Page { items: ending.items.into_iter().map(watched).collect(), next: ending.next })
    }

    async fn watched_key_ring(&self) -> Result<Option<Watched<KeyRing>>, StoreError> {
        Ok(self.state().ring.clone())
    }
}

#[async_trait]
impl RememberRound for World {
    async fn round(&self) -> Result<Round, StoreError> {
        Ok(self.state().round.clone())
    }

    async fn note_round(&self, round: &Round) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.notes_nothing {
            return Err(broken());
        }
        state.round = round.clone();
        state.noted += 1;
        Ok(())
    }
}

#[async_trait]
impl Announce for World {
    async fn announce(
        &self,
        subject: &Subject,
        previous: &Marks,
        marks: &Marks,
        announcements: &[Announcement],
    ) -> Result<EditOutcome, StoreError> {
        let mut state = self.state();
        let faster_sweep = state.faster_sweep;
        match &mut state.decisions_until_failure {
            Some(0) => return Err(broken()),
            Some(left) => *left -= 1,
            None => {}
        }
        let stored = match subject {
            Subject::Token(jti) => {
                &mut state.tokens.iter_mut().find(|token| token.thing.jti == *jti).unwrap().marks
            }
            Subject::ApiKey(id) => {
                &mut state.api_keys.iter_mut().find(|key| key.thing.id == *id).unwrap().marks
            }
            Subject::KeyRing => &mut state.ring.as_mut().unwrap().marks,
            Subject::Environment(service, name) => {
                state.environments.entry(format!("{service}/{name}")).or_default()
            }
        };
        if *stored != *previous || faster_sweep {
            return Ok(EditOutcome::Conflict);
        }
        *stored = marks.clone();
        state.outbox.extend(announcements.iter().cloned());
        Ok(EditOutcome::Done)
    }
}

#[async_trait]
impl Outbox for World {
    async fn to_publish(&self, page: &PageRequest) -> Result<Page<Announcement>, ListError> {
        let state = self.state();
        if state.outbox_is_unreadable { Err(broken().into()) } else { Ok(paged(&state.outbox, page)) }
    }

    async fn published(&self, announcement: &Announcement) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.outbox_forgets_nothing {
            return Err(broken());
        }
        state.outbox.retain(|waiting| waiting.id != announcement.id);
        Ok(())
    }
}

#[async_trait]
impl Publish for World {
    async fn publish(&self, announcements: &[Announcement]) -> Vec<Result<(), PublishError>> {
        let mut state = self.state();
        state.offered += announcements.len();
        let mut publish = |announcement: &Announcement| {
            if state.bus_is_down || state.refused_by_bus.as_ref() == Some(&announcement.id) {
                return Err(PublishError("the bus is down".into()));
            }
            state.bus.push(announcement.clone());
            Ok(())
        };
        announcements.iter().map(&mut publish).collect()
    }
}

#[async_trait]
impl FlushAuthorizer for World {
    async fn flush_authorizer(&self) -> Result<(), FlushError> {
        let mut state = self.state();
        if state.flush_fails {
            return Err(FlushError("no".into()));
        }
        state.flushes += 1;
        Ok(())
    }

    fn remembered_for(&self) -> Duration {
        Duration::from_mins(5)
    }
}

#[async_trait]
impl PendingFlush for World {
    async fn pending_flush(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.state().owed_since)
    }

    async fn flush_done(&self, since: Timestamp) -> Result<(), StoreError> {
        let mut state = self.state();
        state.owed_since = state.owed_since.filter(|owed| *owed != since);
        Ok(())
    }
}

#[test]
fn every_threshold_of_a_tokens_end_is_announced_once() {
    let world = World::with_token(80);
    let mut announced = Vec::new();
    for day in 0..=100 {
        announced.extend(world.on_day(day).into_iter().map(|id| (day, id)));
        assert_eq!(world.on_day(day), [""; 0], "again on day {day}");
    }
    let expected = [
        (50, id("ending:30")),
        (66, id("ending:14")),
        (73, id("ending:7")),
        (77, id("ending:3")),
        (79, id("ending:1")),
        (80, id("ended:0")),
    ];
    assert_eq!(announced, expected);
}

#[test]
fn a_threshold_is_passed_to_the_second() {
    let world = World::with_token(80);
    world.state().now = 50 * DAY - 1;
    assert_eq!(world.sweep().announced, 0);
    world.state().now += 1;
    assert_eq!(world.sweep().announced, 1);
}

#[test]
fn of_several_thresholds_that_passed_unnoticed_the_nearest_is_announced() {
    let world = World::with_token(80);
    assert_eq!(world.on_day(78), [id("ending:3")]);
    assert_eq!(world.on_day(78), [""; 0]);
    assert_eq!(world.on_day(85), [id("ended:0")]);
}

#[test]
fn an_announcement_says_whose_token_ends_and_when() {
    let world = World::with_token(80);
    world.on_day(60);
    let state = world.state();
    let [announcement] = state.bus.as_slice() else { panic!("{:?}", state.bus) };
    assert_eq!(announcement.news.title(), "Service Token Ending");
    assert_eq!(announcement.subject, state.tokens[0].thing.jti.as_str());
    assert_eq!(announcement.tenant.as_ref().unwrap().as_str(), "acme");
    assert_eq!(announcement.project.as_ref().unwrap().as_str(), "payments");
    assert_eq!(announcement.service.as_ref().unwrap().as_str(), "worker");
    assert_eq!((announcement.expires_at, announcement.days), (Some(at(80 * DAY)), Some(30)));
    assert_eq!(announcement.found_at, at(60 * DAY));
}

#[test]
fn a_revoked_token_is_not_announced() {
    let world = World::with_token(80);
    world.state().tokens[0].thing.state =
        TokenState::Revoked { at: at(1), by: "user:ada".into(), reason: None };
    assert_eq!(world.on_day(79), [""; 0]);
    assert_eq!(world.on_day(200), [""; 0]);
}

#[test]
fn a_rotated_token_ends_with_its_grace() {
    let world = World::with_token(80);
    let to: TokenId = "tok_11111111111111111111111111".parse().unwrap();
    world.state().tokens[0].thing.state =
        TokenState::Rotated { to: to.clone(), at: at(0), expires_at: Some(at(5 * DAY)) };
    assert_eq!(world.on_day(4), [id("ending:1")]);
    assert_eq!(world.on_day(5), [id("ended:0")]);
    assert_eq!(world.state().bus[1].replaced_by, Some(to));
}

#[test]
fn an_unused_token_is_announced_once_in_every_period() {
    let world = World::with_token(360);
    let news = |day| {
        let of = |id: &String| id.contains(":unused:");
        world.on_day(day).into_iter().filter(of).collect::<Vec<_>>()
    };
    assert_eq!(news(89), [""; 0]);
    assert_eq!(news(90), [id("unused:1970-04-01")]);
    assert_eq!(news(179), [""; 0]);
    assert_eq!(news(185), [id("unused:1970-06-30")]);
    assert_eq!(news(186), [""; 0]);
    assert_eq!(world.state().bus.last().unwrap().days, Some(180));
}

#[test]
fn a_use_begins_the_period_anew() {
    let world = World::with_token(360);
    world.on_day(90);
    world.state().tokens[0].thing.last_used_at = Some(at(100 * DAY));
    assert_eq!(world.on_day(189), [""; 0]);
    assert_eq!(world.on_day(190), [id("unused:1970-07-10")]);
}

#[test]
fn a_token_that_has_ended_is_not_unused() {
    let world = World::with_token(80);
    assert_eq!(world.on_day(95), [id("ended:0")]);
    assert_eq!(world.on_day(300), [""; 0]);
}

#[test]
fn an_api_key_is_announced_when_it_has_an_end() {
    let world = World::default();
    world.state().api_keys.push(fresh(api_key(Some(80 * DAY))));
    let key = world.state().api_keys[0].thing.id.as_str().to_owned();
    assert_eq!(world.on_day(66), [format!("{key}:ending:14")]);
    assert_eq!(world.on_day(80), [format!("{key}:ended:0")]);
    assert_eq!(world.on_day(81), [""; 0]);
    let titles: Vec<_> = world.state().bus.iter().map(|announcement| announcement.news.title()).collect();
    assert_eq!(titles, ["API Key Ending", "API Key Ended"]);
    assert_eq!(world.state().bus[0].name.as_deref(), Some("nightly"));
}

#[test]
fn an_api_key_without_end_or_revoked_is_not_announced() {
    let world = World::default();
    let revoked = Some(Revocation { at: at(1), by: "user:ada".into(), reason: None });
    world.state().api_keys.push(fresh(api_key(None)));
    world.state().api_keys.push(fresh(ApiKey { revoked, ..api_key(Some(DAY)) }));
    assert_eq!(world.on_day(400), [""; 0]);
}

#[test]
fn a_signing_key_is_announced_once_when_it_is_due() {
    let world = World::default();
    assert_eq!(world.on_day(0), [""; 0], "there is no ring yet");
    world.state().ring = Some(fresh(ring("one", 0)));
    let due = i64::try_from(ROTATE_AFTER.as_secs()).unwrap() / DAY;
    assert_eq!(world.on_day(due - 1), [""; 0]);
    assert_eq!(world.on_day(due), ["one:due:1970-02-15"]);
    assert_eq!(world.on_day(due + 1), [""; 0]);
    world.state().ring.as_mut().unwrap().thing = ring("two", (due + 1) * DAY);
    assert_eq!(world.on_day(2 * due + 1), ["two:due:1970-04-02"]);
}

#[test]
fn a_sweep_that_dies_before_publishing_leaves_it_to_the_next_one() {
    let world = World::with_token(80);
    world.state().outbox_is_unreadable = true;
    assert_eq!(world.on_day(66), [""; 0]);
    assert_eq!(world.state().outbox[0].id, id("ending:14"));
    world.state().outbox_is_unreadable = false;
    assert_eq!(world.on_day(67), [id("ending:14")]);
    assert!(world.state().outbox.is_empty());
}

#[test]
fn a_sweep_that_dies_before_forgetting_has_it_published_again_with_the_same_id() {
    let world = World::with_token(80);
    world.state().outbox_forgets_nothing = true;
    assert_eq!(world.on_day(66), [id("ending:14")]);
    world.state().outbox_forgets_nothing = false;
    assert_eq!(world.on_day(67), [id("ending:14")]);
    assert_eq!(world.on_day(68), [""; 0]);
    let state = world.state();
    assert_eq!(state.bus[0], state.bus[1]);
}

#[test]
fn what_a_bus_that_is_down_did_not_take_waits() {
    let world = World::with_token(80);
    world.state().bus_is_down = true;
    world.state().now = 66 * DAY;
    let report = world.sweep();
    assert_eq!((report.announced, report.published), (1, 0));
    assert!(matches!(report.failures.as_slice(), [SweepError::Publish(_)]), "{:?}", report.failures);
    world.state().now = 74 * DAY;
    assert_eq!(world.sweep().announced, 1, "the next threshold is decided on all the same");
    world.state().bus_is_down = false;
    assert_eq!(world.on_day(74), [id("ending:14"), id("ending:7")]);
}

#[test]
fn what_the_bus_refuses_does_not_hold_up_what_stands_behind_it() {
    let world = World::default();
    world.state().tokens = (0..60).map(|number| fresh(token(number, 80 * DAY))).collect();
    world.state().refused_by_bus = Some(id("ending:14"));
    world.state().bus_is_down = true;
    world.on_day(66);
    world.state().bus_is_down = false;
    world.on_day(66);
    let state = world.state();
    let published: BTreeSet<_> = state.bus.iter().map(|announcement| announcement.id.clone()).collect();
    assert!(!published.contains(&id("ending:14")));
    assert!(state.outbox.iter().any(|waiting| waiting.id == id("ending:14")));
}

#[test]
fn a_bus_that_is_down_is_offered_one_page_by_each_sweep() {
    let world = World::default();
    world.state().tokens = (0..60).map(|number| fresh(token(number, 80 * DAY))).collect();
    world.state().bus_is_down = true;
    world.on_day(66);
    assert_eq!(world.state().outbox.len(), 60);
    world.state().offered = 0;
    world.on_day(66);
    assert_eq!(world.state().offered, 25);
}

#[test]
fn what_was_decided_before_the_store_failed_is_published() {
    let world = World::default();
    world.state().tokens = (0..5).map(|number| fresh(token(number, 80 * DAY))).collect();
    world.state().decisions_until_failure = Some(3);
    world.state().now = 66 * DAY;
    let report = world.sweep();
    assert!(matches!(report.failures.as_slice(), [SweepError::Store(_)]), "{:?}", report.failures);
    assert_eq!((report.announced, report.published, report.finished), (3, 3, false));
    world.state().decisions_until_failure = None;
    assert_eq!(world.on_day(66).len(), 2);
}

#[test]
fn what_another_sweep_decided_is_not_decided_again() {
    let world = World::with_token(80);
    world.state().faster_sweep = true;
    world.state().now = 66 * DAY;
    let report = world.sweep();
    assert_eq!((report.announced, report.published), (0, 0));
    assert!(report.failures.is_empty() && report.finished);
}

#[test]
fn a_flush_that_is_owed_is_made_and_forgotten() {
    let world = World::default();
    world.state().owed_since = Some(at(5));
    assert!(world.sweep().flushed);
    assert_eq!(world.state().owed_since, None);
    assert_eq!(world.state().flushes, 1);
    assert!(!world.sweep().flushed);
    assert_eq!(world.state().flushes, 1);
}

#[test]
fn a_flush_that_fails_stays_owed_and_keeps_nothing_else_from_being_done() {
    let world = World::with_token(80);
    world.state().owed_since = Some(at(5));
    world.state().flush_fails = true;
    world.state().now = 66 * DAY;
    let report = world.sweep();
    assert!(matches!(report.failures.as_slice(), [SweepError::Flush(_)]), "{:?}", report.failures);
    assert!(!report.flushed && report.published == 1);
    assert_eq!(world.state().owed_since, Some(at(5)));
    world.state().flush_fails = false;
    assert!(world.sweep().flushed);
}

#[test]
fn a_sweep_stops_at_its_deadline_and_the_next_ones_go_on() {
    let world = World::default();
    world.state().tokens = (0..200).map(|number| fresh(token(number, 80 * DAY))).collect();
    world.state().now = 66 * DAY;
    world.state().tick = 1;
    let mut sweeps = 0;
    loop {
        let now = world.state().now;
        if world.sweep_until(at(now + 30)).finished {
            break;
        }
        sweeps += 1;
        assert!(sweeps < 50, "it never comes to the end");
    }
    assert!(sweeps > 0, "one sweep did everything before its deadline");
    let state = world.state();
    let published: BTreeSet<_> = state.bus.iter().map(|announcement| announcement.id.clone()).collect();
    assert!(state.tokens.iter().all(|token| token.marks.ending == Some(14)));
    assert_eq!(published.len(), 200);
}

#[test]
fn a_sweep_without_time_looks_at_nothing_but_makes_the_flush() {
    let world = World::with_token(80);
    world.state().now = 66 * DAY;
    world.state().owed_since = Some(at(5));
    let report = world.sweep_until(at(0));
    assert!(!report.finished && report.flushed);
    assert_eq!((report.tokens, report.announced), (0, 0));
}
