//! Jobs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use gatehouse_domain::{
    caller::Tenants,
    ci::Target,
    jobs::{
        DeleteJob, Existing, FindForEdit, FindJob, FindJobsByTarget, Job, JobEdit, JobFilter, JobSpec,
        ListError, ListJobs, Revision, SaveJobs,
    },
    name::{EnvironmentName, JobId, ProjectName, ProviderName, TenantId},
    paging::{InvalidCursor, Page, PageRequest},
    parameter::ParameterSpec,
    project::Project,
    providers::EditOutcome,
    store::StoreError,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Table, cursor,
    error::{unavailable, unbuildable},
    item::{
        IF_ABSENT, IF_REVISION, INDEX, INDEX_PK, INDEX_SK, Item, SK, compose, decompose, key_attributes, text,
    },
    keys,
    projects::StoredProject,
    transaction::{Outcome, Transaction},
};

/// The most keys that one batch of reads may have.
const BATCH: usize = 100;

/// How often keys are asked for that a batch left out because it had grown too large.
const BATCH_ATTEMPTS: usize = 8;

/// A job as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredJob {
    job_id: JobId,
    tenant: TenantId,
    project: ProjectName,
    display_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<EnvironmentName>,
    provider: ProviderName,
    target: Target,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<ParameterSpec>,
    revision: Revision,
    created_at: Timestamp,
    updated_at: Timestamp,
    updated_by: String,
}

/// The pointer from a target to a job.
#[derive(Serialize, Deserialize)]
struct StoredPointer {
    job_id: JobId,
}

impl StoredJob {
    fn item(job: &Job) -> Result<Item, StoreError> {
        let spec = job.spec.clone();
        let stored = Self {
            job_id: job.id.clone(),
            tenant: job.tenant.clone(),
            project: spec.project,
            display_name: spec.display_name,
            description: spec.description,
            environment: spec.environment,
            provider: spec.provider,
            target: spec.target,
            parameters: spec.parameters,
            revision: job.revision.clone(),
            created_at: job.created_at,
            updated_at: job.updated_at,
            updated_by: job.updated_by.clone(),
        };
        compose(keys::job(&job.id), Some(keys::job_in_list(job)), &stored)
    }

    fn read(item: Item) -> Result<Job, StoreError> {
        let stored: Self = decompose(item)?;
        Ok(Job {
            id: stored.job_id,
            tenant: stored.tenant,
            spec: JobSpec {
                project: stored.project,
                display_name: stored.display_name,
                description: stored.description,
                environment: stored.environment,
                provider: stored.provider,
                target: stored.target,
                parameters: stored.parameters,
            },
            revision: stored.revision,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
            updated_by: stored.updated_by,
        })
    }
}

fn pointer(job: &Job) -> Option<keys::Key> {
    keys::job_by_target(&job.spec.provider, &job.spec.target, &job.id)
}

#[async_trait]
impl FindJob for Table {
    async fn find_job(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        self.find(keys::job(id)).await?.map(StoredJob::read).transpose()
    }
}

#[async_trait]
impl FindForEdit for Table {
    async fn find_for_edit(
        &self,
        jobs: &BTreeSet<JobId>,
        projects: &BTreeSet<ProjectName>,
    ) -> Result<Existing, StoreError> {
        let wanted = jobs.iter().map(keys::job).chain(projects.iter().map(keys::project));
        let items = self.find_all(wanted.collect()).await?;
        let mut existing = Existing::default();
        for item in items {
            if item.get(SK) == Some(&text("JOB")) {
                let job = StoredJob::read(item)?;
                existing.jobs.insert(job.id.clone(), job);
            } else {
                let project = StoredProject::read(item)?;
                existing.projects.insert(project.name.clone(), project);
            }
        }
        Ok(existing)
    }
}

#[async_trait]
impl FindJobsByTarget for Table {
    async fn jobs_with_target(
        &self,
        provider: &ProviderName,
        target: &Target,
    ) -> Result<Vec<Job>, StoreError> {
        let Some(partition) = keys::target_partition(provider, target) else { return Ok(Vec::new()) };
        let pointers = self.query_partition(partition).await?;
        let ids = pointers.into_iter().map(|item| decompose::<StoredPointer>(item).map(|p| p.job_id));
        let wanted = ids.map(|id| id.map(|id| keys::job(&id))).collect::<Result<_, _>>()?;
        self.find_all(wanted).await?.into_iter().map(StoredJob::read).collect()
    }
}

#[async_trait]
impl ListJobs for Table {
    /// One query of one tenant's jobs, or of everybody's: a page that ends with a tenant is short, and the
    /// next one begins with the next tenant.
    async fn list_jobs(&self, filter: &JobFilter, page: &PageRequest) -> Result<Page<Job>, ListError> {
        let Some(place) = start_of_page(filter, page)? else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let mut call = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(INDEX)
            .limit(page.limit.get().into())
            .expression_attribute_values(":list", text(keys::JOBS));
        call = if place.prefix.is_empty() {
            call.key_condition_expression("gsi1pk = :list")
        } else {
            call.key_condition_expression("gsi1pk = :list AND begins_with(gsi1sk, :prefix)")
                .expression_attribute_values(":prefix", text(place.prefix.clone()))
        };
        if let Some(environment) = &filter.environment {
            call = call
                .filter_expression("environment = :environment")
                .expression_attribute_values(":environment", text(environment.as_str()));
        }
        if let Some(sort_key) = &place.after {
            call = call.set_exclusive_start_key(Some(list_position(sort_key)?));
        }
        let answer = call.send().await.map_err(unavailable)?;
        let items = answer.items.unwrap_or_default().into_iter().map(StoredJob::read);
        let next = match answer.last_evaluated_key.as_ref().and_then(|key| key.get(INDEX_SK)) {
            Some(key) => key.as_s().ok().cloned(),
            None => place.next_tenant.map(|tenant| keys::jobs_prefix(&tenant, None)),
        };
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next: next.map(|sort_key| cursor::encode(keys::JOBS, &sort_key)),
        })
    }
}

/// Where a page of jobs starts.
struct PageStart {
    /// What the sort keys of the page begin with.
    prefix: String,
    /// Behind which sort key.
    after: Option<String>,
    /// The tenant whose jobs come after this one's.
    next_tenant: Option<TenantId>,
}

/// `None` when the caller has no tenant, and so no jobs.
fn start_of_page(filter: &JobFilter, page: &PageRequest) -> Result<Option<PageStart>, InvalidCursor> {
    let after = page.cursor.as_ref().map(|cursor| cursor::decode(keys::JOBS, cursor)).transpose()?;
    if let Some(project) = &filter.project {
        let prefix = keys::jobs_prefix(&project.tenant, Some(&project.name));
        return within(prefix, after, None).map(Some);
    }
    let Tenants::Only(tenants) = &filter.tenants else {
        return within(String::new(), after, None).map(Some);
    };
    let wanted = after.as_deref().and_then(|key| key.split('#').next()).map(str::to_owned);
    let mut tenants =
        tenants.iter().skip_while(|tenant| wanted.as_deref().is_some_and(|w| w != tenant.as_str()));
    let Some(tenant) = tenants.next() else {
        return if wanted.is_some() { Err(InvalidCursor) } else { Ok(None) };
    };
    let next = tenants.next().cloned();
    within(keys::jobs_prefix(tenant, None), after, next).map(Some)
}

/// A page among the sort keys that begin with `prefix`. A cursor that is the prefix itself stands at their
/// beginning.
fn within(
    prefix: String,
    after: Option<String>,
    next_tenant: Option<TenantId>,
) -> Result<PageStart, InvalidCursor> {
    match after {
        Some(key) if !key.starts_with(&prefix) => Err(InvalidCursor),
        Some(key) if key == prefix => Ok(PageStart { prefix, after: None, next_tenant }),
        after => Ok(PageStart { prefix, after, next_tenant }),
    }
}

/// The key of the item in the index that has this sort key.
fn list_position(sort_key: &str) -> Result<Item, InvalidCursor> {
    let id = sort_key.rsplit('#').next().and_then(|id| id.parse().ok()).ok_or(InvalidCursor)?;
    let mut position = key_attributes(keys::job(&id));
    position.insert(INDEX_PK.to_owned(), text(keys::JOBS));
    position.insert(INDEX_SK.to_owned(), text(sort_key));
    Ok(position)
}

#[async_trait]
impl SaveJobs for Table {
    async fn save_jobs(&self, edits: &[JobEdit]) -> Result<EditOutcome, StoreError> {
        let mut transaction = Transaction::default();
        let new_projects: BTreeMap<&ProjectName, &Project> = edits
            .iter()
            .filter_map(|edit| edit.new_project.as_ref().map(|project| (&project.name, project)))
            .collect();
        for project in new_projects.values() {
            // Somebody may have created the project for the same tenant meanwhile: then all is as wanted.
            let put = self
                .transact_put(StoredProject::item(project)?)
                .condition_expression("attribute_not_exists(pk) OR tenant = :tenant")
                .expression_attribute_values(":tenant", text(project.tenant.as_str()));
            transaction.put(put)?;
        }
        for edit in edits {
            self.add_edit(&mut transaction, edit)?;
        }
        match transaction.write(self).await? {
            Outcome::Written => Ok(EditOutcome::Done),
            Outcome::Refused { .. } => Ok(EditOutcome::Conflict),
        }
    }
}

#[async_trait]
impl DeleteJob for Table {
    async fn delete_job(&self, job: &Job) -> Result<EditOutcome, StoreError> {
        let mut transaction = Transaction::default();
        let delete = self
            .transact_delete(key_attributes(keys::job(&job.id)))
            .condition_expression(IF_REVISION)
            .expression_attribute_values(":revision", text(job.revision.as_str()));
        transaction.delete(delete)?;
        if let Some(pointer) = pointer(job) {
            // No condition: the pointer belongs to the job, whose own condition decides.
            transaction.delete(self.transact_delete(key_attributes(pointer)))?;
        }
        match transaction.write(self).await? {
            Outcome::Written => Ok(EditOutcome::Done),
            Outcome::Refused { .. } => Ok(EditOutcome::Conflict),
        }
    }
}

impl Table {
    /// The writes that make one edit. The pointers have no condition of their own: they belong to the job.
    fn add_edit(&self, transaction: &mut Transaction, edit: &JobEdit) -> Result<(), StoreError> {
        let put = self.transact_put(StoredJob::item(&edit.job)?);
        let put = match &edit.previous {
            None => put.condition_expression(IF_ABSENT),
            Some(previous) => put
                .condition_expression(IF_REVISION)
                .expression_attribute_values(":revision", text(previous.revision.as_str())),
        };
        transaction.put(put)?;
        let (old, new) = (edit.previous.as_ref().and_then(pointer), pointer(&edit.job));
        if old == new {
            return Ok(());
        }
        if let Some(old) = old {
            transaction.delete(self.transact_delete(key_attributes(old)))?;
        }
        if let Some(new) = new {
            let item = compose(new, None, &StoredPointer { job_id: edit.job.id.clone() })?;
            transaction.put(self.transact_put(item))?;
        }
        Ok(())
    }

    /// Those of the items that exist, strongly consistent, 100 in a call.
    pub(crate) async fn find_all(&self, wanted: Vec<keys::Key>) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        for batch in wanted.chunks(BATCH) {
            let mut missing: Vec<Item> = batch.iter().cloned().map(key_attributes).collect();
            for _attempt in 0..BATCH_ATTEMPTS {
                if missing.is_empty() {
                    break;
                }
                missing = self.find_some(missing, &mut found).await?;
            }
            if !missing.is_empty() {
                return Err(StoreError::Unavailable("the table left keys of a batch unread".into()));
            }
        }
        Ok(found)
    }

    /// Reads what one call gives; answers the keys it left out.
    async fn find_some(&self, wanted: Vec<Item>, found: &mut Vec<Item>) -> Result<Vec<Item>, StoreError> {
        let keys = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build();
        let call = self
            .client
            .batch_get_item()
            .set_request_items(Some(HashMap::from([(self.name.clone(), keys.map_err(unbuildable)?)])));
        let answer = call.send().await.map_err(unavailable)?;
        found.extend(answer.responses.unwrap_or_default().into_values().flatten());
        let left = answer.unprocessed_keys.unwrap_or_default();
        Ok(left.into_values().flat_map(|keys| keys.keys).collect())
    }
}
