//! Leases.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::{delete_item::DeleteItemError, put_item::PutItemError};
use gatehouse_domain::{
    lease::{LeaseOutcome, Leases},
    store::StoreError,
};

use crate::{
    Table,
    error::conditional,
    item::{EXPIRES_AT, key_attributes, number, text},
    keys,
};

/// Who has the lease.
const HOLDER: &str = "holder";
/// Until when: milliseconds since 1970.
const HELD_UNTIL: &str = "held_until";

#[async_trait]
impl Leases for Table {
    async fn acquire(&self, name: &str, holder: &str, time: Duration) -> Result<LeaseOutcome, StoreError> {
        let now = self.system.now();
        let mut item = key_attributes(keys::lease(name));
        item.insert(HOLDER.into(), text(holder));
        item.insert(HELD_UNTIL.into(), number((now + time).as_millisecond()));
        // Whole seconds, rounded up: a lease is not deleted before it ends.
        item.insert(EXPIRES_AT.into(), number((now + time).as_second() + 1));
        let call = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR held_until <= :now OR holder = :holder")
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .expression_attribute_values(":holder", text(holder));
        let acquired = conditional(call.send().await, PutItemError::is_conditional_check_failed_exception)?;
        Ok(if acquired { LeaseOutcome::Acquired } else { LeaseOutcome::Held })
    }

    async fn release(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let call = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(keys::lease(name))))
            .condition_expression("holder = :holder")
            .expression_attribute_values(":holder", text(holder));
        // Refused means that it is somebody else's by now: nothing to give back.
        conditional(call.send().await, DeleteItemError::is_conditional_check_failed_exception).map(drop)
    }
}
