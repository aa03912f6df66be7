//! What the function answers, with an empty table behind it.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use async_trait::async_trait;
use gatehouse_domain::{
    api_key::ApiKey,
    audit::Entry,
    catalog::{FindService, Registered, Settled},
    clock::{Clock, IdSource},
    id::{OperationId, ServiceId},
    janitor::{
        Announce, Announcement, Marks, Outbox, Publish, PublishError, Report, Subject, Watch, Watched,
    },
    name::EnvironmentName,
    operations::{
        BeginOutcome, FindOperation, Operation, SaveOperation, TaskToken,
        reconcile::ListOpenOperations,
        workflow::{
            AnswerTask, Execution, NotReady, OverseeWorkflow, StartWorkflow, TaskAnswer, Workflow,
            WorkflowError,
        },
    },
    paging::{ListError, Page, PageRequest},
    revision::{EditOutcome, Revision},
    revocation::{FlushAuthorizer, FlushError, PendingFlush},
    signing::KeyRing,
    store::StoreError,
    tokens::ServiceToken,
};
use janitor::{Janitor, SweepFailed};
use jiff::Timestamp;
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use serde_json::{Value, json};

const NOW: i64 = 1_790_000_000;

/// A table without anything in it, at a time that stands still.
struct Nothing {
    flush_works: bool,
}

fn empty<T>() -> Page<T> {
    Page { items: Vec::new(), next: None }
}

#[async_trait]
impl Watch for Nothing {
    async fn watched_tokens(&self, _page: &PageRequest) -> Result<Page<Watched<ServiceToken>>, ListError> {
        Ok(empty())
    }

    async fn watched_api_keys(&self, _page: &PageRequest) -> Result<Page<Watched<ApiKey>>, ListError> {
        Ok(empty())
    }

    async fn watched_key_ring(&self) -> Result<Option<Watched<KeyRing>>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl Announce for Nothing {
    async fn announce(
        &self,
        _subject: &Subject,
        _previous: &Marks,
        _marks: &Marks,
        _announcements: &[Announcement],
    ) -> Result<EditOutcome, StoreError> {
        Ok(EditOutcome::Done)
    }
}

#[async_trait]
impl Outbox for Nothing {
    async fn to_publish(&self, _page: &PageRequest) -> Result<Page<Announcement>, ListError> {
        Ok(empty())
    }

    async fn published(&self, _announcement: &Announcement) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl Publish for Nothing {
    async fn publish(&self, announcements: &[Announcement]) -> Vec<Result<(), PublishError>> {
        announcements.iter().map(|_| Ok(())).collect()
    }
}

#[async_trait]
impl FlushAuthorizer for Nothing {
    async fn flush_authorizer(&self) -> Result<(), FlushError> {
        if self.flush_works { Ok(()) } else { Err(FlushError("a secret of the wire".into())) }
    }

    fn remembered_for(&self) -> Duration {
        Duration::from_mins(5)
    }
}

#[async_trait]
impl PendingFlush for Nothing {
    async fn pending_flush(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(Some(Timestamp::UNIX_EPOCH))
    }

    async fn flush_done(&self, _since: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl ListOpenOperations for Nothing {
    async fn open_operations(&self, _page: &PageRequest) -> Result<Page<Operation>, ListError> {
        Ok(empty())
    }

    async fn ended_environments(
        &self,
        _now: Timestamp,
        _page: &PageRequest,
    ) -> Result<Page<(ServiceId, EnvironmentName)>, ListError> {
        Ok(empty())
    }
}

#[async_trait]
impl FindOperation for Nothing {
    async fn find_operation(&self, _id: &OperationId) -> Result<Option<Operation>, StoreError> {
        Ok(None)
    }

    async fn find_operations(&self, _ids: &[OperationId]) -> Result<Vec<Operation>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl SaveOperation for Nothing {
    async fn begin_operation(
        &self,
        _operation: &Operation,
        _service: &Revision,
        _entry: &Entry,
    ) -> Result<BeginOutcome, StoreError> {
        Ok(BeginOutcome::ServiceChanged)
    }

    async fn save_operation(
        &self,
        _operation: &Operation,
        _settled: Option<&Settled>,
        _entry: Option<&Entry>,
    ) -> Result<EditOutcome, StoreError> {
        Ok(EditOutcome::Conflict)
    }
}

#[async_trait]
impl FindService for Nothing {
    async fn find_service(&self, _id: &ServiceId) -> Result<Option<Registered>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl StartWorkflow for Nothing {
    fn ready(&self, _workflow: Workflow) -> Result<(), NotReady> {
        Ok(())
    }

    async fn start(&self, _workflow: Workflow, _operation: &OperationId) -> Result<(), WorkflowError> {
        Ok(())
    }
}

#[async_trait]
impl AnswerTask for Nothing {
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
impl OverseeWorkflow for Nothing {
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

impl IdSource for Nothing {
    fn random(&self) -> [u8; 16] {
        [0; 16]
    }
}

#[async_trait]
impl Clock for Nothing {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    async fn sleep(&self, _pause: Duration) {}
}

/// What the function answers when it has so many seconds.
async fn invoked(flush_works: bool, seconds: i64) -> Result<Report, SweepFailed> {
    let nothing = Arc::new(Nothing { flush_works });
    let janitor = Janitor {
        open: nothing.clone(),
        find: nothing.clone(),
        save: nothing.clone(),
        services: nothing.clone(),
        start: nothing.clone(),
        answer: nothing.clone(),
        oversee: nothing.clone(),
        watch: nothing.clone(),
        announce: nothing.clone(),
        outbox: nothing.clone(),
        publish: nothing.clone(),
        flush: nothing.clone(),
        pending_flush: nothing.clone(),
        clock: nothing.clone(),
        ids: nothing,
        unused_days: NonZeroU16::new(90).unwrap(),
    };
    let event: Value = serde_json::from_str(include_str!("../../../events/janitor/schedule.json")).unwrap();
    let mut context = Context::default();
    context.deadline = u64::try_from((NOW + seconds) * 1000).unwrap();
    janitor.handle(LambdaEvent::new(event, context)).await
}

#[tokio::test]
async fn a_sweep_is_answered_with_its_report() {
    let report = serde_json::to_value(invoked(true, 120).await.unwrap()).unwrap();
    let expected = json!({
        "operations": 0,
        "told": 0,
        "ended": 0,
        "expired": 0,
        "tokens": 0,
        "api_keys": 0,
        "announced": 0,
        "published": 0,
        "flushed": true,
        "finished": true,
    });
    assert_eq!(report, expected);
}

#[tokio::test]
async fn nothing_new_is_begun_shortly_before_the_function_is_ended() {
    assert!(invoked(true, 21).await.unwrap().finished);
    assert!(!invoked(true, 20).await.unwrap().finished);
}

#[tokio::test]
async fn a_sweep_that_could_not_do_everything_is_an_error_without_its_causes() {
    let diagnostic = Diagnostic::from(invoked(false, 120).await.unwrap_err());
    assert_eq!(diagnostic.error_type, "SweepFailed");
    assert!(diagnostic.error_message.starts_with("1 parts of the sweep failed"), "{diagnostic:?}");
    assert!(!diagnostic.error_message.contains("secret"), "{diagnostic:?}");
}
