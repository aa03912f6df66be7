//! The mark that a flush of the authorizer cache is pending.

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

/// The mark as it is stored. Its time is kept exactly as it was written, since [`PendingFlush::flush_done`] compares it.
#[derive(Deserialize)]
struct StoredFlush {
    #[serde(rename = "owed_since")]
    since: Timestamp,
}

#[async_trait]
impl PendingFlush for Table {
    async fn pending_flush(&self) -> Result<Option<Timestamp>, StoreError> {
        let item = self.find(keys::pending_flush()).await?;
        Ok(item.map(decompose::<StoredFlush>).transpose()?.map(|flush| flush.since))
    }

    /// Deletes exactly the mark that was read. One written since, whether earlier or later by its writer's clock, may
    /// belong to a revocation that this flush came too early for.
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
    /// Marks a flush as pending since then, in the transaction of the revocation.
    pub(crate) fn mark_flush_pending(
        &self,
        transaction: &mut Transaction,
        since: Timestamp,
    ) -> Result<(), StoreError> {
        // No condition: the newest mark replaces older ones, since one flush empties the whole cache.
        let update = self
            .transact_update(key_attributes(keys::pending_flush()))
            .update_expression("SET owed_since = :since")
            .expression_attribute_values(":since", text(since.to_string()));
        transaction.update(update)
    }
}
