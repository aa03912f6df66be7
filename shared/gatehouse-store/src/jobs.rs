//! Jobs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::KeysAndAttributes};
use gatehouse_domain::{
    audit::Entry,
    caller::Tenants,
    ci::Target,
    jobs::{
        DeleteJob, Existing, FindForEdit, FindJob, FindJobsByTarget, Job, JobEdit, JobFilter, ListJobs,
        SaveJobs,
    },
    name::{JobId, ProjectName, ProviderName},
    paging::{ListError, Page, PageRequest},
    project::Project,
    revision::EditOutcome,
    store::StoreError,
};
use serde::{Deserialize, Serialize};

use crate::{
    Table,
    error::{unavailable, unbuildable},
    item::{IF_ABSENT, IF_REVISION, Item, SK, compose, decompose, key_attributes, text},
    keys,
    lists::{Bounds, Section},
    transaction::{Outcome, Transaction},
};

/// The most keys that one batch of reads may have.
const BATCH: usize = 100;

/// How often keys are asked for that a batch left out: DynamoDB answers at most 16 MB and leaves the rest.
const BATCH_ATTEMPTS: usize = 8;

/// The pointer from a target to a job.
#[derive(Serialize, Deserialize)]
struct StoredPointer {
    job_id: JobId,
}

fn item(job: &Job) -> Result<Item, StoreError> {
    compose(keys::job(&job.id), Some(keys::job_in_list(job)), job)
}

fn pointer(job: &Job) -> Option<keys::Key> {
    keys::job_by_target(&job.spec.provider, &job.spec.target, &job.id)
}

#[async_trait]
impl FindJob for Table {
    async fn find_job(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        self.find(keys::job(id)).await?.map(decompose).transpose()
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
            // One batch holds both; an item's sort key says which it is.
            if item.get(SK) == Some(&text("JOB")) {
                let job: Job = decompose(item)?;
                existing.jobs.insert(job.id.clone(), job);
            } else {
                let project: Project = decompose(item)?;
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
        self.find_all(wanted).await?.into_iter().map(decompose).collect()
    }
}

#[async_trait]
impl ListJobs for Table {
    async fn list_jobs(&self, filter: &JobFilter, page: &PageRequest) -> Result<Page<Job>, ListError> {
        let after = self.place(keys::JOBS, page).await?;
        let section = match &filter.project {
            None => {
                Section::of(keys::JOBS, &filter.tenants, after, |tenant| Bounds::all(keys::of_tenant(tenant)))
            }
            Some(project) => {
                let tenants = Tenants::Only(BTreeSet::from([project.tenant.clone()]));
                Section::of(keys::JOBS, &tenants, after, |tenant| {
                    Bounds::all(keys::of_project(tenant, &project.name))
                })
            }
        };
        let wanted = |call: QueryFluentBuilder| match &filter.environment {
            None => call,
            Some(environment) => call
                .filter_expression("environment = :environment")
                .expression_attribute_values(":environment", text(environment.as_str())),
        };
        self.list_section(section?, page, wanted, decompose).await
    }
}

#[async_trait]
impl SaveJobs for Table {
    async fn save_jobs(&self, edits: &[JobEdit]) -> Result<EditOutcome, StoreError> {
        let mut transaction = Transaction::default();
        let new_projects: BTreeMap<&ProjectName, &Project> = edits
            .iter()
            .filter_map(|edit| edit.new_project.as_ref().map(|project| (&project.name, project)))
            .collect();
        // A transaction may touch an item once only, and several jobs may be the first of a project.
        for project in new_projects.values() {
            transaction.update(self.create_project_unless_there(project)?)?;
        }
        for edit in edits {
            self.add_edit(&mut transaction, edit)?;
        }
        let entries: Vec<_> = edits.iter().flat_map(|edit| edit.entries.iter().cloned()).collect();
        self.write_with_entries(transaction, &entries).await.map(Outcome::of_edit)
    }
}

#[async_trait]
impl DeleteJob for Table {
    async fn delete_job(&self, job: &Job, entry: &Entry) -> Result<EditOutcome, StoreError> {
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
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }
}

impl Table {
    /// The writes that make one edit. The pointers have no condition of their own: they belong to the job.
    fn add_edit(&self, transaction: &mut Transaction, edit: &JobEdit) -> Result<(), StoreError> {
        let put = self.transact_put(item(&edit.job)?);
        let put = match &edit.previous {
            None => put.condition_expression(IF_ABSENT),
            Some(previous) => put
                .condition_expression(IF_REVISION)
                .expression_attribute_values(":revision", text(previous.revision.as_str())),
        };
        transaction.put(put)?;
        // The revision's condition makes sure that the old pointer is where `previous` says.
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
        self.find_parts(wanted, None).await
    }

    /// The keys of those of the items that exist.
    pub(crate) async fn find_keys(&self, wanted: Vec<keys::Key>) -> Result<Vec<Item>, StoreError> {
        self.find_parts(wanted, Some("pk, sk")).await
    }

    async fn find_parts(
        &self,
        wanted: Vec<keys::Key>,
        projection: Option<&str>,
    ) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        for batch in wanted.chunks(BATCH) {
            let mut missing: Vec<Item> = batch.iter().cloned().map(key_attributes).collect();
            for _attempt in 0..BATCH_ATTEMPTS {
                if missing.is_empty() {
                    break;
                }
                missing = self.find_some(missing, projection, &mut found).await?;
            }
            if !missing.is_empty() {
                return Err(StoreError::Unavailable("the table left keys of a batch unread".into()));
            }
        }
        Ok(found)
    }

    /// Reads what one call gives; answers the keys it left out.
    async fn find_some(
        &self,
        wanted: Vec<Item>,
        projection: Option<&str>,
        found: &mut Vec<Item>,
    ) -> Result<Vec<Item>, StoreError> {
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(wanted))
            .set_projection_expression(projection.map(str::to_owned))
            .consistent_read(true)
            .build();
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
