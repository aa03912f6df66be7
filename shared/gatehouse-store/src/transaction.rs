//! Transactions: all writes or none, and which of them stood in the way.

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, Delete, Put, TransactWriteItem, Update},
};
use gatehouse_domain::{providers::EditOutcome, store::StoreError};

use crate::{
    Table,
    error::{unavailable, unbuildable},
    item::Item,
};

/// How often a transaction is tried that met another one on the same item. The other one ends within
/// milliseconds, and what it did then decides this one's conditions.
const CONFLICT_ATTEMPTS: usize = 8;

/// What came of a transaction.
#[derive(Debug)]
pub enum Outcome {
    /// Everything was written.
    Written,
    /// Nothing was: the condition of the write at this place did not hold, with the item that stands there
    /// where it was asked for.
    Refused { place: usize, item: Option<Item> },
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

    /// Writes everything or nothing.
    pub async fn write(self, table: &Table) -> Result<Outcome, StoreError> {
        let mut attempt = 1;
        loop {
            let call = table.client.transact_write_items().set_transact_items(Some(self.0.clone()));
            let Err(error) = call.send().await else { return Ok(Outcome::Written) };
            let Some(reasons) = cancellation(&error) else { return Err(unavailable(error)) };
            if let Some(refused) = refusal(reasons) {
                return Ok(refused);
            }
            let conflict = reasons.iter().any(|reason| reason.code() == Some("TransactionConflict"));
            if !conflict || attempt == CONFLICT_ATTEMPTS {
                return Err(unavailable(error));
            }
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

fn refusal(reasons: &[CancellationReason]) -> Option<Outcome> {
    let place = reasons.iter().position(|reason| reason.code() == Some("ConditionalCheckFailed"))?;
    Some(Outcome::Refused { place, item: reasons[place].item().cloned() })
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
}
