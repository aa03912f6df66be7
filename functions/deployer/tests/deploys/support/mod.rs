//! A table, a CI system, a secret store and a webhook in memory, at a time that only moves when somebody
//! waits.

mod ci;
mod table;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use deployer::{Answer, CommandFailed, Deployer};
use gatehouse_domain::{
    audit::Entry,
    catalog::DeployTarget,
    ci::{Build, BuildId, CiErrorKind, RunStatus},
    clock::{Clock, IdSource},
    idempotency::Fingerprint,
    jobs::Job,
    operations::{Asked, CallWebhook, Operation, Signal, State, Webhook, WebhookError, Work},
    runs::{Run, start::RunRequest},
    secret::{ReadSecret, SecretError, SecretName},
};
use jiff::Timestamp;
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// The operation that is deployed, as the sample events have it.
pub const OPERATION: &str = "op_0deploy00000000000000000001";

/// When the tests begin, in seconds since 1970.
pub const NOW: i64 = 1_790_000_000;

/// The key of callback tokens.
pub const CALLBACK_KEY: &str = "0123456789abcdef0123456789abcdef";

/// A call that a webhook got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    pub url: String,
    pub version: String,
    pub attempt: u32,
    pub callback_token: String,
}

/// Everything that there is.
pub struct World {
    pub operations: Vec<Operation>,
    pub jobs: Vec<Job>,
    pub runs: Vec<Run>,
    pub starts: Vec<RunRequest>,
    pub trail: Vec<Entry>,
    pub builds: Vec<Build>,
    /// What the CI system answers to the next calls that start something; then it starts builds.
    pub start_errors: VecDeque<CiErrorKind>,
    /// Whether the CI system answers to nothing but that.
    pub ci_is_down: bool,
    pub cancelled: Vec<BuildId>,
    pub posted: Vec<Posted>,
    /// What the webhook answers to the next calls; then it takes them.
    pub webhook_errors: VecDeque<WebhookError>,
    pub callback_key: Option<&'static str>,
    pub table_is_down: bool,
    pub now: Timestamp,
    /// What happens to the operation while the CI system starts a build.
    pub meanwhile: Option<fn(&mut Operation)>,
    counter: u64,
}

/// The world, for everybody who is in it.
pub struct Twin(Mutex<World>);

impl Twin {
    /// A world with one operation in it, which `target` deploys.
    pub fn new(target: DeployTarget) -> Arc<Self> {
        Arc::new(Self(Mutex::new(World {
            operations: vec![operation(target)],
            jobs: vec![ci::job()],
            runs: Vec::new(),
            starts: Vec::new(),
            trail: Vec::new(),
            builds: Vec::new(),
            start_errors: VecDeque::new(),
            ci_is_down: false,
            cancelled: Vec::new(),
            posted: Vec::new(),
            webhook_errors: VecDeque::new(),
            callback_key: Some(CALLBACK_KEY),
            table_is_down: false,
            now: Timestamp::from_second(NOW).unwrap(),
            meanwhile: None,
            counter: 0,
        })))
    }

    pub fn by_job() -> Arc<Self> {
        Self::new(DeployTarget::Job("job_deploy".parse().unwrap()))
    }

    pub fn by_webhook() -> Arc<Self> {
        Self::new(DeployTarget::Webhook("https://deploy.example/hook".to_owned()))
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// Changes the operation behind the function's back.
    pub fn edit(&self, edit: impl FnOnce(&mut Operation)) {
        let operation = &mut self.world().operations[0];
        edit(operation);
        operation.version += 1;
    }

    pub fn operation(&self) -> Operation {
        self.world().operations[0].clone()
    }

    /// How the build stands from now on.
    pub fn build_is(&self, status: RunStatus) {
        let build = &mut self.world().builds[0];
        build.status = status;
        status.as_str().clone_into(&mut build.provider_status);
    }

    fn deployer(self: &Arc<Self>) -> Deployer {
        Deployer {
            find: self.clone(),
            save: self.clone(),
            job: self.clone(),
            jobs_by_target: self.clone(),
            runs: self.clone(),
            record_run: self.clone(),
            starts: self.clone(),
            trail: self.clone(),
            providers: Arc::new(ci::Directory(self.clone())),
            webhook: self.clone(),
            secrets: self.clone(),
            clock: self.clone(),
            ids: self.clone(),
        }
    }

    /// What the function answers, as Lambda passes it on.
    pub async fn invoke(self: &Arc<Self>, event: Value) -> Result<Value, Diagnostic> {
        let event = LambdaEvent::new(event, Context::default());
        let answer: Result<Answer, CommandFailed> = self.deployer().handle(event).await;
        Ok(serde_json::to_value(answer?).unwrap())
    }

    pub async fn trigger(self: &Arc<Self>) -> Result<Value, Diagnostic> {
        self.invoke(sample(include_str!("../../../../../events/deployer/trigger-run.json"))).await
    }

    pub async fn follow(self: &Arc<Self>) -> Result<Value, Diagnostic> {
        self.invoke(sample(include_str!("../../../../../events/deployer/follow-run.json"))).await
    }

    pub async fn call(self: &Arc<Self>) -> Result<Value, Diagnostic> {
        self.invoke(sample(include_str!("../../../../../events/deployer/call-webhook.json"))).await
    }
}

fn sample(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The error's word and message.
pub fn failed(answer: Result<Value, Diagnostic>) -> (String, String) {
    let diagnostic = answer.expect_err("the command was obeyed");
    (diagnostic.error_type, diagnostic.error_message)
}

/// That Ada asked for something now.
pub fn asked() -> Asked {
    Asked { by: "user:ada".to_owned(), at: Timestamp::from_second(NOW).unwrap() }
}

/// A deploy of version 1.2.3 by `target`.
pub fn operation(target: DeployTarget) -> Operation {
    let requested = asked();
    Operation {
        id: OPERATION.parse().unwrap(),
        service: "svc_1".parse().unwrap(),
        service_name: "shop".parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        project: "webshop".parse().unwrap(),
        environment: "dev".parse().unwrap(),
        work: Work::Deploy { version: "1.2.3".to_owned(), target },
        approval_required: false,
        fingerprint: Fingerprint::of(&["deploy"]),
        deadline: requested.at + Duration::from_hours(8),
        state: State::Requested,
        cancel: None,
        verdict: None,
        attempt: None,
        plan: None,
        outputs: [].into(),
        steps: Vec::new(),
        log: Vec::new(),
        links: Vec::new(),
        run: None,
        failure: None,
        pending_signal: Some(Signal::Start),
        updated_at: requested.at,
        requested,
        version: 1,
    }
}

/// The answer to a command that triggered.
pub fn triggered() -> Value {
    json!({ "ended": false, "wait_seconds": 5 })
}

#[async_trait]
impl Webhook for Twin {
    async fn post(&self, url: &str, call: &CallWebhook) -> Result<(), WebhookError> {
        let mut world = self.world();
        world.posted.push(Posted {
            url: url.to_owned(),
            version: call.version.clone(),
            attempt: call.attempt,
            callback_token: call.callback_token.expose_secret().to_owned(),
        });
        world.webhook_errors.pop_front().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl ReadSecret for Twin {
    async fn read(&self, name: &SecretName) -> Result<Option<SecretString>, SecretError> {
        assert_eq!(*name, SecretName::callback_key());
        Ok(self.world().callback_key.map(SecretString::from))
    }

    async fn read_fresh(&self, name: &SecretName) -> Result<Option<SecretString>, SecretError> {
        self.read(name).await
    }
}

#[async_trait]
impl Clock for Twin {
    fn now(&self) -> Timestamp {
        self.world().now
    }

    async fn sleep(&self, pause: Duration) {
        self.world().now += pause;
    }
}

impl IdSource for Twin {
    fn random(&self) -> [u8; 16] {
        let mut world = self.world();
        world.counter += 1;
        u128::from(world.counter).to_be_bytes()
    }
}
