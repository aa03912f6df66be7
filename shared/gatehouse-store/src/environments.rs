//! How environments stand: beside their service, so that one query reads both.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnValuesOnConditionCheckFailure,
    builders::{DeleteBuilder, UpdateBuilder},
};
use gatehouse_domain::{
    audit::Entry,
    catalog::{EnvironmentState, ExtendEnvironment, Infrastructure, Provisioned, Settled},
    id::{OperationId, ServiceId},
    name::EnvironmentName,
    operations::{Operation, OperationKind},
    revision::EditOutcome,
    store::StoreError,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    Table,
    item::{INDEX_PK, INDEX_SK, corrupt, key_attributes, text},
    keys,
    transaction::{Outcome, Transaction},
};

/// The condition under which no operation is open in an environment. It also holds where no item exists: the first
/// operation of an environment makes it.
const IF_FREE: &str = "attribute_not_exists(running)";

/// The condition under which no operation is open and nothing is provisioned.
const IF_IDLE: &str = "attribute_not_exists(running) AND attribute_not_exists(infrastructure)";

/// The condition under which no operation is open and what is provisioned is as it was seen: only the end of another
/// operation changes it. Needs `:extent` and `:operation`.
const IF_FREE_AND_AS_SEEN: &str = "attribute_not_exists(running) AND infrastructure.#extent = :extent \
                                   AND infrastructure.#operation = :operation";

/// The condition under which an operation settles its environment. Needs `:operation`.
const IF_LOCKED: &str = "running = :operation";

/// What may exist, and how much of it: `present` or `partial`, as the attribute says it.
fn extent(infrastructure: &Infrastructure) -> Option<(&'static str, &Provisioned)> {
    match infrastructure {
        Infrastructure::Absent => None,
        Infrastructure::Present(provisioned) => Some(("present", provisioned)),
        Infrastructure::Partial(provisioned) => Some(("partial", provisioned)),
    }
}

/// What an update sets and removes.
#[derive(Default)]
struct Parts {
    sets: Vec<(&'static str, AttributeValue)>,
    removes: Vec<&'static str>,
}

impl Parts {
    fn set(&mut self, name: &'static str, value: AttributeValue) {
        self.sets.push((name, value));
    }

    fn set_stored(&mut self, name: &'static str, stored: &impl Serialize) -> Result<(), StoreError> {
        self.set(name, serde_dynamo::to_attribute_value(stored).map_err(corrupt)?);
        Ok(())
    }

    fn remove(&mut self, names: &[&'static str]) {
        self.removes.extend(names);
    }

    fn add_to(self, update: UpdateBuilder) -> UpdateBuilder {
        let sets: Vec<_> = self.sets.iter().map(|(name, _)| format!("{name} = :{name}")).collect();
        let clauses = [("SET", sets.join(", ")), ("REMOVE", self.removes.join(", "))];
        let clauses = clauses.into_iter().filter(|(_, what)| !what.is_empty());
        let expression: Vec<_> = clauses.map(|(verb, what)| format!("{verb} {what}")).collect();
        let update = update.update_expression(expression.join(" "));
        self.sets.into_iter().fold(update, |update, (name, value)| {
            update.expression_attribute_values(format!(":{name}"), value)
        })
    }
}

#[async_trait]
impl ExtendEnvironment for Table {
    async fn extend_environment(
        &self,
        seen: &EnvironmentState,
        expires_at: Timestamp,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        let Some(provisioned) = seen.infrastructure.provisioned() else { return Ok(EditOutcome::Conflict) };
        let attribute = |value: &Option<Timestamp>| serde_dynamo::to_attribute_value(value).map_err(corrupt);
        let place = keys::ending_at(&seen.service, &seen.name, expires_at);
        let update = self
            .transact_update(key_attributes(keys::environment(&seen.service, &seen.name)))
            .update_expression(format!(
                "SET infrastructure.#ends_at = :ends_at, {INDEX_PK} = :list, {INDEX_SK} = :place"
            ))
            .condition_expression(format!(
                "{IF_FREE} AND infrastructure.#operation = :operation AND infrastructure.#ends_at = :seen"
            ))
            .expression_attribute_names("#ends_at", "ends_at")
            .expression_attribute_names("#operation", "operation")
            .expression_attribute_values(":ends_at", attribute(&Some(expires_at))?)
            .expression_attribute_values(":seen", attribute(&provisioned.expires_at)?)
            .expression_attribute_values(":operation", text(provisioned.operation.as_str()))
            .expression_attribute_values(":list", text(place.pk))
            .expression_attribute_values(":place", text(place.sk));
        let mut transaction = Transaction::default();
        transaction.update(update)?;
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }
}

impl Table {
    /// The update that locks the operation's environment, which nothing may have been done in before. One that
    /// expires it locks it only where its end is not after the operation was asked for. Refused, it returns what
    /// stands there.
    pub(crate) fn lock_environment(&self, operation: &Operation) -> UpdateBuilder {
        let key = keys::environment(&operation.service, &operation.environment);
        let update = self
            .transact_update(key_attributes(key))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let update = if operation.is_expiry() {
            // An extension that was written since the janitor looked must not be overrun. It has moved the place in
            // the list of what ends, which begins with the end and is written with it in any case.
            let over = keys::ending_at(&operation.service, &operation.environment, operation.requested.at);
            update
                .condition_expression(format!("{IF_FREE} AND {INDEX_SK} <= :over"))
                .expression_attribute_values(":over", text(over.sk))
        } else {
            update.condition_expression(IF_FREE)
        };
        let last = match operation.work.kind() {
            OperationKind::Provision | OperationKind::Deprovision | OperationKind::Drift => {
                "last_provisioning"
            }
            OperationKind::Deploy => "last_deploy",
        };
        let mut parts = Parts::default();
        parts.set("service", text(operation.service.as_str()));
        parts.set("environment", text(operation.environment.as_str()));
        parts.set("running", text(operation.id.as_str()));
        parts.set(last, text(operation.id.as_str()));
        parts.add_to(update)
    }

    /// The update that unlocks the operation's environment, and says what its end changed there.
    pub(crate) fn settle_environment(
        &self,
        operation: &Operation,
        settled: &Settled,
    ) -> Result<UpdateBuilder, StoreError> {
        let key = keys::environment(&operation.service, &operation.environment);
        let update = self
            .transact_update(key_attributes(key))
            .condition_expression(IF_LOCKED)
            .expression_attribute_values(":operation", text(operation.id.as_str()));
        let mut parts = Parts::default();
        parts.remove(&["running"]);
        if let Some(infrastructure) = &settled.infrastructure {
            set_infrastructure(&mut parts, operation, infrastructure)?;
        }
        if let Some(deployed) = &settled.deployed {
            parts.set_stored("deployed", deployed)?;
        }
        match &settled.drift {
            Some(Some(drift)) => parts.set_stored("drift", drift)?,
            Some(None) => parts.remove(&["drift"]),
            None => {}
        }
        Ok(parts.add_to(update))
    }

    /// The update that forgets when an environment ends, where what is provisioned in it is still of this operation.
    pub(crate) fn forget_end(
        &self,
        service: &ServiceId,
        name: &EnvironmentName,
        operation: &OperationId,
    ) -> UpdateBuilder {
        self.transact_update(key_attributes(keys::environment(service, name)))
            .update_expression(format!("REMOVE infrastructure.#ends_at, {INDEX_PK}, {INDEX_SK}"))
            .condition_expression("infrastructure.#operation = :operation")
            .expression_attribute_names("#ends_at", "ends_at")
            .expression_attribute_names("#operation", "operation")
            .expression_attribute_values(":operation", text(operation.as_str()))
    }

    /// The delete of an environment's state where it is as it was seen and no operation is open. Where
    /// none was seen, it also succeeds without one.
    pub(crate) fn delete_environment(
        &self,
        service: &ServiceId,
        name: &EnvironmentName,
        seen: &Infrastructure,
    ) -> DeleteBuilder {
        let delete = self.transact_delete(key_attributes(keys::environment(service, name)));
        match extent(seen) {
            None => delete.condition_expression(IF_IDLE),
            Some((extent, provisioned)) => delete
                .condition_expression(IF_FREE_AND_AS_SEEN)
                .expression_attribute_names("#extent", "extent")
                .expression_attribute_names("#operation", "operation")
                .expression_attribute_values(":extent", text(extent))
                .expression_attribute_values(":operation", text(provisioned.operation.as_str())),
        }
    }
}

/// Writes what exists, and when it is to go.
fn set_infrastructure(
    parts: &mut Parts,
    operation: &Operation,
    infrastructure: &Infrastructure,
) -> Result<(), StoreError> {
    match infrastructure {
        Infrastructure::Absent => parts.remove(&["infrastructure"]),
        Infrastructure::Present(_) | Infrastructure::Partial(_) => {
            parts.set_stored("infrastructure", infrastructure)?;
        }
    }
    let state = EnvironmentState {
        infrastructure: infrastructure.clone(),
        ..EnvironmentState::new(operation.service.clone(), operation.environment.clone())
    };
    match keys::environment_ending(&state) {
        None => parts.remove(&[INDEX_PK, INDEX_SK]),
        Some(place) => {
            parts.set(INDEX_PK, text(place.pk));
            parts.set(INDEX_SK, text(place.sk));
        }
    }
    Ok(())
}
