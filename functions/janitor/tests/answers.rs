//! What the function answers, with an empty table behind it.

use std::{num::NonZeroU16, sync::Arc};

use async_trait::async_trait;
use gatehouse_domain::{
    ci::{CiProvider, ProviderDirectory, ProviderKind, ProviderLookupError, Sharing},
    clock::Clock,
    id::OperationId,
    janitor::{Announcement, Publish, PublishError, RememberRound, Report, Round},
    name::ProviderName,
    operations::{
        TaskToken,
        workflow::{
            AnswerTask, Execution, NotReady, OverseeWorkflow, StartWorkflow, TaskAnswer, Workflow,
            WorkflowError,
        },
    },
    paging::Cursor,
    providers::{FindProvider, Provider, SaveProvider},
    revision::Revision,
};
use gatehouse_store::keys;
use gatehouse_testkit::app::{Flushes, TestTable};
use janitor::{Janitor, SweepFailed};
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use serde_json::{Value, json};

/// A bus and a workflow engine that have nothing to do.
struct Idle;

#[async_trait]
impl Publish for Idle {
    async fn publish(&self, announcements: &[Announcement]) -> Vec<Result<(), PublishError>> {
        announcements.iter().map(|_| Ok(())).collect()
    }
}

#[async_trait]
impl ProviderDirectory for Idle {
    async fn provider(&self, name: &ProviderName) -> Result<Arc<dyn CiProvider>, ProviderLookupError> {
        Err(ProviderLookupError::NotConfigured(name.clone()))
    }
}

#[async_trait]
impl StartWorkflow for Idle {
    fn ready(&self, _workflow: Workflow) -> Result<(), NotReady> {
        Ok(())
    }

    async fn start(&self, _workflow: Workflow, _operation: &OperationId) -> Result<(), WorkflowError> {
        Ok(())
    }
}

#[async_trait]
impl AnswerTask for Idle {
    async fn succeed(&self, _token: &TaskToken, _output: &Value) -> Result<TaskAnswer, WorkflowError> {
        Ok(TaskAnswer::Expired)
    }

    async fn fail(
        &self,
        _token: &TaskToken,
        _error: &str,
        _cause: &str,
    ) -> Result<TaskAnswer, WorkflowError> {
        Ok(TaskAnswer::Expired)
    }

    async fn heartbeat(&self, _token: &TaskToken) -> Result<TaskAnswer, WorkflowError> {
        Ok(TaskAnswer::Expired)
    }
}

#[async_trait]
impl OverseeWorkflow for Idle {
    async fn describe(
        &self,
        _workflow: Workflow,
        _operation: &OperationId,
    ) -> Result<Option<Execution>, WorkflowError> {
        Ok(None)
    }

    async fn stop(
        &self,
        _workflow: Workflow,
        _operation: &OperationId,
        _cause: &str,
    ) -> Result<(), WorkflowError> {
        Ok(())
    }
}

/// Lets a flush be pending, as a revocation does.
async fn mark_a_flush(table: &TestTable) {
    let key = keys::pending_flush();
    let call = table.client.put_item().table_name(&table.name);
    let text = |value: String| gatehouse_store::item::text(value);
    let since = text("1970-01-01T00:00:00Z".to_owned());
    call.item("pk", text(key.pk)).item("sk", text(key.sk)).item("owed_since", since).send().await.unwrap();
}

fn janitor(table: &TestTable, idle: &Arc<Idle>, flushes: Flushes) -> Janitor {
    Janitor {
        table: table.table.clone(),
        start: idle.clone(),
        answer: idle.clone(),
        oversee: idle.clone(),
        publish: idle.clone(),
        flush: Arc::new(flushes),
        providers: idle.clone(),
        system: table.system.clone(),
        unused_days: NonZeroU16::new(90).unwrap(),
    }
}

/// The schedule's event, for a function that has so many seconds.
fn event(table: &TestTable, seconds: i64) -> LambdaEvent<Value> {
    let event: Value = serde_json::from_str(include_str!("../../../events/janitor/schedule.json")).unwrap();
    let mut context = Context::default();
    context.deadline = u64::try_from((table.system.now().as_second() + seconds) * 1000).unwrap();
    LambdaEvent::new(event, context)
}

/// What the function answers when it has so many seconds.
async fn invoked(flushes: Flushes, seconds: i64) -> Result<Report, SweepFailed> {
    let (table, idle) = (TestTable::new().await, Arc::new(Idle));
    mark_a_flush(&table).await;
    janitor(&table, &idle, flushes).handle(event(&table, seconds)).await
}

#[tokio::test]
async fn a_sweep_is_answered_with_its_report() {
    let report = serde_json::to_value(invoked(Flushes::default(), 120).await.unwrap()).unwrap();
    let expected = json!({
        "operations": 0,
        "told": 0,
        "ended": 0,
        "expired": 0,
        "drift_checks": 0,
        "tokens": 0,
        "api_keys": 0,
        "announced": 0,
        "published": 0,
        "flushed": true,
        "resumed": false,
        "finished": true,
    });
    assert_eq!(report, expected);
}

#[tokio::test]
async fn nothing_new_is_begun_shortly_before_the_function_is_ended() {
    assert!(invoked(Flushes::default(), 21).await.unwrap().finished);
    assert!(!invoked(Flushes::default(), 20).await.unwrap().finished);
}

#[tokio::test]
async fn a_sweep_that_could_not_do_everything_is_an_error_without_its_causes() {
    let diagnostic = Diagnostic::from(invoked(Flushes::failing(), 120).await.unwrap_err());
    assert_eq!(diagnostic.error_type, "SweepFailed");
    assert!(diagnostic.error_message.starts_with("1 parts of the sweep failed"), "{diagnostic:?}");
    assert!(!diagnostic.error_message.contains("API Gateway"), "{diagnostic:?}");
}

/// What the function may do with items of the table. Emulators do not judge by it.
fn rights() -> &'static str {
    let (_, function) =
        include_str!("../../../template.yaml").split_once("\n  JanitorFunction:\n").expect("the function");
    let (_, rest) = function.split_once("- Sid: ReadAndWriteItems\n").expect("the statement");
    let (statement, _) = rest.split_once("- Sid: ").expect("another statement");
    statement
}

#[tokio::test]
async fn where_the_sweep_before_stopped_is_read_and_written_with_the_rights_that_the_function_has() {
    let (table, idle) = (TestTable::new().await, Arc::new(Idle));
    // A place that nobody knows any more, so that the sweep notes another one.
    let round = Round { tokens: Some(Cursor::encode(b"of no list")), api_keys: None };
    table.table.note_round(&round).await.unwrap();
    table.writes.take();
    let report = janitor(&table, &idle, Flushes::default()).handle(event(&table, 120)).await.unwrap();
    assert!(report.resumed && report.finished, "{report:?}");
    assert_eq!(table.table.round().await.unwrap(), Round::default());
    let writes = table.writes.take();
    assert!(writes.contains(&("PutItem", keys::sweep().pk)), "{writes:?}");
    let operations = writes.iter().map(|(operation, _)| *operation).chain(["GetItem"]);
    for operation in operations {
        assert!(rights().contains(&format!("- dynamodb:{operation}\n")), "{operation}");
    }
    assert!(!rights().contains("LeadingKeys"), "then it has to name {}", keys::sweep().pk);
}

#[tokio::test]
async fn a_provider_from_before_it_was_asked_who_may_use_it_is_filled_in() {
    let (table, idle) = (TestTable::new().await, Arc::new(Idle));
    let provider = Provider {
        name: "concourse".parse().unwrap(),
        kind: ProviderKind::Concourse,
        url: None,
        account: None,
        ca_certificate: None,
        sharing: Sharing::NotAsked,
        revision: Revision::new(&*table.system),
        credentials_version: "cred_1".to_owned(),
        updated_at: table.system.now(),
        updated_by: "user:root".to_owned(),
    };
    table.table.save_provider(&provider, None, None).await.unwrap();
    janitor(&table, &idle, Flushes::default()).handle(event(&table, 20)).await.unwrap();
    assert_eq!(sharing(&table).await, Sharing::NotAsked, "too late to begin anything");
    janitor(&table, &idle, Flushes::default()).handle(event(&table, 120)).await.unwrap();
    assert_eq!(sharing(&table).await, Sharing::Unsaid, "there is no tenant yet");
}

async fn sharing(table: &TestTable) -> Sharing {
    table.table.find_provider(&"concourse".parse().unwrap()).await.unwrap().unwrap().sharing
}
