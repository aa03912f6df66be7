//! The deployer over a table in memory, with a CI system and a webhook that a test moves.

mod ci;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use deployer::{Answer, Deployer};
use gatehouse_commands::CommandFailed;
use gatehouse_domain::{
    catalog::{DeployTarget, EnvironmentEdits, EnvironmentSpec, FindService, SaveService},
    id::OperationId,
    jobs::{JobEdit, SaveJobs},
    operations::{
        Asked, CallWebhook, Effects, FindOperation, Operation, SaveOperation, Webhook, WebhookError, Work,
    },
    revision::EditOutcome,
    secret::SecretName,
};
use gatehouse_store::{
    Table,
    item::key_attributes,
    keys::{self, Key},
};
use gatehouse_testkit::app::{MemorySecrets, TestTable, catalog};
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

pub use self::ci::PretendCi;

/// The operation that is deployed, as the sample events have it.
pub const OPERATION: &str = "op_0deploy00000000000000000001";

/// The key of callback tokens.
pub const CALLBACK_KEY: &str = "canary-key-of-callbacks-in-these-tests";

/// A call that a webhook got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    pub url: String,
    pub version: String,
    pub attempt: u32,
    pub callback_token: String,
}

/// A webhook that takes calls, but for those that it has an error for.
#[derive(Default)]
pub struct PretendWebhook(Mutex<WebhookState>);

#[derive(Default)]
pub struct WebhookState {
    pub posted: Vec<Posted>,
    /// What it answers to the next calls.
    pub errors: VecDeque<WebhookError>,
}

#[async_trait]
impl Webhook for PretendWebhook {
    async fn post(&self, url: &str, call: &CallWebhook) -> Result<(), WebhookError> {
        let mut state = self.0.lock().unwrap();
        state.posted.push(Posted {
            url: url.to_owned(),
            version: call.version.clone(),
            attempt: call.attempt,
            callback_token: call.callback_token.expose_secret().to_owned(),
        });
        state.errors.pop_front().map_or(Ok(()), Err)
    }
}

/// The deployer, and one operation for it.
pub struct Site {
    pub table: TestTable,
    pub ci: Arc<PretendCi>,
    webhook: Arc<PretendWebhook>,
    pub secrets: Arc<MemorySecrets>,
}

impl Site {
    /// A site with one operation in it, which `target` deploys.
    async fn new(target: DeployTarget) -> Self {
        let table = TestTable::new().await;
        let service = catalog::saved(&table, "acme", "shop").await;
        let operation = Operation {
            id: OPERATION.parse().unwrap(),
            work: Work::Deploy { version: "1.2.3".to_owned(), target },
            ..catalog::operation(&table, &service, "dev")
        };
        catalog::begin(&table, &operation, &service).await;
        let edit = JobEdit { job: ci::job(), previous: None, new_project: None, entries: Vec::new() };
        assert_eq!(table.table.save_jobs(&[edit]).await.unwrap(), EditOutcome::Done);
        let secrets = Arc::new(MemorySecrets::default());
        secrets.put(&SecretName::callback_key(), &CALLBACK_KEY.into());
        let ci = Arc::new(PretendCi::new(table.table.clone()));
        Self { table, ci, webhook: Arc::default(), secrets }
    }

    pub async fn by_job() -> Self {
        Self::new(DeployTarget::Job("job_deploy".parse().unwrap())).await
    }

    pub async fn by_webhook() -> Self {
        Self::new(DeployTarget::Webhook("https://deploy.example/canary-hook".to_owned())).await
    }

    pub fn webhook(&self) -> MutexGuard<'_, WebhookState> {
        self.webhook.0.lock().unwrap()
    }

    pub async fn operation(&self) -> Operation {
        found(&self.table.table).await
    }

    /// Changes the operation behind the function's back.
    pub async fn edit(&self, edit: impl FnOnce(&mut Operation)) {
        change(&self.table.table, edit).await;
    }

    /// Edits the operation's environment, as an admin may while it is open.
    pub async fn edit_environment(&self, edit: impl FnOnce(&mut EnvironmentSpec)) {
        let operation = self.operation().await;
        let table = &self.table.table;
        let service = table.find_service(&operation.service).await.unwrap().unwrap().service;
        let mut edited = catalog::edited(&self.table, &service);
        let specs = &mut edited.spec.environments;
        edit(specs.iter_mut().find(|spec| spec.name == operation.environment).unwrap());
        let entry = catalog::entry_of(&self.table, &edited);
        let saved =
            table.replace_service(&edited, &service.revision, &EnvironmentEdits::default(), &entry).await;
        assert_eq!(saved.unwrap(), EditOutcome::Done);
    }

    pub async fn forget_operation(&self) {
        self.forget(keys::operation(&OPERATION.parse().unwrap())).await;
    }

    pub async fn forget_job(&self) {
        self.forget(keys::job(&ci::job().id)).await;
    }

    async fn forget(&self, key: Key) {
        let call = self.table.client.delete_item().table_name(&self.table.name);
        call.set_key(Some(key_attributes(key))).send().await.unwrap();
    }

    /// What the function answers, as Lambda passes it on.
    pub async fn invoke(&self, event: Value) -> Result<Value, Diagnostic> {
        self.invoke_over(self.table.table.clone(), event).await
    }

    async fn invoke_over(&self, table: Arc<Table>, event: Value) -> Result<Value, Diagnostic> {
        let deployer = Deployer {
            table,
            providers: Arc::new(ci::Directory(self.ci.clone())),
            webhook: self.webhook.clone(),
            secrets: self.secrets.clone(),
            system: self.table.system.clone(),
        };
        let event = LambdaEvent::new(event, Context::default());
        let answer: Result<Answer, CommandFailed> = deployer.handle(event).await;
        Ok(serde_json::to_value(answer?).unwrap())
    }

    pub async fn trigger(&self) -> Result<Value, Diagnostic> {
        self.invoke(trigger_run()).await
    }

    pub async fn follow(&self) -> Result<Value, Diagnostic> {
        self.invoke(follow_run()).await
    }

    pub async fn call(&self) -> Result<Value, Diagnostic> {
        self.invoke(sample(include_str!("../../../../../events/deployer/call-webhook.json"))).await
    }

    /// What the function answers to `event` when its table does not.
    pub async fn without_table(&self, event: Value) -> Result<Value, Diagnostic> {
        let missing =
            Table::new(self.table.client.clone(), "a-secret-of-the-wire", self.table.system.clone());
        self.invoke_over(Arc::new(missing), event).await
    }
}

pub fn trigger_run() -> Value {
    sample(include_str!("../../../../../events/deployer/trigger-run.json"))
}

pub fn follow_run() -> Value {
    sample(include_str!("../../../../../events/deployer/follow-run.json"))
}

fn sample(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn id() -> OperationId {
    OPERATION.parse().unwrap()
}

async fn found(table: &Table) -> Operation {
    table.find_operation(&id()).await.unwrap().unwrap()
}

async fn change(table: &Table, edit: impl FnOnce(&mut Operation)) {
    let mut operation = found(table).await;
    edit(&mut operation);
    operation.version += 1;
    assert_eq!(table.save_operation(&operation, &Effects::default()).await.unwrap(), EditOutcome::Done);
}

/// The error's word and message.
pub fn failed(answer: Result<Value, Diagnostic>) -> (String, String) {
    let diagnostic = answer.expect_err("the command was obeyed");
    (diagnostic.error_type, diagnostic.error_message)
}

/// That Ada asked for something when the operation was last changed.
pub fn asked(operation: &Operation) -> Asked {
    Asked::by("user:ada", operation.updated_at)
}

/// The answer to a command that triggered.
pub fn triggered() -> Value {
    json!({ "ended": false, "wait_seconds": 5 })
}
