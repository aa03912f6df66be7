//! Services, and whose their names are.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::query::builders::QueryFluentBuilder,
    types::{ReturnValuesOnConditionCheckFailure, builders::PutBuilder},
};
use gatehouse_domain::{
    audit::Entry,
    caller::Tenants,
    catalog::{
        CreateService, DriftSchedule, EnvironmentEdits, EnvironmentState, FindService, Infrastructure,
        Lifecycle, ListServices, Registered, SaveService, Service, ServiceFilter, ServiceSpec,
    },
    id::ServiceId,
    name::{EnvironmentName, ServiceName, TenantId},
    paging::{ListError, Page, PageRequest},
    revision::{EditOutcome, Revision},
    store::StoreError,
};
use serde::{Deserialize, Serialize};

use crate::{
    Table,
    item::{IF_ABSENT, IF_REVISION, Item, SK, compose, decompose, key_attributes, text},
    keys,
    lists::{Bounds, Section},
    transaction::{Outcome, Transaction},
};

/// The attribute with the text of a service that is looked through, in lower case.
const SEARCH: &str = "search";

/// How often the list is read for a page at most.
const READS: usize = 10;

/// How many services are looked through in one query, where the first page of them did not fill the page.
const LOOKED_THROUGH: i32 = 250;

/// The condition under which a service gives its name back, or keeps it. Needs `:service`.
const IF_NAMED: &str = "service_id = :service";

/// The name of a service as it is stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredName {
    pub(crate) service_id: ServiceId,
}

pub(crate) fn item(service: &Service) -> Result<Item, StoreError> {
    let mut item = compose(keys::service(&service.id), Some(keys::service_in_list(service)), service)?;
    item.insert(SEARCH.to_owned(), text(searched(service)));
    Ok(item)
}

fn searched(service: &Service) -> String {
    let ServiceSpec { owner, description, .. } = &service.spec;
    let texts = [service.name.as_str(), owner, description.as_deref().unwrap_or_default()];
    texts.join("\n").to_lowercase()
}

#[async_trait]
impl FindService for Table {
    async fn find_service(&self, id: &ServiceId) -> Result<Option<Registered>, StoreError> {
        let (mut service, mut environments, mut drift_due) = (None, BTreeMap::new(), BTreeMap::new());
        for item in self.query_partition(keys::with_environments(id)).await? {
            let sort_key = item.get(SK).and_then(|sort_key| sort_key.as_s().ok());
            match sort_key.map(String::as_str) {
                Some("SERVICE") => service = Some(decompose(item)?),
                Some(sort_key) if sort_key.starts_with(keys::DRIFT_SCHEDULE) => {
                    let schedule: DriftSchedule = decompose(item)?;
                    drift_due.insert(schedule.environment, schedule.due);
                }
                _ => {
                    let state: EnvironmentState = decompose(item)?;
                    environments.insert(state.name.clone(), state);
                }
            }
        }
        Ok(service.map(|service| Registered { service, environments, drift_due }))
    }
}

#[async_trait]
impl ListServices for Table {
    async fn list_services(
        &self,
        filter: &ServiceFilter,
        page: &PageRequest,
    ) -> Result<Page<Service>, ListError> {
        let mut after = self.place(keys::SERVICES, page).await?;
        // Nothing lists the tenants of whoever sees all: a tenant may have services before anybody has saved it.
        if let (Some(name), Tenants::Only(tenants)) = (&filter.name, &filter.tenants) {
            return self.services_named(name, tenants, filter, after, page).await;
        }
        let full = usize::from(page.limit.get());
        let mut limit = i32::from(page.limit.get());
        let mut found: Vec<Service> = Vec::new();
        for _ in 0..READS {
            let section = Section::of(keys::SERVICES, &filter.tenants, after.take(), |tenant| {
                Bounds::all(keys::of_tenant(tenant))
            })?;
            let Some(section) = section else { break };
            let (items, end) = self.read_section(&section, limit, |call| narrow(call, filter)).await?;
            let all = items.len();
            for (place, item) in items.into_iter().enumerate() {
                found.push(decompose(item)?);
                if found.len() == full {
                    // Behind the last one that is shown; or behind all that were read, if that is the same.
                    let last = found.last().map(|service| keys::service_in_list(service).sk);
                    let next = if place + 1 < all { last } else { end };
                    return Ok(Page { items: found, next: self.next(keys::SERVICES, page, next).await? });
                }
            }
            after = end;
            if after.is_none() {
                break;
            }
            limit = LOOKED_THROUGH;
        }
        Ok(Page { items: found, next: self.next(keys::SERVICES, page, after).await? })
    }
}

/// What the filter asks for, of services that were looked up by their names.
fn is_wanted(filter: &ServiceFilter, service: &Service) -> bool {
    filter.tenants.include(&service.tenant)
        && filter.name.as_ref().is_none_or(|name| *name == service.name)
        && filter.owner.as_ref().is_none_or(|owner| *owner == service.spec.owner)
        && filter.lifecycle.is_none_or(|lifecycle| lifecycle == service.spec.lifecycle)
        && filter.text.as_ref().is_none_or(|text| searched(service).contains(text))
}

/// Leaves out what is not wanted of what is read.
fn narrow(call: QueryFluentBuilder, filter: &ServiceFilter) -> QueryFluentBuilder {
    let wanted = [
        ("#name = :name", "name", filter.name.as_ref().map(ServiceName::as_str)),
        ("#owner = :owner", "owner", filter.owner.as_deref()),
        ("#lifecycle = :lifecycle", "lifecycle", filter.lifecycle.map(Lifecycle::as_str)),
        ("contains(#search, :search)", SEARCH, filter.text.as_deref()),
    ];
    let wanted: Vec<_> =
        wanted.into_iter().filter_map(|(how, name, value)| Some((how, name, value?))).collect();
    if wanted.is_empty() {
        return call;
    }
    let conditions: Vec<_> = wanted.iter().map(|(how, ..)| *how).collect();
    let call = call.filter_expression(conditions.join(" AND "));
    wanted.into_iter().fold(call, |call, (_, name, value)| {
        call.expression_attribute_names(format!("#{name}"), name)
            .expression_attribute_values(format!(":{name}"), text(value))
    })
}

#[async_trait]
impl SaveService for Table {
    async fn create_service(&self, service: &Service, entry: &Entry) -> Result<CreateService, StoreError> {
        let mut transaction = Transaction::default();
        let put = self.transact_put(item(service)?).condition_expression(IF_ABSENT);
        transaction
            .put(put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld))?;
        let name = self.transact_put_name(service)?.condition_expression(IF_ABSENT);
        transaction.put(
            name.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld),
        )?;
        for schedule in service.drift_schedules(service.created_at) {
            transaction.put(self.transact_put_schedule(&schedule)?)?;
        }
        match self.write_with_entry(transaction, entry).await? {
            Outcome::Written => Ok(CreateService::Created),
            Outcome::Refused { place: 0, item: Some(item) } => {
                Ok(CreateService::Exists(Box::new(decompose(item)?)))
            }
            Outcome::Refused { item: Some(item), .. } => {
                Ok(CreateService::NameTaken(decompose::<StoredName>(item)?.service_id))
            }
            Outcome::Refused { item: None, .. } => {
                Err(StoreError::Unavailable("the table did not return the service that exists".into()))
            }
        }
    }

    async fn replace_service(
        &self,
        service: &Service,
        previous: &Revision,
        environments: &EnvironmentEdits,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        let mut transaction = Transaction::default();
        let put = self
            .transact_put(item(service)?)
            .condition_expression(IF_REVISION)
            .expression_attribute_values(":revision", text(previous.as_str()));
        transaction.put(put)?;
        // Written again, since the service may be of another project now, by which its name is listed. Its condition
        // fails where the service was deleted and its name taken by another one.
        let name = self
            .transact_put_name(service)?
            .condition_expression(IF_NAMED)
            .expression_attribute_values(":service", text(service.id.as_str()));
        transaction.put(name)?;
        for name in &environments.removed {
            transaction.delete(self.delete_environment(&service.id, name, &Infrastructure::Absent))?;
        }
        for (name, operation) in &environments.endless {
            transaction.update(self.forget_end(&service.id, name, operation))?;
        }
        for name in &environments.schedules.ended {
            transaction.delete(self.transact_delete_schedule(&service.id, name))?;
        }
        for schedule in &environments.schedules.set {
            transaction.put(self.transact_put_schedule(schedule)?)?;
        }
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }

    async fn delete_service(
        &self,
        service: &Service,
        states: &[EnvironmentState],
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        let mut transaction = Transaction::default();
        let delete = self
            .transact_delete(key_attributes(keys::service(&service.id)))
            .condition_expression(IF_REVISION)
            .expression_attribute_values(":revision", text(service.revision.as_str()));
        transaction.delete(delete)?;
        let name = self
            .transact_delete(key_attributes(keys::service_name(&service.tenant, &service.name)))
            .condition_expression(IF_NAMED)
            .expression_attribute_values(":service", text(service.id.as_str()));
        transaction.delete(name)?;
        for (name, seen) in as_seen(service, states) {
            transaction.delete(self.delete_environment(&service.id, name, seen))?;
        }
        for spec in service.spec.environments.iter().filter(|spec| spec.drift_hours.is_some()) {
            transaction.delete(self.transact_delete_schedule(&service.id, &spec.name))?;
        }
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }
}

/// What was seen in each environment: nothing in one without a state, which may have one by now, since an
/// operation that begins leaves the service's revision as it is.
fn as_seen<'a>(
    service: &'a Service,
    states: &'a [EnvironmentState],
) -> BTreeMap<&'a EnvironmentName, &'a Infrastructure> {
    let unseen = service.spec.environments.iter().map(|spec| (&spec.name, &Infrastructure::Absent));
    unseen.chain(states.iter().map(|state| (&state.name, &state.infrastructure))).collect()
}

impl Table {
    /// The services of this name: the item of the name in each tenant, and those that these name. As many calls for
    /// one service as for two thousand.
    async fn services_named(
        &self,
        name: &ServiceName,
        tenants: &BTreeSet<TenantId>,
        filter: &ServiceFilter,
        after: Option<String>,
        page: &PageRequest,
    ) -> Result<Page<Service>, ListError> {
        let names = tenants.iter().map(|tenant| keys::service_name(tenant, name)).collect();
        let claims = self.find_all(names).await?.into_iter().map(decompose::<StoredName>);
        let ids = claims
            .map(|claim| Ok(keys::service(&claim?.service_id)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        let mut found = Vec::new();
        for item in self.find_all(ids).await? {
            let service: Service = decompose(item)?;
            let place = keys::service_in_list(&service).sk;
            if is_wanted(filter, &service) && after.as_ref().is_none_or(|after| place > *after) {
                found.push((place, service));
            }
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        let full = usize::from(page.limit.get());
        let next =
            found.get(full.saturating_sub(1)).filter(|_| found.len() > full).map(|(place, _)| place.clone());
        found.truncate(full);
        let items = found.into_iter().map(|(_, service)| service).collect();
        Ok(Page { items, next: self.next(keys::SERVICES, page, next).await? })
    }

    /// The claim of a service's name, by which its project finds it as well.
    fn transact_put_name(&self, service: &Service) -> Result<PutBuilder, StoreError> {
        let key = keys::service_name(&service.tenant, &service.name);
        let stored = StoredName { service_id: service.id.clone() };
        let item = compose(key, Some(keys::service_of_project(service)), &stored)?;
        Ok(self.transact_put(item))
    }
}
