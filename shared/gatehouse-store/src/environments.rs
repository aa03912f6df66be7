//! How environments stand: beside their service, so that one query reads both.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnValuesOnConditionCheckFailure,
    builders::{DeleteBuilder, UpdateBuilder},
};
use gatehouse_domain::{
    catalog::{Deployed, Drift, EnvironmentState, Infrastructure, OutputValue, Provisioned, Settled},
    id::{OperationId, ServiceId},
    name::{EnvironmentName, ModuleName},
    operations::{Operation, OperationKind},
    store::StoreError,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Table,
    item::{INDEX_PK, INDEX_SK, Item, corrupt, decompose, json, key_attributes, text},
    keys,
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

/// How an environment stands, as it is stored. It is written part by part.
#[derive(Deserialize)]
struct StoredEnvironment {
    service: ServiceId,
    environment: EnvironmentName,
    #[serde(default)]
    running: Option<OperationId>,
    #[serde(default)]
    infrastructure: Option<StoredInfrastructure>,
    #[serde(default)]
    deployed: Option<Deployed>,
    #[serde(default)]
    drift: Option<Drift>,
    #[serde(default)]
    last_provisioning: Option<OperationId>,
    #[serde(default)]
    last_deploy: Option<OperationId>,
}

/// What exists, as it is stored; where nothing does, there is none.
#[derive(Serialize, Deserialize)]
struct StoredInfrastructure {
    extent: Extent,
    operation: OperationId,
    at: Timestamp,
    module: ModuleName,
    #[serde(with = "json")]
    inputs: Map<String, Value>,
    #[serde(with = "json")]
    outputs: BTreeMap<String, OutputValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
}

/// How much of what was asked for exists.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Extent {
    Present,
    Partial,
}

impl Extent {
    fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Partial => "partial",
        }
    }
}

/// What may exist, and how much of it.
fn extent(infrastructure: &Infrastructure) -> Option<(Extent, &Provisioned)> {
    match infrastructure {
        Infrastructure::Absent => None,
        Infrastructure::Present(provisioned) => Some((Extent::Present, provisioned)),
        Infrastructure::Partial(provisioned) => Some((Extent::Partial, provisioned)),
    }
}

impl StoredInfrastructure {
    fn of(extent: Extent, provisioned: &Provisioned) -> Self {
        let Provisioned { operation, at, module, inputs, outputs, expires_at: ends_at } = provisioned.clone();
        Self { extent, operation, at, module, inputs, outputs, ends_at }
    }

    fn read(self) -> Infrastructure {
        let Self { extent, operation, at, module, inputs, outputs, ends_at } = self;
        let provisioned = Provisioned { operation, at, module, inputs, outputs, expires_at: ends_at };
        match extent {
            Extent::Present => Infrastructure::Present(provisioned),
            Extent::Partial => Infrastructure::Partial(provisioned),
        }
    }
}

/// How the environment stands that an item holds.
pub(crate) fn read(item: Item) -> Result<EnvironmentState, StoreError> {
    let stored: StoredEnvironment = decompose(item)?;
    Ok(EnvironmentState {
        service: stored.service,
        name: stored.environment,
        running: stored.running,
        infrastructure: stored.infrastructure.map(StoredInfrastructure::read).unwrap_or_default(),
        deployed: stored.deployed,
        drift: stored.drift,
        last_provisioning: stored.last_provisioning,
        last_deploy: stored.last_deploy,
    })
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

impl Table {
    /// The update that locks the operation's environment, which nothing may have been done in before. Refused,
    /// it returns what stands there.
    pub(crate) fn lock_environment(&self, operation: &Operation) -> UpdateBuilder {
        let key = keys::environment(&operation.service, &operation.environment);
        let update = self
            .transact_update(key_attributes(key))
            .condition_expression(IF_FREE)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
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

    /// The delete of an environment's state where it is as it was seen and nothing goes on; where there is
    /// none and none was seen, it is fine.
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
                .expression_attribute_values(":extent", text(extent.as_str()))
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
    match extent(infrastructure) {
        None => parts.remove(&["infrastructure"]),
        Some((extent, provisioned)) => {
            parts.set_stored("infrastructure", &StoredInfrastructure::of(extent, provisioned))?;
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
