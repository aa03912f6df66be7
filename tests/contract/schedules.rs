//! Starting runs under random faults: answers lost before and after the effect, late effects, refusals,
//! and requests that die at any moment. Whatever happens, every request that succeeds has a run of its
//! own, and every build belongs to exactly one of them.
//!
//! What becomes of each call follows from the schedule's seed; who goes first, from the machine too. A seed
//! that once failed is kept in [`KEPT`].

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use gatehouse_domain::{
    ci::{
        Build, BuildId, CancelMode, Capabilities, CheckReport, Checkpoint, CiError, CiErrorKind, CiProvider,
        DiscoveredJob, EventStream, Position, ProviderDirectory, ProviderLookupError, RunStatus,
        StartRequest, Target, TargetUse,
    },
    clock::Clock,
    idempotency::IdempotencyKey,
    name::ProviderName,
    runs::start::{self, StartError},
};
use jiff::Timestamp;

use crate::support::{TestSystem, TestTable, admin, audit, origin};

/// Seeds that once found a defect.
const KEPT: [u64; 1] = [0];

/// How many schedules are run.
const SCHEDULES: u64 = 8;

/// How many callers start runs of the same job at once in each of them.
const CALLERS: usize = 6;

/// What becomes of one call to the CI system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It starts a build and says so.
    Answers,
    /// It refuses, and starts nothing.
    Refuses,
    /// It starts a build, and the answer is lost.
    LosesAnswer,
    /// It never hears of the call.
    LosesCall,
    /// It starts a build some seconds later; the answer is lost.
    StartsLate,
}

/// A CI system whose calls meet the fates of a schedule.
pub struct PretendCi {
    clock: Arc<TestSystem>,
    fates: Vec<Fate>,
    state: Mutex<State>,
}

struct State {
    random: Random,
    /// What becomes of the next calls; those after them meet fates by chance.
    script: VecDeque<(Fate, Duration)>,
    /// Whether looking for builds fails.
    hidden: bool,
    /// Builds, and from when they can be seen.
    builds: Vec<(u64, Timestamp)>,
}

/// xorshift64*: a schedule must follow from its seed and from nothing else.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(bits).expect("31 bits") % bound
    }
}

impl PretendCi {
    pub fn new(clock: Arc<TestSystem>, seed: u64, fates: Vec<Fate>) -> Arc<Self> {
        let random = Random(seed.wrapping_mul(2) + 1);
        let state = State { random, script: VecDeque::new(), hidden: false, builds: Vec::new() };
        Arc::new(Self { clock, fates, state: Mutex::new(state) })
    }

    /// The next call starts a build that can be seen after so long, and its answer is lost.
    pub fn loses_answer(&self, visible_after: Duration) {
        self.state().script.push_back((Fate::StartsLate, visible_after));
    }

    pub fn hide_builds(&self, hidden: bool) {
        self.state().hidden = hidden;
    }

    /// What becomes of a call, and for a build that starts late after how long it can be seen.
    fn fate(&self) -> (Fate, Duration) {
        if let Some(written) = self.state().script.pop_front() {
            return written;
        }
        let fate = self.fates[self.random(self.fates.len())];
        let late = if fate == Fate::StartsLate { self.random(40) } else { 0 };
        (fate, Duration::from_secs(u64::try_from(late).expect("small")))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }

    fn random(&self, bound: usize) -> usize {
        self.state().random.below(bound)
    }

    fn builds(&self) -> usize {
        self.state().builds.len()
    }

    fn create(&self, visible_at: Timestamp) -> u64 {
        let mut state = self.state();
        let id = state.builds.len() as u64 + 1;
        state.builds.push((id, visible_at));
        id
    }

    /// Lets others go first, now and then, as a network does.
    async fn dawdle(&self) {
        for _ in 0..self.random(4) {
            tokio::task::yield_now().await;
        }
    }
}

fn build(target: &Target, id: u64) -> Build {
    Build {
        id: BuildId(id.to_string()),
        target: target.clone(),
        status: RunStatus::Queued,
        provider_status: "pending".into(),
        reason: None,
        started_at: None,
        finished_at: None,
        web_url: None,
        number: None,
    }
}

fn failure(kind: CiErrorKind) -> CiError {
    CiError::new(kind, "start", "pretended")
}

#[async_trait]
impl CiProvider for PretendCi {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            parameters: false,
            live_logs: false,
            rerun: true,
            force_cancel: false,
            discover: false,
        }
    }

    async fn checkpoint(&self, _target: &Target) -> Result<Checkpoint, CiError> {
        self.dawdle().await;
        Ok(Checkpoint(self.builds().to_string()))
    }

    async fn start(&self, request: &StartRequest<'_>) -> Result<Build, CiError> {
        self.dawdle().await;
        let (fate, late) = self.fate();
        let now = self.clock.now();
        let outcome = match fate {
            Fate::Answers => Ok(build(request.target, self.create(now))),
            Fate::Refuses => Err(failure(CiErrorKind::Refused)),
            Fate::LosesAnswer => {
                self.create(now);
                Err(failure(CiErrorKind::OutcomeUnknown))
            }
            Fate::LosesCall => Err(failure(CiErrorKind::OutcomeUnknown)),
            Fate::StartsLate => {
                self.create(now + late);
                Err(failure(CiErrorKind::OutcomeUnknown))
            }
        };
        self.dawdle().await;
        outcome
    }

    async fn started_since(&self, request: &StartRequest<'_>) -> Result<Vec<Build>, CiError> {
        self.dawdle().await;
        if self.random(10) == 0 || self.state().hidden {
            return Err(failure(CiErrorKind::Unavailable));
        }
        let since: u64 = request.checkpoint.0.parse().expect("a number");
        let now = self.clock.now();
        let builds = self.state().builds.clone();
        let visible = builds.into_iter().filter(|(id, visible_at)| *id > since && *visible_at <= now);
        Ok(visible.map(|(id, _)| build(request.target, id)).collect())
    }

    async fn build(&self, target: &Target, id: &BuildId) -> Result<Build, CiError> {
        Ok(build(target, id.0.parse().expect("a number")))
    }

    fn events(self: Arc<Self>, _: Target, _: BuildId, _: Option<Position>) -> EventStream {
        Box::pin(futures_util::stream::empty())
    }

    async fn cancel(&self, _: &Target, _: &BuildId, _: CancelMode) -> Result<(), CiError> {
        Ok(())
    }

    async fn discover(&self, _: &BTreeSet<String>) -> Result<Vec<DiscoveredJob>, CiError> {
        Err(failure(CiErrorKind::Unsupported))
    }

    async fn check(&self, _: &[TargetUse]) -> Result<CheckReport, CiError> {
        Err(failure(CiErrorKind::Unsupported))
    }
}

/// The one CI system, under any name.
pub struct Only(pub Arc<PretendCi>);

#[async_trait]
impl ProviderDirectory for Only {
    async fn provider(&self, _: &ProviderName) -> Result<Arc<dyn CiProvider>, ProviderLookupError> {
        Ok(self.0.clone())
    }
}

/// One caller: repeats the request with the same key until it succeeds or is refused for good. Some
/// attempts die at a random moment, as a function does.
async fn persist(
    table: &TestTable,
    ci: &Arc<PretendCi>,
    job: &gatehouse_domain::name::JobId,
    key: &IdempotencyKey,
) -> String {
    let (caller, origin) = (admin("example"), origin());
    let audit = audit(&caller, &origin);
    let nothing = BTreeMap::new();
    let (store, system, providers) = (&*table.table, &*table.system, Only(ci.clone()));
    for _attempt in 0..200 {
        let attempt = start::trigger(store, &providers, system, &audit, job, &nothing, Some(key));
        let outcome = if ci.random(4) == 0 {
            let patience = ci.random(60);
            tokio::select! {
                biased;
                outcome = attempt => Some(outcome),
                () = die_after(patience) => None,
            }
        } else {
            Some(attempt.await)
        };
        match outcome {
            Some(Ok(started)) => return started.run.id.to_string(),
            None
            | Some(Err(StartError::InProgress | StartError::OutcomeUnknown { .. } | StartError::Ci(_))) => {
                system.sleep(Duration::from_secs(5)).await;
            }
            Some(Err(other)) => panic!("{other:?}"),
        }
    }
    panic!("the request never succeeded");
}

async fn die_after(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

async fn run_schedule(table: &TestTable, seed: u64, job: &str) {
    let job = table.save_job(job).await;
    let all = [Fate::Answers, Fate::Refuses, Fate::LosesAnswer, Fate::LosesCall, Fate::StartsLate];
    let ci = PretendCi::new(table.system.clone(), seed, all.to_vec());
    let keys: Vec<IdempotencyKey> =
        (0..CALLERS).map(|n| format!("{seed}-{n}").parse().expect("a key")).collect();
    table.system.announce(CALLERS);
    let callers = keys.iter().map(async |key| {
        let run = persist(table, &ci, &job.id, key).await;
        table.system.leave();
        run
    });
    let runs = futures_util::future::join_all(callers).await;
    let distinct: BTreeSet<_> = runs.iter().collect();
    assert_eq!(distinct.len(), CALLERS, "seed {seed}: two requests share a run: {runs:?}");
    assert_eq!(ci.builds(), CALLERS, "seed {seed}: builds without a request");
    for (key, run) in keys.iter().zip(&runs) {
        assert_eq!(persist(table, &ci, &job.id, key).await, *run, "seed {seed}: a repetition differs");
    }
}

#[tokio::test]
async fn every_request_has_one_build_whatever_is_lost() {
    let table = TestTable::new().await;
    table.system.hurry(8);
    for seed in KEPT.into_iter().chain(1..SCHEDULES) {
        run_schedule(&table, seed, &format!("job-{seed}")).await;
    }
}

/// Of two requests whose answers are lost, the first one's build can be seen only when the second one's has been for
/// long, and lies before the second one's checkpoint: if the first took the second one's build, the second would never
/// find the first one's, and would call again.
#[tokio::test]
async fn a_request_leaves_a_build_to_another_one_that_recovers_until_its_own_must_be_visible() {
    let table = TestTable::new().await;
    let job = table.save_job("lost-twice").await;
    let ci = PretendCi::new(table.system.clone(), 1, vec![Fate::Answers]);
    let (first, second): (IdempotencyKey, IdempotencyKey) =
        ("first".parse().expect("a key"), "second".parse().expect("a key"));
    let (caller, origin) = (admin("example"), origin());
    let (nothing, providers) = (BTreeMap::new(), Only(ci.clone()));
    let trigger = async |key: &IdempotencyKey| {
        let audit = audit(&caller, &origin);
        start::trigger(&*table.table, &providers, &*table.system, &audit, &job.id, &nothing, Some(key)).await
    };
    ci.loses_answer(Duration::from_secs(55));
    assert!(
        matches!(trigger(&first).await, Err(StartError::OutcomeUnknown { .. })),
        "20 s: nothing can be seen"
    );
    ci.loses_answer(Duration::ZERO);
    ci.hide_builds(true);
    assert!(
        matches!(trigger(&second).await, Err(StartError::OutcomeUnknown { .. })),
        "40 s: nothing is answered"
    );
    ci.hide_builds(false);
    let first_run = persist(&table, &ci, &job.id, &first).await;
    let second_run = persist(&table, &ci, &job.id, &second).await;
    assert_ne!(first_run, second_run);
    assert_eq!(ci.builds(), 2, "a request whose build was taken called again");
}
