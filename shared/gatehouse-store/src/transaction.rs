//! Transactions: all writes or none, and which of them stood in the way.

use std::time::Duration;

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem, Update},
};
use gatehouse_domain::{revision::EditOutcome, store::StoreError};

use crate::{
    Table,
    error::{unavailable, unbuildable},
    item::Item,
};

/// How often a transaction is tried that met another one on the same item. The other one ends within
/// milliseconds, and what it did then decides this one's conditions.
const CONFLICT_ATTEMPTS: u32 = 8;

/// How long it waits before the second attempt; twice as long before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// What came of a transaction.
#[derive(Debug)]
pub enum Outcome {
    Written,
    /// Nothing was: the condition of the write at this place did not hold, with the item that stands there
    /// where it was asked for.
    Refused {
        place: usize,
        item: Option<Item>,
    },
}

impl Outcome {
    /// The same as the outcome of an edit, for which every condition is one of what its editor saw.
    pub fn of_edit(self) -> EditOutcome {
        match self {
            Self::Written => EditOutcome::Done,
            Self::Refused { .. } => EditOutcome::Conflict,
        }
    }
}

/// The writes of one transaction.
#[derive(Default)]
pub struct Transaction(Vec<TransactWriteItem>);

impl Transaction {
    /// How many writes there are, which is the place of the next one.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn put(&mut self, put: aws_sdk_dynamodb::types::builders::PutBuilder) -> Result<(), StoreError> {
        let write = TransactWriteItem::builder().put(put.build().map_err(unbuildable)?);
        self.0.push(write.build());
        Ok(())
    }

    pub fn update(
        &mut self,
        update: aws_sdk_dynamodb::types::builders::UpdateBuilder,
    ) -> Result<(), StoreError> {
        let write = TransactWriteItem::builder().update(update.build().map_err(unbuildable)?);
        self.0.push(write.build());
        Ok(())
    }

    pub fn delete(
        &mut self,
        delete: aws_sdk_dynamodb::types::builders::DeleteBuilder,
    ) -> Result<(), StoreError> {
        let write = TransactWriteItem::builder().delete(delete.build().map_err(unbuildable)?);
        self.0.push(write.build());
        Ok(())
    }

    /// Writes nothing at this place; its condition decides with the others.
    pub fn check(
        &mut self,
        check: aws_sdk_dynamodb::types::builders::ConditionCheckBuilder,
    ) -> Result<(), StoreError> {
        let write = TransactWriteItem::builder().condition_check(check.build().map_err(unbuildable)?);
        self.0.push(write.build());
        Ok(())
    }

    /// Writes everything or nothing.
    pub async fn write(self, table: &Table) -> Result<Outcome, StoreError> {
        let mut attempt = 1;
        loop {
            let call = table.client.transact_write_items().set_transact_items(Some(self.0.clone()));
            let Err(error) = call.send().await else { return Ok(Outcome::Written) };
            let Some(reasons) = cancellation(&error) else { return Err(unavailable(error)) };
            match first_cancellation(reasons) {
                Some(Cancellation::Refusal(refused)) => return Ok(refused),
                Some(Cancellation::Conflict) if attempt < CONFLICT_ATTEMPTS => {}
                Some(Cancellation::Conflict) | None => return Err(unavailable(error)),
            }
            table.system.sleep(FIRST_PAUSE * 2_u32.pow(attempt - 1)).await;
            attempt += 1;
        }
    }
}

fn cancellation(
    error: &aws_sdk_dynamodb::error::SdkError<TransactWriteItemsError>,
) -> Option<&[CancellationReason]> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            Some(cancelled.cancellation_reasons())
        }
        _ => None,
    }
}

/// Why a transaction was cancelled, as far as its caller can decide on it.
#[derive(Debug)]
enum Cancellation {
    /// A condition did not hold.
    Refusal(Outcome),
    /// Another transaction was at work on the same item.
    Conflict,
}

/// The first that stood in the way. One behind it may hold for a moment only: another transaction, of which
/// a part can be seen already, decides that with what it does at the first place.
fn first_cancellation(reasons: &[CancellationReason]) -> Option<Cancellation> {
    reasons.iter().enumerate().find_map(|(place, reason)| match reason.code() {
        Some("ConditionalCheckFailed") => {
            Some(Cancellation::Refusal(Outcome::Refused { place, item: reason.item().cloned() }))
        }
        Some("TransactionConflict") => Some(Cancellation::Conflict),
        _ => None,
    })
}

impl Table {
    /// A put of `item` into this table, for a transaction.
    pub(crate) fn transact_put(&self, item: Item) -> aws_sdk_dynamodb::types::builders::PutBuilder {
        Put::builder().table_name(&self.name).set_item(Some(item))
    }

    /// An update of this table, for a transaction.
    pub(crate) fn transact_update(&self, key: Item) -> aws_sdk_dynamodb::types::builders::UpdateBuilder {
        Update::builder().table_name(&self.name).set_key(Some(key))
    }

    /// A delete in this table, for a transaction.
    pub(crate) fn transact_delete(&self, key: Item) -> aws_sdk_dynamodb::types::builders::DeleteBuilder {
        Delete::builder().table_name(&self.name).set_key(Some(key))
    }

    /// A condition on an item of this table, for a transaction.
    pub(crate) fn transact_check(
        &self,
        key: Item,
    ) -> aws_sdk_dynamodb::types::builders::ConditionCheckBuilder {
        ConditionCheck::builder().table_name(&self.name).set_key(Some(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(codes: &[&str]) -> Vec<CancellationReason> {
        codes.iter().map(|code| CancellationReason::builder().code(*code).build()).collect()
    }

    #[test]
    fn the_first_that_stood_in_the_way_decides() {
        let decide = |codes: &[&str]| first_cancellation(&reasons(codes));
        let refused_at = |codes: &[&str]| match decide(codes) {
            Some(Cancellation::Refusal(Outcome::Refused { place, .. })) => Some(place),
            _ => None,
        };
        assert_eq!(refused_at(&["None", "ConditionalCheckFailed", "ConditionalCheckFailed"]), Some(1));
        assert_eq!(refused_at(&["ConditionalCheckFailed", "TransactionConflict"]), Some(0));
        assert_eq!(refused_at(&["ThrottlingError", "ConditionalCheckFailed"]), Some(1));
        let conflict = decide(&["TransactionConflict", "ConditionalCheckFailed"]);
        assert!(matches!(conflict, Some(Cancellation::Conflict)), "{conflict:?}");
        assert!(decide(&["None", "ThrottlingError"]).is_none());
    }
}
