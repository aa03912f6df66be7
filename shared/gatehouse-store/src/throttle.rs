//! Permits to try a password.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use gatehouse_domain::{
    store::StoreError,
    users::{Attempt, Permit, Throttle},
};

use crate::{
    Table,
    item::{key_attributes, number},
    keys,
    transaction::{Outcome, Transaction},
};

#[async_trait]
impl Throttle for Table {
    async fn take_permits(&self, permits: &[Permit]) -> Result<Attempt, StoreError> {
        if permits.is_empty() {
            return Ok(Attempt::Permitted);
        }
        let mut transaction = Transaction::default();
        for permit in permits {
            // Forgotten a window after its own, when nobody who took one can still give it back.
            let expires_at = (permit.window + 2 * permit.length).as_second();
            let update = self
                .transact_update(key_attributes(keys::permits(permit)))
                .update_expression("ADD taken :one SET expires_at = :expires_at")
                .condition_expression("attribute_not_exists(taken) OR taken < :limit")
                .expression_attribute_values(":one", number(1))
                .expression_attribute_values(":limit", number(permit.limit.into()))
                .expression_attribute_values(":expires_at", number(expires_at));
            transaction.update(update)?;
        }
        match transaction.write(self).await? {
            Outcome::Written => Ok(Attempt::Permitted),
            Outcome::Refused { place, .. } => Ok(Attempt::Refused(place)),
        }
    }

    async fn give_permits_back(&self, permits: &[Permit]) -> Result<(), StoreError> {
        if permits.is_empty() {
            return Ok(());
        }
        let mut transaction = Transaction::default();
        for permit in permits {
            transaction.update(self.give_back(permit))?;
        }
        transaction.write(self).await.map(drop)
    }
}

impl Table {
    /// Gives a permit back, for a transaction.
    pub(crate) fn give_back(&self, permit: &Permit) -> UpdateBuilder {
        // No condition: the attempt that gives it back has taken it, and the item outlives the attempt.
        self.transact_update(key_attributes(keys::permits(permit)))
            .update_expression("ADD taken :back")
            .expression_attribute_values(":back", number(-1))
    }
}
