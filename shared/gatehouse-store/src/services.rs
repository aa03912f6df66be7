//! Services, and whose their names are.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::query::builders::QueryFluentBuilder,
    types::{ReturnValuesOnConditionCheckFailure, builders::PutBuilder},
};
use gatehouse_domain::{
    audit::Entry,
    catalog::{
        Category, CreateService, DeployTarget, EnvironmentSpec, EnvironmentState, FindService,
        Infrastructure, Lifecycle, Link, ListServices, Registered, RemovedEnvironments, SaveService, Service,
        ServiceFilter, ServiceSpec,
    },
    id::ServiceId,
    idempotency::Fingerprint,
    name::{EnvironmentName, JobId, ModuleName, ProjectName, ServiceName, TenantId},
    paging::{ListError, Page, PageRequest},
    revision::{EditOutcome, Revision},
    store::StoreError,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Table, environments,
    item::{IF_ABSENT, IF_REVISION, Item, SK, compose, decompose, json, key_attributes, text},
    keys,
    lists::{Bounds, Section},
    transaction::{Outcome, Transaction},
};

/// The attribute with the text of a service that is looked through, in lower case.
const SEARCH: &str = "search";

/// The condition under which a service gives its name back, or keeps it. Needs `:service`.
const IF_NAMED: &str = "service_id = :service";

/// A service as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredService {
    service_id: ServiceId,
    tenant: TenantId,
    name: ServiceName,
    project: ProjectName,
    owner: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    lifecycle: Lifecycle,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    environments: Vec<StoredEnvironmentSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    build_job: Option<JobId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deploy: Option<DeployTarget>,
    fingerprint: Fingerprint,
    revision: Revision,
    created_at: Timestamp,
    created_by: String,
    updated_at: Timestamp,
    updated_by: String,
}

/// What was decided about an environment, as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredEnvironmentSpec {
    name: EnvironmentName,
    category: Category,
    approval_required: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    module: Option<ModuleName>,
    #[serde(with = "json")]
    inputs: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_hours: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deploy: Option<DeployTarget>,
}

/// The name of a service as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredName {
    service_id: ServiceId,
}

impl From<EnvironmentSpec> for StoredEnvironmentSpec {
    fn from(spec: EnvironmentSpec) -> Self {
        let EnvironmentSpec { name, category, approval_required, module, inputs, ttl_hours, deploy } = spec;
        Self { name, category, approval_required, module, inputs, ttl_hours, deploy }
    }
}

impl From<StoredEnvironmentSpec> for EnvironmentSpec {
    fn from(stored: StoredEnvironmentSpec) -> Self {
        let StoredEnvironmentSpec { name, category, approval_required, module, inputs, ttl_hours, deploy } =
            stored;
        Self { name, category, approval_required, module, inputs, ttl_hours, deploy }
    }
}

impl From<Service> for StoredService {
    fn from(service: Service) -> Self {
        let spec = service.spec;
        Self {
            service_id: service.id,
            tenant: service.tenant,
            name: service.name,
            project: spec.project,
            owner: spec.owner,
            description: spec.description,
            repository: spec.repository,
            lifecycle: spec.lifecycle,
            links: spec.links,
            environments: spec.environments.into_iter().map(Into::into).collect(),
            build_job: spec.build_job,
            deploy: spec.deploy,
            fingerprint: service.fingerprint,
            revision: service.revision,
            created_at: service.created_at,
            created_by: service.created_by,
            updated_at: service.updated_at,
            updated_by: service.updated_by,
        }
    }
}

impl From<StoredService> for Service {
    fn from(stored: StoredService) -> Self {
        Self {
            id: stored.service_id,
            tenant: stored.tenant,
            name: stored.name,
            spec: ServiceSpec {
                project: stored.project,
                owner: stored.owner,
                description: stored.description,
                repository: stored.repository,
                lifecycle: stored.lifecycle,
                links: stored.links,
                environments: stored.environments.into_iter().map(Into::into).collect(),
                build_job: stored.build_job,
                deploy: stored.deploy,
            },
            fingerprint: stored.fingerprint,
            revision: stored.revision,
            created_at: stored.created_at,
            created_by: stored.created_by,
            updated_at: stored.updated_at,
            updated_by: stored.updated_by,
        }
    }
}

fn item(service: &Service) -> Result<Item, StoreError> {
    let stored = StoredService::from(service.clone());
    let mut item = compose(keys::service(&service.id), Some(keys::service_in_list(service)), &stored)?;
    item.insert(SEARCH.to_owned(), text(searched(service)));
    Ok(item)
}

fn searched(service: &Service) -> String {
    let ServiceSpec { owner, description, .. } = &service.spec;
    let texts = [service.name.as_str(), owner, description.as_deref().unwrap_or_default()];
    texts.join("\n").to_lowercase()
}

fn read(item: Item) -> Result<Service, StoreError> {
    decompose::<StoredService>(item).map(Service::from)
}

#[async_trait]
impl FindService for Table {
    async fn find_service(&self, id: &ServiceId) -> Result<Option<Registered>, StoreError> {
        let (mut service, mut environments) = (None, BTreeMap::new());
        for item in self.query_partition(keys::with_environments(id)).await? {
            if item.get(SK) == Some(&text("SERVICE")) {
                service = Some(read(item)?);
            } else {
                let state = environments::read(item)?;
                environments.insert(state.name.clone(), state);
            }
        }
        Ok(service.map(|service| Registered { service, environments }))
    }
}

#[async_trait]
impl ListServices for Table {
    async fn list_services(
        &self,
        filter: &ServiceFilter,
        page: &PageRequest,
    ) -> Result<Page<Service>, ListError> {
        let after = self.place(keys::SERVICES, page).await?;
        let section = Section::of(keys::SERVICES, &filter.tenants, after, |tenant| {
            Bounds::all(keys::of_tenant(tenant))
        })?;
        self.list_section(section, page, |call| narrow(call, filter), read).await
    }
}

/// Leaves out what is not wanted of what is read.
fn narrow(call: QueryFluentBuilder, filter: &ServiceFilter) -> QueryFluentBuilder {
    let wanted = [
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
        match self.write_with_entry(transaction, entry).await? {
            Outcome::Written => Ok(CreateService::Created),
            Outcome::Refused { place: 0, item: Some(item) } => {
                Ok(CreateService::Exists(Box::new(read(item)?)))
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
        removed: &RemovedEnvironments,
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
        for name in removed {
            transaction.delete(self.delete_environment(&service.id, name, &Infrastructure::Absent))?;
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
    /// The claim of a service's name, by which its project finds it as well.
    fn transact_put_name(&self, service: &Service) -> Result<PutBuilder, StoreError> {
        let key = keys::service_name(&service.tenant, &service.name);
        let stored = StoredName { service_id: service.id.clone() };
        let item = compose(key, Some(keys::service_of_project(service)), &stored)?;
        Ok(self.transact_put(item))
    }
}
