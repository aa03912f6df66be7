//! Leases of those who pin.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::{delete_item::DeleteItemError, put_item::PutItemError};
use gatehouse_domain::{
    runs::pins::{PinLease, PinLeases},
    store::StoreError,
};

use crate::{
    Table,
    error::conditional,
    item::{IF_ABSENT, compose, decompose, key_attributes, text},
    keys,
};

/// The condition under which a lease may be changed: it is still as it was read.
const IF_AS_READ: &str = "held_until = :held_until AND #request = :request";

#[async_trait]
impl PinLeases for Table {
    async fn begin_pins(&self, lease: &PinLease) -> Result<bool, StoreError> {
        let item = compose(keys::pins(&lease.scope), None, lease)?;
        let call = self.client.put_item().table_name(&self.name).set_item(Some(item));
        let call = call.condition_expression(IF_ABSENT);
        conditional(call.send().await, PutItemError::is_conditional_check_failed_exception)
    }

    async fn find_pins(&self, scope: &str) -> Result<Option<PinLease>, StoreError> {
        self.find(keys::pins(scope)).await?.map(decompose).transpose()
    }

    async fn change_pins(&self, lease: &PinLease, changed: &PinLease) -> Result<bool, StoreError> {
        let item = compose(keys::pins(&lease.scope), None, changed)?;
        let call = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression(IF_AS_READ)
            .expression_attribute_names("#request", "request")
            .expression_attribute_values(":request", text(&lease.request))
            .expression_attribute_values(":held_until", text(lease.held_until.to_string()));
        conditional(call.send().await, PutItemError::is_conditional_check_failed_exception)
    }

    async fn end_pins(&self, lease: &PinLease) -> Result<(), StoreError> {
        let call = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(keys::pins(&lease.scope))))
            .condition_expression(IF_AS_READ)
            .expression_attribute_names("#request", "request")
            .expression_attribute_values(":request", text(&lease.request))
            .expression_attribute_values(":held_until", text(lease.held_until.to_string()));
        conditional(call.send().await, DeleteItemError::is_conditional_check_failed_exception).map(drop)
    }

    async fn open_pins(&self) -> Result<Vec<PinLease>, StoreError> {
        let items = self.query_partition(keys::PINS.to_owned()).await?;
        items.into_iter().map(decompose).collect()
    }
}
