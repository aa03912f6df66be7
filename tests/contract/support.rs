//! A table to test, a clock that is moved by hand, and things to put in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Credentials, Intercept, Region, RuntimeComponents, SharedCredentialsProvider,
        interceptors::{
            AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
            BeforeSerializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
        },
    },
    error::BoxError,
    operation::query::{QueryInput, QueryOutput},
    types::{ConsumedCapacity, ReturnConsumedCapacity},
};
use gatehouse_domain::{
    access::Scope,
    audit::{Action, AuditContext, AuditTarget, Entry, Origin, Outcome},
    caller::{Caller, Grant, Roles, Tenants},
    ci::{ConcourseTarget, ProviderKind, Target},
    claims::{ServiceClaims, SessionClaims},
    clock::{Clock, IdSource},
    id::{KeyId, OperationId},
    jobs::{EditPorts, Job, JobDraft, JobSpec},
    operations::workflow::{NotReady, StartWorkflow, Workflow, WorkflowError},
    paging::{Cursor, Limit, ListError, Page, PageRequest},
    revision::Precondition,
    revocation::{FlushAuthorizer, FlushError},
    secret::SecretError,
    sign::{SignError, SignToken},
    signing::MakeKeyPair,
    users::{HashPassword, HashPasswordError, PasswordHash},
};
use gatehouse_dynamodb::{DynamoDb, Storage, prepare_table, with_long_timeouts};
use gatehouse_runtime::{aws::Aws, env};
use gatehouse_store::Table;
use gatehouse_template::Template;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;

/// A table of its own for one test.
pub struct TestTable {
    pub table: Arc<Table>,
    pub clock: Arc<HandClock>,
    pub ids: Arc<CountedIds>,
    pub calls: Calls,
    /// For what an older version would have written.
    pub client: Client,
    pub name: String,
    /// The embedded server, which ends with the test.
    _server: Option<DynamoDb>,
}

impl TestTable {
    pub async fn new() -> Self {
        let (server, endpoint) = if let Some(endpoint) = env::optional("GATEHOUSE_TEST_DYNAMODB") {
            (None, endpoint)
        } else {
            let server = DynamoDb::start(Storage::Memory).await.expect("an embedded DynamoDB");
            let endpoint = server.endpoint_url();
            (Some(server), endpoint)
        };
        let calls = Calls::default();
        let client = client(endpoint, calls.clone());
        let name = format!("gatehouse-test-{}-{}", std::process::id(), next_number());
        let template = include_str!("../../template.yaml");
        let template = Template::parse(template, &BTreeMap::new()).expect("template.yaml can be read");
        prepare_table(&client, &name, &template.tables[0]).await.expect("a table");
        calls.forget();
        let clock = Arc::new(HandClock::default());
        let table = Arc::new(Table::new(client.clone(), name.clone(), clock.clone()));
        Self { table, clock, ids: Arc::default(), calls, client, name, _server: server }
    }

    /// The same table behind a client that also runs `interceptor`.
    fn through(&self, interceptor: impl Intercept + 'static) -> Table {
        let config = self.client.config().to_builder().interceptor(interceptor).build();
        Table::new(Client::from_conf(config), self.name.clone(), self.clock.clone())
    }

    /// The same table, reached over a line that loses the first answer to each call, of which one is made at a time.
    pub fn losing_answers(&self) -> Table {
        self.through(LosesAnswers::default())
    }

    /// The same table, with a meter of what queries cost.
    pub fn metered(&self) -> (Table, Meter) {
        let meter = Meter::default();
        (self.through(meter.clone()), meter)
    }

    /// Saves a job of project `example` of tenant `example`.
    pub async fn save_job(&self, id: &str) -> Job {
        self.save_job_as(&admin("example"), id, "example").await
    }

    pub async fn save_job_as(&self, caller: &Caller, id: &str, project: &str) -> Job {
        let kinds = BTreeSet::from(ProviderKind::ALL);
        let ports = EditPorts {
            find: &*self.table,
            save: &*self.table,
            clock: &*self.clock,
            ids: &*self.ids,
            kinds: &kinds,
        };
        let draft = draft(id, project);
        let put = gatehouse_domain::jobs::put(&ports, caller, draft, None, &Precondition::Absent).await;
        put.expect("the job is saved").job
    }

    /// An entry of the trail that nobody has written yet, of an act on `target`.
    pub fn entry(&self, actor: &str, target: &str, tenant: Option<&str>) -> Entry {
        let audit_target = AuditTarget {
            target: target.to_owned(),
            tenant: tenant.map(|tenant| tenant.parse().expect("a tenant")),
            detail: None,
        };
        let (clock, ids, origin) = (&*self.clock, &*self.ids, origin());
        Entry::new(clock, ids, actor.to_owned(), &origin, Action::PutProject, Outcome::Done, audit_target)
    }
}

fn client(endpoint: String, calls: Calls) -> Client {
    let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    let aws = Aws::new(Some(Region::from_static("us-east-1")), credentials, Some(endpoint));
    let client = with_long_timeouts(&aws.expect("a client").dynamodb());
    Client::from_conf(client.config().to_builder().interceptor(calls).build())
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The calls that reached the wire, by the name of the operation.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    /// The operations that were called since the last time anybody asked.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("nobody panicked"))
    }

    fn forget(&self) {
        self.take();
    }
}

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "Calls"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        self.0.lock().expect("nobody panicked").push(operation);
        Ok(())
    }
}

/// Loses the first answer to each call: the table has done what it was asked for, and the SDK tries again.
#[derive(Debug, Default)]
struct LosesAnswers(AtomicU64);

impl Intercept for LosesAnswers {
    fn name(&self) -> &'static str {
        "LosesAnswers"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            *context.response_mut().status_mut() = 500.try_into()?;
        }
        Ok(())
    }
}

/// What a query cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// How many items it looked at.
    pub looked_at: i32,
    /// How many read units it took.
    pub units: f64,
}

/// What the queries cost that were made.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<Vec<Cost>>>);

impl Meter {
    /// What was made since the last time anybody asked.
    pub fn take(&self) -> Vec<Cost> {
        std::mem::take(&mut *self.0.lock().expect("nobody panicked"))
    }
}

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(query) = context.input_mut().downcast_mut::<QueryInput>() {
            query.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.output_or_error().ok();
        if let Some(answer) = answer.and_then(|answer| answer.downcast_ref::<QueryOutput>()) {
            let units = answer.consumed_capacity().and_then(ConsumedCapacity::capacity_units);
            let cost = Cost { looked_at: answer.scanned_count(), units: units.ok_or("no units were told")? };
            self.0.lock().expect("nobody panicked").push(cost);
        }
        Ok(())
    }
}

/// A clock that is moved by hand, or by those who sleep.
///
/// While nobody was [announced](Self::announce), a sleep moves it at once. Otherwise it stands still while
/// any of the announced works, and moves to the earliest end of a sleep when all of them sleep: work takes
/// no time, however slow the machine is.
pub struct HandClock(Mutex<Hands>);

struct Hands {
    now: Timestamp,
    working: usize,
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
    next_sleeper: u64,
    /// How many times as long as asked for a sleep takes.
    haste: u32,
}

impl Default for HandClock {
    fn default() -> Self {
        let now = Timestamp::from_second(1_790_000_000).expect("a time");
        let sleepers = BTreeMap::new();
        Self(Mutex::new(Hands { now, working: 0, sleepers, next_sleeper: 0, haste: 1 }))
    }
}

impl HandClock {
    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().expect("nobody panicked")
    }

    pub fn advance(&self, time: Duration) {
        self.hands().now += time;
    }

    /// Lets every sleep take `haste` times as long, so that those who wait look less often.
    pub fn hurry(&self, haste: u32) {
        self.hands().haste = haste;
    }

    /// From now on `workers` work, each of whom sleeps once at a time and [leaves](Self::leave).
    pub fn announce(&self, workers: usize) {
        self.hands().working += workers;
    }

    pub fn leave(&self) {
        let mut hands = self.hands();
        hands.working -= 1;
        hands.turn();
    }
}

impl Hands {
    fn turn(&mut self) {
        if self.sleepers.len() < self.working {
            return;
        }
        if let Some((wake_at, _)) = self.sleepers.first_key_value().map(|(key, _)| *key) {
            self.now = self.now.max(wake_at);
        }
        while self.sleepers.first_key_value().is_some_and(|((wake_at, _), _)| *wake_at <= self.now) {
            let sleeper = self.sleepers.pop_first();
            // One who is gone need not be woken.
            let _gone = sleeper.map(|(_, wake)| wake.send(()));
        }
    }
}

/// Takes a sleeper off the list who is dropped before waking.
struct Asleep<'a>(&'a HandClock, (Timestamp, u64));

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.hands().sleepers.remove(&self.1);
    }
}

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        self.hands().now
    }

    async fn sleep(&self, pause: Duration) {
        let (woken, _asleep) = {
            let mut hands = self.hands();
            let wake_at = hands.now + pause * hands.haste;
            if hands.working == 0 {
                hands.now = wake_at;
                return;
            }
            let key = (wake_at, hands.next_sleeper);
            hands.next_sleeper += 1;
            let (wake, woken) = oneshot::channel();
            hands.sleepers.insert(key, wake);
            hands.turn();
            (woken, Asleep(self, key))
        };
        // An error means that the clock is gone, and the test with it.
        let _woken = woken.await;
    }
}

/// Ids that count.
#[derive(Debug, Default)]
pub struct CountedIds(AtomicU64);

impl IdSource for CountedIds {
    fn random(&self) -> [u8; 16] {
        let number = self.0.fetch_add(1, Ordering::SeqCst).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes[8..].copy_from_slice(&number.rotate_left(29).to_be_bytes());
        bytes
    }
}

/// A caller who may do everything in one tenant.
pub fn admin(tenant: &str) -> Caller {
    caller(Tenants::Only(BTreeSet::from([tenant.parse().expect("a tenant")])))
}

pub fn caller(tenants: Tenants) -> Caller {
    let grant = Grant::ApiKey { scopes: BTreeSet::from([Scope::All]), tenants };
    Caller { subject: "key_test".into(), grant }
}

/// A person with these roles, in this session.
pub fn person(name: &str, roles: &str, session: &str) -> Caller {
    let roles: Roles = roles.parse().expect("roles");
    Caller { subject: name.to_owned(), grant: Grant::User { roles, session: session.to_owned() } }
}

pub fn origin() -> Origin {
    Origin {
        request_id: "req_test".into(),
        source_ip: Some("192.0.2.1".into()),
        user_agent: Some("tests".into()),
    }
}

/// Something that `caller` does.
pub fn audit<'a>(caller: &'a Caller, origin: &'a Origin) -> AuditContext<'a> {
    AuditContext { caller, origin }
}

/// Every page of a list, read with a small limit.
pub async fn pages<T, F>(limit: u8, list: impl Fn(PageRequest) -> F) -> Vec<Vec<T>>
where
    F: Future<Output = Result<Page<T>, ListError>>,
{
    let limit = Limit::new(limit).expect("a limit");
    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        let page = list(PageRequest { limit, cursor }).await.expect("a page");
        pages.push(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return pages;
        }
        assert!(pages.len() < 1000, "the list never ends");
    }
}

/// A request for the page behind a cursor.
pub fn behind(cursor: Option<Cursor>) -> PageRequest {
    PageRequest { limit: Limit::new(1).expect("a limit"), cursor }
}

/// What the rules need that the table is not: passwords compared without a hash, tokens without a
/// signature, key pairs without keys, and an API Gateway that forgets.
#[derive(Default)]
pub struct Pretend(AtomicU64);

#[async_trait]
impl HashPassword for Pretend {
    async fn hash_password(&self, password: &SecretString) -> Result<PasswordHash, HashPasswordError> {
        Ok(PasswordHash::unverified(format!("hash of {}", password.expose_secret())))
    }

    async fn matches(
        &self,
        password: &SecretString,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, HashPasswordError> {
        Ok(hash.is_some_and(|hash| hash.expose() == format!("hash of {}", password.expose_secret())))
    }
}

#[async_trait]
impl SignToken for Pretend {
    async fn sign_service_token(&self, claims: &ServiceClaims) -> Result<SecretString, SignError> {
        Ok(format!("signed {}", claims.jti).into())
    }

    async fn sign_session(&self, claims: &SessionClaims) -> Result<SecretString, SignError> {
        Ok(format!("signed {}", claims.id.as_str()).into())
    }
}

#[async_trait]
impl MakeKeyPair for Pretend {
    async fn make_key_pair(&self) -> Result<(KeyId, String), SecretError> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Ok((format!("key-{number}").parse::<KeyId>().expect("an id"), "public".into()))
    }
}

#[async_trait]
impl FlushAuthorizer for Pretend {
    async fn flush_authorizer(&self) -> Result<(), FlushError> {
        Ok(())
    }

    fn remembered_for(&self) -> Duration {
        Duration::from_mins(5)
    }
}

pub fn target(job: &str) -> Target {
    Target::Concourse(ConcourseTarget {
        team: "main".into(),
        pipeline: "app".into(),
        job: job.into(),
        vars: serde_json::Map::new(),
    })
}

pub fn draft(id: &str, project: &str) -> JobDraft {
    let spec = JobSpec {
        project: project.parse().expect("a project"),
        display_name: id.to_owned(),
        description: None,
        environment: Some("prod".parse().expect("an environment")),
        provider: "concourse".parse().expect("a provider"),
        target: target(id),
        parameters: Vec::new(),
    };
    JobDraft { id: id.parse().expect("a job id"), spec }
}

/// A workflow engine that begins whatever it is told to.
pub struct Begins;

#[async_trait]
impl StartWorkflow for Begins {
    fn ready(&self, _workflow: Workflow) -> Result<(), NotReady> {
        Ok(())
    }

    async fn start(&self, _workflow: Workflow, _operation: &OperationId) -> Result<(), WorkflowError> {
        Ok(())
    }
}
