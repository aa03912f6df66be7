//! That a flush of the authorizer's answers is owed.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use gatehouse_domain::{revocation::PendingFlush, store::StoreError};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    Table,
    error::conditional,
    item::{decompose, key_attributes, text},
    keys,
    transaction::Transaction,
};

/// The debt as it is stored. The time is kept as exactly as it was written, since it is compared.
#[derive(Deserialize)]
struct StoredDebt {
    owed_since: Timestamp,
}

#[async_trait]
impl PendingFlush for Table {
    async fn pending_flush(&self) -> Result<Option<Timestamp>, StoreError> {
        let item = self.find(keys::pending_flush()).await?;
        Ok(item.map(decompose::<StoredDebt>).transpose()?.map(|debt| debt.owed_since))
    }

    /// Forgets the debt only when nobody wrote another one since, earlier or later by their clock: theirs
    /// may belong to a record that was written after this flush.
    async fn flush_done(&self, since: Timestamp) -> Result<(), StoreError> {
        let call = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(keys::pending_flush())))
            .condition_expression("owed_since = :since")
            .expression_attribute_values(":since", text(since.to_string()));
        conditional(call.send().await, DeleteItemError::is_conditional_check_failed_exception).map(drop)
    }
}

impl Table {
    /// Writes in `transaction` that a flush is owed since then.
    pub(crate) fn owe_flush(
        &self,
        transaction: &mut Transaction,
        since: Timestamp,
    ) -> Result<(), StoreError> {
        // No condition: the newest debt takes the place of older ones, which its flush pays as well.
        let update = self
            .transact_update(key_attributes(keys::pending_flush()))
            .update_expression("SET owed_since = :since")
            .expression_attribute_values(":since", text(since.to_string()));
        transaction.update(update)
    }
}
