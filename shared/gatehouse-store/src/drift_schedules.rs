//! When environments are looked at for drift: an item beside each that has a schedule, listed by when it is due.

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::builders::{DeleteBuilder, PutBuilder},
};
use gatehouse_domain::{
    catalog::DriftSchedule,
    id::ServiceId,
    name::EnvironmentName,
    operations::drift_check::DriftSchedules,
    paging::{ListError, Page, PageRequest},
    revision::EditOutcome,
    store::StoreError,
};
use jiff::Timestamp;

use crate::{
    Table,
    error::conditional,
    item::{INDEX_SK, compose, corrupt, decompose, key_attributes, number, text},
    keys,
    lists::Section,
};

#[async_trait]
impl DriftSchedules for Table {
    async fn due_drift_checks(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<DriftSchedule>, ListError> {
        let after = self.place(keys::DRIFT_DUE, page).await?;
        let section = Section::until(keys::DRIFT_DUE, &keys::sortable(now), after)?;
        self.list_section(Some(section), page, |call| call, decompose).await
    }

    async fn move_drift_check(
        &self,
        seen: &DriftSchedule,
        due: Timestamp,
    ) -> Result<EditOutcome, StoreError> {
        let attribute = |due: Timestamp| serde_dynamo::to_attribute_value(due).map_err(corrupt);
        let next = DriftSchedule { due, ..seen.clone() };
        let call = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(keys::drift_schedule(&seen.service, &seen.environment))))
            .update_expression(format!("SET #due = :due, {INDEX_SK} = :place"))
            .condition_expression("#due = :seen AND #hours = :hours")
            .expression_attribute_names("#due", "due")
            .expression_attribute_names("#hours", "hours")
            .expression_attribute_values(":due", attribute(due)?)
            .expression_attribute_values(":place", text(keys::drift_due(&next).sk))
            .expression_attribute_values(":seen", attribute(seen.due)?)
            .expression_attribute_values(":hours", number(seen.hours.into()));
        let moved = conditional(call.send().await, UpdateItemError::is_conditional_check_failed_exception)?;
        Ok(if moved { EditOutcome::Done } else { EditOutcome::Conflict })
    }
}

impl Table {
    /// The put of a schedule. No condition: the one on its service, in the same transaction, decides.
    pub(crate) fn transact_put_schedule(&self, schedule: &DriftSchedule) -> Result<PutBuilder, StoreError> {
        let key = keys::drift_schedule(&schedule.service, &schedule.environment);
        Ok(self.transact_put(compose(key, Some(keys::drift_due(schedule)), schedule)?))
    }

    /// The delete of a schedule, if there is one. No condition, as above.
    pub(crate) fn transact_delete_schedule(
        &self,
        service: &ServiceId,
        environment: &EnvironmentName,
    ) -> DeleteBuilder {
        self.transact_delete(key_attributes(keys::drift_schedule(service, environment)))
    }
}
