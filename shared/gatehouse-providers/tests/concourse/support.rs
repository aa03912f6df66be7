//! A twin, ports in memory, and words for both.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt;
use gatehouse_domain::{
    ci::{
        Account, Build, BuildId, Checkpoint, CiError, CiProvider, ConcourseTarget, LogStream, Position,
        RunEvent, RunEventBody, Sharing, StartKind, StartRequest, StepPhase, Target,
    },
    clock::{Clock, IdSource},
    lease::{LeaseOutcome, Leases},
    providers::{Credentials, Provider},
    revision::Revision,
    secret::SecretName,
    store::StoreError,
};
use gatehouse_outbound::OutboundHttp;
use gatehouse_providers::{Dependencies, concourse::ConcourseProvider};
use gatehouse_testkit::{
    app::{MemorySecrets, TestSystem},
    concourse::{ConcourseTwin, Role, Script, TwinBuilder},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

/// How long a test may hang before it says so: but for one, which waits for a plan to be given up, none of them takes a
/// second of its own.
const PATIENCE: Duration = Duration::from_secs(30);

/// Leases in memory. Time does not end them: tests that want that release them.
#[derive(Default)]
pub struct LeaseBook(Mutex<HashMap<String, String>>);

#[async_trait]
impl Leases for LeaseBook {
    async fn acquire(&self, name: &str, holder: &str, _: Duration) -> Result<LeaseOutcome, StoreError> {
        let mut held = self.0.lock().unwrap();
        let current = held.entry(name.to_owned()).or_insert_with(|| holder.to_owned());
        Ok(if current == holder { LeaseOutcome::Acquired } else { LeaseOutcome::Held })
    }

    async fn release(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        self.0.lock().unwrap().retain(|held, by| held != name || by != holder);
        Ok(())
    }
}

/// A clock that stands still until it is moved. Pauses are over at once, but [`WATCHDOG`] and
/// [`QUIET_AFTER_END`] last until the test ends them. Ids are counted.
pub struct TestClock {
    now: Mutex<Timestamp>,
    ids: TestSystem,
    held: [Held; 2],
}

/// Pauses of one length.
struct Held {
    pause: Duration,
    /// How many of them may end.
    ends: Semaphore,
    ended: watch::Sender<u64>,
}

impl Default for TestClock {
    fn default() -> Self {
        let now = Mutex::new("2026-09-01T10:00:00Z".parse().unwrap());
        Self { now, ids: TestSystem::default(), held: [WATCHDOG, QUIET_AFTER_END].map(Held::new) }
    }
}

impl TestClock {
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap();
        *now += by;
    }

    /// Ends one pause of this length, and waits until it has ended.
    pub async fn end(&self, pause: Duration) {
        let held = self.held.iter().find(|held| held.pause == pause).unwrap();
        let mut ended = held.ended.subscribe();
        let before = *ended.borrow();
        held.ends.add_permits(1);
        within_patience(ended.wait_for(|ended| *ended > before)).await.unwrap();
    }
}

impl Held {
    fn new(pause: Duration) -> Self {
        Self { pause, ends: Semaphore::new(0), ended: watch::Sender::new(0) }
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    async fn sleep(&self, pause: Duration) {
        let Some(held) = self.held.iter().find(|held| held.pause == pause) else {
            // Others get their turn; a loop of pauses must not starve the twin.
            return tokio::time::sleep(Duration::from_millis(1)).await;
        };
        held.ends.acquire().await.unwrap().forget();
        held.ended.send_modify(|ended| *ended += 1);
    }
}

impl IdSource for TestClock {
    fn random(&self) -> [u8; 16] {
        self.ids.random()
    }
}

/// After how much silence the build is asked for, and after how much a build that has ended is left.
pub const WATCHDOG: Duration = Duration::from_mins(1);
pub const QUIET_AFTER_END: Duration = Duration::from_secs(2);

/// A twin, and everything that providers for it share.
pub struct Bench {
    pub twin: ConcourseTwin,
    pub settings: Provider,
    pub secrets: Arc<MemorySecrets>,
    pub leases: Arc<LeaseBook>,
    pub clock: Arc<TestClock>,
}

pub const USER: &str = "ci-gateway";
pub const PASSWORD: &str = "s3cret";

/// A Concourse with our user as pipeline operator of `main`, and job `app/deploy` that does `script`.
pub fn concourse(script: Script) -> TwinBuilder {
    ConcourseTwin::builder()
        .user(USER, PASSWORD)
        .team("main", |team| team.role(USER, Role::PipelineOperator))
        .pipeline("main", "app", |pipeline| pipeline.job("deploy", |job| job.script(script)))
        .fixed_time(1_790_000_000)
}

impl Bench {
    pub async fn new(builder: TwinBuilder) -> Self {
        let account = Account::Password { username: USER.into() };
        Self::with_account(builder, account, PASSWORD).await
    }

    pub async fn with_account(builder: TwinBuilder, account: Account, secret: &str) -> Self {
        gatehouse_testkit::log::watch();
        let twin = builder.start().await;
        let settings = settings(twin.url(), &account);
        let secrets = Arc::new(MemorySecrets::default());
        let given_for = Some(settings.place());
        let credentials = Credentials { account, secret: secret.to_owned().into(), given_for };
        secrets.put(&SecretName::provider_credentials(&settings.name), &credentials.to_secret());
        let (leases, clock) = (Arc::new(LeaseBook::default()), Arc::new(TestClock::default()));
        Self { twin, settings, secrets, leases, clock }
    }

    /// Gives the password for where the settings lead, as an edit of the provider would have to.
    pub fn give_password(&self) {
        let credentials = Credentials {
            account: self.settings.account.clone().unwrap(),
            secret: PASSWORD.to_owned().into(),
            given_for: Some(self.settings.place()),
        };
        let name = SecretName::provider_credentials(&self.settings.name);
        self.secrets.put(&name, &credentials.to_secret());
    }

    pub fn dependencies(&self) -> Dependencies {
        Dependencies {
            read_secrets: self.secrets.clone(),
            write_secrets: self.secrets.clone(),
            leases: self.leases.clone(),
            system: self.clock.clone(),
            http: OutboundHttp::new().allow_loopback(),
        }
    }

    /// A provider as another process would have it: it shares nothing in memory.
    pub fn provider(&self) -> Arc<ConcourseProvider> {
        Arc::new(ConcourseProvider::new(&self.settings, self.dependencies()))
    }

    pub fn token_secret(&self) -> SecretName {
        SecretName::provider_token(&self.settings.name)
    }
}

pub fn settings(url: &str, account: &Account) -> Provider {
    Provider {
        name: "concourse".parse().unwrap(),
        kind: gatehouse_domain::ci::ProviderKind::Concourse,
        url: Some(url.to_owned()),
        account: Some(account.clone()),
        ca_certificate: None,
        sharing: Sharing::OpenToAll,
        revision: Revision::unverified("rev_1".into()),
        credentials_version: "cred_1".into(),
        updated_at: Timestamp::UNIX_EPOCH,
        updated_by: "test".into(),
    }
}

pub fn target(pipeline: &str, job: &str) -> Target {
    instance(pipeline, job, &json!({}))
}

pub fn instance(pipeline: &str, job: &str, vars: &Value) -> Target {
    Target::Concourse(ConcourseTarget {
        team: "main".into(),
        pipeline: pipeline.into(),
        job: job.into(),
        vars: vars.as_object().cloned().unwrap_or_default(),
    })
}

/// `main/app/deploy`, which every twin here has.
pub fn deploy() -> Target {
    target("app", "deploy")
}

/// A start: its target, its way, and what was remembered before it.
pub struct Begin {
    pub target: Target,
    pub kind: StartKind,
    pub checkpoint: Checkpoint,
}

impl Begin {
    /// Takes the checkpoint, as one does before a start.
    pub async fn prepare(provider: &ConcourseProvider, target: Target, kind: StartKind) -> Self {
        let checkpoint = provider.checkpoint(&target).await.unwrap();
        Self { target, kind, checkpoint }
    }

    fn request(&self) -> StartRequest<'_> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        StartRequest {
            id: "sta_1",
            target: &self.target,
            kind: &self.kind,
            environment: &NONE,
            checkpoint: &self.checkpoint,
        }
    }

    pub async fn start(&self, provider: &ConcourseProvider) -> Result<Build, CiError> {
        provider.start(&self.request()).await
    }

    /// The ids of the builds that this start may have begun.
    pub async fn look(&self, provider: &ConcourseProvider) -> Vec<String> {
        let builds = provider.started_since(&self.request()).await.unwrap();
        builds.into_iter().map(|build| build.id.0).collect()
    }
}

/// Triggers `target`.
pub async fn trigger(provider: &ConcourseProvider, target: Target) -> Result<Build, CiError> {
    Begin { target, kind: StartKind::Trigger, checkpoint: Checkpoint("0".into()) }.start(provider).await
}

/// The number of a build in the twin.
pub fn number(build: &BuildId) -> i64 {
    build.0.parse().unwrap()
}

/// Everything that happens in a build behind `after`, up to the end or an error.
pub async fn watch(
    provider: &Arc<ConcourseProvider>,
    build: &BuildId,
    after: Option<&Position>,
) -> Result<Vec<RunEvent>, CiError> {
    let events = provider.clone().events(deploy(), build.clone(), after.cloned());
    let all = async { events.collect::<Vec<_>>().await.into_iter().collect() };
    within_patience(all).await
}

pub async fn within_patience<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("nothing happens any more")
}

/// How a run of `Script::quick` is told from its beginning to its end.
pub const QUICK: &str = "\
0 status running (started)
1 step 64f0a0 repo preparing -
2 step 64f0a0 repo started
3 step 64f0a0 repo started waiting for a worker
4 step 64f0a0 repo started on worker worker-1
5 step 64f0a0 repo finished Some(0) Some(true)
6 step 64f0a1 unit preparing -
7 step 64f0a1 unit preparing waiting for a worker
8 step 64f0a1 unit preparing on worker worker-1
9 step 64f0a1 unit started
10 log 64f0a1 \"Hello, world!\\r\\n\"
11 log 64f0a1 \"building\\r\\n\"
12 log 64f0a1 \"done\\r\\n\"
13 step 64f0a1 unit finished Some(0) Some(true)
14 status succeeded (succeeded)
14 end
";

/// Events in short: `position kind …`, one a line.
pub fn told(events: &[RunEvent]) -> String {
    events.iter().flat_map(|event| [line(event), "\n".to_owned()]).collect()
}

pub fn line(event: &RunEvent) -> String {
    let position = event.position.as_ref().map_or("-", |position| &position.0);
    let step = |step: &Option<String>| step.clone().unwrap_or_else(|| "-".into());
    let what = match &event.body {
        RunEventBody::Status { status, provider_status, reason } => {
            let reason = reason.as_ref().map(|reason| format!(" {:?}", reason.code)).unwrap_or_default();
            format!("status {} ({provider_status}){reason}", status.as_str())
        }
        RunEventBody::Step { step, name, phase, facts } => {
            let detail = facts.detail.as_deref();
            format!("step {step} {} {}", name.as_deref().unwrap_or("-"), phase_line(*phase, detail))
        }
        RunEventBody::Log { step: from, stream, text } => {
            let stream = if *stream == LogStream::Stderr { " stderr" } else { "" };
            format!("log {}{stream} {text:?}", step(from))
        }
        RunEventBody::Error { step: from, message } => format!("error {} {message}", step(from)),
        RunEventBody::End => "end".into(),
    };
    format!("{position} {what}")
}

fn phase_line(phase: StepPhase, detail: Option<&str>) -> String {
    match phase {
        StepPhase::Preparing => format!("preparing {}", detail.unwrap_or("-")),
        StepPhase::Started => detail.map_or_else(|| "started".into(), |detail| format!("started {detail}")),
        StepPhase::Finished { exit_status, succeeded } => format!("finished {exit_status:?} {succeeded:?}"),
    }
}
