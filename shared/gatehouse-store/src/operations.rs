//! Operations.

use std::{collections::BTreeSet, slice, time::Duration};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure, builders::PutBuilder},
};
use gatehouse_domain::{
    audit::Entry,
    catalog::EnvironmentState,
    id::{OperationId, ServiceId},
    name::EnvironmentName,
    operations::{
        BeginOutcome, Effects, FindOperation, ListOperations, Listing, Operation, OperationStatus,
        SaveOperation,
    },
    paging::{ListError, Page, PageRequest},
    revision::{EditOutcome, Revision},
    store::StoreError,
};
use serde::{Deserialize, Serialize};

use crate::{
    Table,
    error::unavailable,
    item::{
        EXPIRES_AT, IF_ABSENT, IF_REVISION, INDEX_SK, Item, compose, corrupt, decompose, key_attributes,
        number, text,
    },
    janitor::to_publish,
    keys,
    lists::{ByTime, end_of},
    transaction::{Outcome, Transaction},
};

/// How long an operation that has ended is kept after it was asked for.
const RETENTION: Duration = Duration::from_hours(400 * 24);

/// The condition under which a change replaces what its rule saw. Needs `:version`.
const IF_VERSION: &str = "version = :version";

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

fn item(operation: &Operation) -> Result<Item, StoreError> {
    let in_list = keys::operation_in_list(operation);
    let mut item = compose(keys::operation(&operation.id), Some(in_list), operation)?;
    expire(&mut item, operation);
    Ok(item)
}

/// What of an operation is kept goes at the same time: what is open stays.
pub(crate) fn expire(item: &mut Item, operation: &Operation) {
    if !operation.is_open() {
        let end = operation.requested.at + RETENTION;
        item.insert(EXPIRES_AT.to_owned(), number(end.as_second()));
    }
}

#[async_trait]
impl FindOperation for Table {
    async fn find_operation(&self, id: &OperationId) -> Result<Option<Operation>, StoreError> {
        self.find(keys::operation(id)).await?.map(decompose).transpose()
    }

    async fn find_operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError> {
        // The table refuses to be asked for the same item twice.
        let ids: BTreeSet<_> = ids.iter().collect();
        let items = self.find_all(ids.into_iter().map(keys::operation).collect()).await?;
        items.into_iter().map(decompose).collect()
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
        let items = answer.items.unwrap_or_default().into_iter().map(decompose);
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
        self.list_anew(&mut transaction, operation, &[])?;
        match self.write_with_entry(transaction, entry).await? {
            Outcome::Written => Ok(BeginOutcome::Begun),
            // In this order: an operation that exists has locked the environment itself, and both conditions fail.
            Outcome::Refused { place: 0, item: Some(item) } => {
                Ok(BeginOutcome::Exists(Box::new(decompose(item)?)))
            }
            Outcome::Refused { place, item: Some(item) } if place == environment => {
                self.busy(operation, item).await
            }
            // The environment was deleted since the janitor looked.
            Outcome::Refused { place, item: None } if place == environment && operation.is_expiry() => {
                Ok(BeginOutcome::NotExpired)
            }
            Outcome::Refused { place, .. } if place > environment => Ok(BeginOutcome::ServiceChanged),
            Outcome::Refused { .. } => Err(unanswered()),
        }
    }

    async fn save_operation(
        &self,
        operation: &Operation,
        effects: &Effects<'_>,
    ) -> Result<EditOutcome, StoreError> {
        let Effects { settled, entry, listing, announcements } = effects;
        let item = item(operation)?;
        // With a signal pending it stays listed, although it has ended: the janitor has to deliver that.
        let is_over = !operation.is_open() && operation.pending_signal.is_none();
        // Most changes are heartbeats and progress, of one item; a transaction would cost twice the write units.
        let alone = settled.is_none() && entry.is_none() && announcements.is_empty();
        if alone && *listing == Listing::Kept && !is_over {
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
        if let Listing::Moved { from } = listing {
            // A version without lists that changed it forgot how it was listed, and left it there.
            let left = from.as_ref().map_or(OperationStatus::ALL, slice::from_ref);
            self.list_anew(&mut transaction, operation, left)?;
        }
        for announcement in announcements {
            // No condition: the change that it is about is made once.
            transaction.put(self.transact_put(to_publish(announcement)?))?;
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
    /// Which operation is open in an environment. An operation that finds itself there was begun before, and one that
    /// was to expire the environment and finds none finds another end.
    async fn busy(&self, operation: &Operation, environment: Item) -> Result<BeginOutcome, StoreError> {
        match decompose::<EnvironmentState>(environment)?.running {
            Some(running) if running != operation.id => Ok(BeginOutcome::Busy(running)),
            Some(own) => {
                let existing = self.find_operation(&own).await?.ok_or_else(unanswered)?;
                Ok(BeginOutcome::Exists(Box::new(existing)))
            }
            None if operation.is_expiry() => Ok(BeginOutcome::NotExpired),
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
