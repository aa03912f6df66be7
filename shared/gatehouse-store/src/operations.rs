//! Operations.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure, builders::PutBuilder},
};
use gatehouse_domain::{
    audit::Entry,
    catalog::{Link, OutputValue, PlanSummary, Settled},
    id::{OperationId, ServiceId},
    idempotency::Fingerprint,
    name::{EnvironmentName, ProjectName, ServiceName, TenantId},
    operations::{
        Asked, Attempt, BeginOutcome, FindOperation, ListOperations, Operation, OperationOutcome, Phase,
        SaveOperation, Signal, State, Step, TaskToken, Verdict, Work,
    },
    paging::{ListError, Page, PageRequest},
    revision::{EditOutcome, Revision},
    runs::RunId,
    store::StoreError,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Table, environments,
    error::unavailable,
    item::{
        EXPIRES_AT, IF_ABSENT, IF_REVISION, INDEX_SK, Item, compose, corrupt, decompose, json,
        key_attributes, number, text,
    },
    keys,
    lists::{ByTime, end_of},
    transaction::{Outcome, Transaction},
};

/// How long an operation that has ended is kept after it was asked for.
const RETENTION: Duration = Duration::from_hours(400 * 24);

/// The condition under which a change replaces what its rule saw. Needs `:version`.
const IF_VERSION: &str = "version = :version";

/// An operation as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredOperation {
    operation_id: OperationId,
    service: ServiceId,
    service_name: ServiceName,
    tenant: TenantId,
    project: ProjectName,
    environment: EnvironmentName,
    #[serde(with = "json")]
    work: Work,
    approval_required: bool,
    requested: Asked,
    fingerprint: Fingerprint,
    deadline: Timestamp,
    state: StoredState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancel: Option<Asked>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt: Option<Attempt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plan: Option<PlanSummary>,
    #[serde(with = "json")]
    outputs: BTreeMap<String, OutputValue>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Step>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    log: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    #[serde(rename = "owed", with = "json")]
    pending_signal: Option<Signal>,
    updated_at: Timestamp,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum StoredState {
    Requested,
    Running {
        phase: Phase,
    },
    AwaitingApproval {
        since: Timestamp,
        token: TaskToken,
    },
    Ended {
        ending: OperationOutcome,
        at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// The pointer to an operation that is open.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredPointer {
    pub(crate) operation_id: OperationId,
}

/// An operation that ended although its environment was not its own to settle.
#[derive(Debug, thiserror::Error)]
#[error("environment {environment} of service {service} is not locked by operation {operation}, which ended")]
struct NotLocked {
    service: ServiceId,
    environment: EnvironmentName,
    operation: OperationId,
}

impl From<State> for StoredState {
    fn from(state: State) -> Self {
        match state {
            State::Requested => Self::Requested,
            State::Running(phase) => Self::Running { phase },
            State::AwaitingApproval { since, token } => Self::AwaitingApproval { since, token },
            State::Ended { ending, at, reason } => Self::Ended { ending, at, reason },
        }
    }
}

impl From<StoredState> for State {
    fn from(stored: StoredState) -> Self {
        match stored {
            StoredState::Requested => Self::Requested,
            StoredState::Running { phase } => Self::Running(phase),
            StoredState::AwaitingApproval { since, token } => Self::AwaitingApproval { since, token },
            StoredState::Ended { ending, at, reason } => Self::Ended { ending, at, reason },
        }
    }
}

impl From<Operation> for StoredOperation {
    fn from(operation: Operation) -> Self {
        Self {
            operation_id: operation.id,
            service: operation.service,
            service_name: operation.service_name,
            tenant: operation.tenant,
            project: operation.project,
            environment: operation.environment,
            work: operation.work,
            approval_required: operation.approval_required,
            requested: operation.requested,
            fingerprint: operation.fingerprint,
            deadline: operation.deadline,
            state: operation.state.into(),
            cancel: operation.cancel,
            verdict: operation.verdict,
            attempt: operation.attempt,
            plan: operation.plan,
            outputs: operation.outputs,
            steps: operation.steps,
            log: operation.log,
            links: operation.links,
            run: operation.run,
            failure: operation.failure,
            pending_signal: operation.pending_signal,
            updated_at: operation.updated_at,
            version: operation.version,
        }
    }
}

impl From<StoredOperation> for Operation {
    fn from(stored: StoredOperation) -> Self {
        Self {
            id: stored.operation_id,
            service: stored.service,
            service_name: stored.service_name,
            tenant: stored.tenant,
            project: stored.project,
            environment: stored.environment,
            work: stored.work,
            approval_required: stored.approval_required,
            requested: stored.requested,
            fingerprint: stored.fingerprint,
            deadline: stored.deadline,
            state: stored.state.into(),
            cancel: stored.cancel,
            verdict: stored.verdict,
            attempt: stored.attempt,
            plan: stored.plan,
            outputs: stored.outputs,
            steps: stored.steps,
            log: stored.log,
            links: stored.links,
            run: stored.run,
            failure: stored.failure,
            pending_signal: stored.pending_signal,
            updated_at: stored.updated_at,
            version: stored.version,
        }
    }
}

fn item(operation: &Operation) -> Result<Item, StoreError> {
    let stored = StoredOperation::from(operation.clone());
    let in_list = keys::operation_in_list(operation);
    let mut item = compose(keys::operation(&operation.id), Some(in_list), &stored)?;
    if !operation.is_open() {
        let end = operation.requested.at + RETENTION;
        item.insert(EXPIRES_AT.to_owned(), number(end.as_second()));
    }
    Ok(item)
}

/// The operation that an item holds.
pub(crate) fn read(item: Item) -> Result<Operation, StoreError> {
    decompose::<StoredOperation>(item).map(Operation::from)
}

#[async_trait]
impl FindOperation for Table {
    async fn find_operation(&self, id: &OperationId) -> Result<Option<Operation>, StoreError> {
        self.find(keys::operation(id)).await?.map(read).transpose()
    }

    async fn find_operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError> {
        // The table refuses to be asked for the same item twice.
        let ids: BTreeSet<_> = ids.iter().collect();
        let items = self.find_all(ids.into_iter().map(keys::operation).collect()).await?;
        items.into_iter().map(read).collect()
    }
}

#[async_trait]
impl ListOperations for Table {
    async fn list_operations(
        &self,
        service: &ServiceId,
        page: &PageRequest,
    ) -> Result<Page<Operation>, ListError> {
        let partition = keys::operations_of(service);
        let before = self.place(&partition, page).await?;
        let list = ByTime { partition, in_index: true, before };
        let answer = self.newest_first(&list, page.limit).await?;
        let next = self.next(&list.partition, page, end_of(&answer, INDEX_SK)).await?;
        let items = answer.items.unwrap_or_default().into_iter().map(read);
        Ok(Page { items: items.collect::<Result<_, _>>()?, next })
    }
}

#[async_trait]
impl SaveOperation for Table {
    async fn begin_operation(
        &self,
        operation: &Operation,
        service: &Revision,
        entry: &Entry,
    ) -> Result<BeginOutcome, StoreError> {
        let mut transaction = Transaction::default();
        let put = self
            .transact_put(item(operation)?)
            .condition_expression(IF_ABSENT)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        transaction.put(put)?;
        let environment = transaction.len();
        transaction.update(self.lock_environment(operation))?;
        let check = self
            .transact_check(key_attributes(keys::service(&operation.service)))
            .condition_expression(IF_REVISION)
            .expression_attribute_values(":revision", text(service.as_str()));
        transaction.check(check)?;
        // No condition: the pointer belongs to the operation, whose own condition decides. The table lists what is
        // open by these pointers and not by an index of the records, because an index may be seconds behind, and the
        // janitor must not miss an operation that it is the only one to end.
        transaction.put(self.transact_put_pointer(&operation.id)?)?;
        match self.write_with_entry(transaction, entry).await? {
            Outcome::Written => Ok(BeginOutcome::Begun),
            // In this order: an operation that exists has locked the environment itself, and both conditions fail.
            Outcome::Refused { place: 0, item: Some(item) } => {
                Ok(BeginOutcome::Exists(Box::new(read(item)?)))
            }
            Outcome::Refused { place, item: Some(item) } if place == environment => {
                self.busy(operation, item).await
            }
            Outcome::Refused { place, .. } if place > environment => Ok(BeginOutcome::ServiceChanged),
            Outcome::Refused { .. } => Err(unanswered()),
        }
    }

    async fn save_operation(
        &self,
        operation: &Operation,
        settled: Option<&Settled>,
        entry: Option<&Entry>,
    ) -> Result<EditOutcome, StoreError> {
        let item = item(operation)?;
        // With a signal pending it stays listed, although it has ended: the janitor has to deliver that.
        let is_over = !operation.is_open() && operation.pending_signal.is_none();
        // Most changes are heartbeats and progress, of one item; a transaction would cost twice the write units.
        if settled.is_none() && entry.is_none() && !is_over {
            return self.replace_operation(operation, item).await;
        }
        let mut transaction = Transaction::default();
        transaction.put(self.transact_replace(operation, item.clone()))?;
        if let Some(settled) = settled {
            transaction.update(self.settle_environment(operation, settled)?)?;
        }
        if is_over {
            // No condition: a pointer that is gone already is as wanted.
            transaction.delete(self.transact_delete(key_attributes(keys::open_operation(&operation.id))))?;
        }
        let outcome = match entry {
            Some(entry) => self.write_with_entry(transaction, entry).await?,
            None => transaction.write(self).await?,
        };
        match outcome {
            Outcome::Written => Ok(EditOutcome::Done),
            Outcome::Refused { place: 0, item: stands } => Ok(replaced(&item, stands.as_ref())),
            // The lock is set and removed with the operation's own record, so this cannot be a race.
            Outcome::Refused { .. } => Err(not_locked(operation)),
        }
    }
}

/// What a refused change came to. The SDK tries again after a lost answer, and then the condition fails on what the
/// first try wrote: where exactly this stands, it was written.
fn replaced(item: &Item, stands: Option<&Item>) -> EditOutcome {
    if stands == Some(item) { EditOutcome::Done } else { EditOutcome::Conflict }
}

fn not_locked(operation: &Operation) -> StoreError {
    corrupt(NotLocked {
        service: operation.service.clone(),
        environment: operation.environment.clone(),
        operation: operation.id.clone(),
    })
}

fn unanswered() -> StoreError {
    StoreError::Unavailable("the table did not return what stands in the operation's way".into())
}

/// The version that a change replaces.
fn previous(operation: &Operation) -> String {
    operation.version.saturating_sub(1).to_string()
}

impl Table {
    /// Which operation is open in an environment. An operation that finds itself there was begun before.
    async fn busy(&self, operation: &Operation, environment: Item) -> Result<BeginOutcome, StoreError> {
        match environments::read(environment)?.running {
            Some(running) if running != operation.id => Ok(BeginOutcome::Busy(running)),
            Some(own) => {
                let existing = self.find_operation(&own).await?.ok_or_else(unanswered)?;
                Ok(BeginOutcome::Exists(Box::new(existing)))
            }
            None => Err(unanswered()),
        }
    }

    fn transact_put_pointer(&self, id: &OperationId) -> Result<PutBuilder, StoreError> {
        let stored = StoredPointer { operation_id: id.clone() };
        Ok(self.transact_put(compose(keys::open_operation(id), None, &stored)?))
    }

    /// The put of a changed operation, for a transaction. Refused, it returns what stands there.
    fn transact_replace(&self, operation: &Operation, item: Item) -> PutBuilder {
        self.transact_put(item)
            .condition_expression(IF_VERSION)
            .expression_attribute_values(":version", AttributeValue::N(previous(operation)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// Replaces the record alone.
    async fn replace_operation(&self, operation: &Operation, item: Item) -> Result<EditOutcome, StoreError> {
        let call = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item.clone()))
            .condition_expression(IF_VERSION)
            .expression_attribute_values(":version", AttributeValue::N(previous(operation)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match call.send().await {
            Ok(_) => Ok(EditOutcome::Done),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                    Ok(replaced(&item, refused.item()))
                }
                _ => Err(unavailable(error)),
            },
        }
    }
}
