//! Projects.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use gatehouse_domain::{
    audit::Entry,
    caller::Tenants,
    name::ProjectName,
    paging::{ListError, Page, PageRequest},
    project::{FindProject, ListProjects, Project, SaveProject},
    revision::{EditOutcome, Revision},
    store::StoreError,
};
use jiff::Timestamp;

use crate::{
    Table,
    error::unavailable,
    item::{IF_ABSENT, IF_REVISION, INDEX, Item, compose, decompose, key_attributes, text},
    keys,
    lists::{Bounds, Section},
    transaction::{Outcome, Transaction},
};

/// The condition under which a project that has no revision yet is edited.
const IF_NO_REVISION: &str = "attribute_exists(pk) AND attribute_not_exists(revision)";

fn item(project: &Project) -> Result<Item, StoreError> {
    compose(keys::project(&project.name), Some(keys::project_in_list(project)), project)
}

#[async_trait]
impl FindProject for Table {
    async fn find_project(&self, name: &ProjectName) -> Result<Option<Project>, StoreError> {
        self.find(keys::project(name)).await?.map(decompose).transpose()
    }
}

#[async_trait]
impl ListProjects for Table {
    async fn list_projects(&self, tenants: &Tenants, page: &PageRequest) -> Result<Page<Project>, ListError> {
        let section =
            Section::of(keys::PROJECTS, tenants, page, |tenant| Bounds::all(keys::of_tenant(tenant)))?;
        self.list_section(section, page.limit, |call| call, decompose).await
    }
}

#[async_trait]
impl SaveProject for Table {
    async fn save_project(
        &self,
        project: &Project,
        previous: Option<&Revision>,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        let put = self.transact_put(item(project)?);
        let put = match previous {
            None => put.condition_expression(IF_ABSENT),
            Some(revision) if *revision == Revision::unwritten() => put.condition_expression(IF_NO_REVISION),
            Some(revision) => put
                .condition_expression(IF_REVISION)
                .expression_attribute_values(":revision", text(revision.as_str())),
        };
        let mut transaction = Transaction::default();
        transaction.put(put)?;
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }

    async fn delete_project(&self, project: &Project, entry: &Entry) -> Result<EditOutcome, StoreError> {
        let delete = self.transact_delete(key_attributes(keys::project(&project.name)));
        let delete = if project.revision == Revision::unwritten() {
            delete.condition_expression(IF_NO_REVISION)
        } else {
            delete
                .condition_expression(IF_REVISION)
                .expression_attribute_values(":revision", text(project.revision.as_str()))
        };
        let mut transaction = Transaction::default();
        transaction.delete(delete)?;
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }

    async fn is_used(&self, project: &Project, now: Timestamp) -> Result<bool, StoreError> {
        let of_project = keys::of_project(&project.tenant, &project.name);
        Ok(self.is_any_in_list(keys::JOBS, &of_project).await?
            || self.is_any_in_list(keys::PROJECT_SERVICES, &of_project).await?
            || self.has_live_token(project, now).await?)
    }
}

impl Table {
    /// One item, strongly consistent.
    pub(crate) async fn find(&self, key: keys::Key) -> Result<Option<Item>, StoreError> {
        let call = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(key)))
            .consistent_read(true);
        Ok(call.send().await.map_err(unavailable)?.item)
    }

    /// Whether a list of the index has something whose sort key begins with `prefix`. The index may miss
    /// what was written within the last second.
    pub(crate) async fn is_any_in_list(&self, list: &str, prefix: &str) -> Result<bool, StoreError> {
        let call = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(INDEX)
            .key_condition_expression("gsi1pk = :list AND begins_with(gsi1sk, :prefix)")
            .expression_attribute_values(":list", text(list))
            .expression_attribute_values(":prefix", text(prefix))
            .limit(1);
        Ok(call.send().await.map_err(unavailable)?.count > 0)
    }

    /// Creates a project for a job, with no more than a name and a tenant. Somebody may have created it for
    /// the same tenant meanwhile: then theirs stays as it is, and all is as wanted.
    pub(crate) fn create_project_unless_there(&self, project: &Project) -> Result<UpdateBuilder, StoreError> {
        let Project { name, tenant, revision, created_at, .. } = project.clone();
        let bare = Project::new(name, tenant, revision, created_at);
        let key = key_attributes(keys::project(&project.name));
        let mut update = self
            .transact_update(key.clone())
            .condition_expression("attribute_not_exists(pk) OR tenant = :owner")
            .expression_attribute_values(":owner", text(project.tenant.as_str()));
        let mut sets = Vec::new();
        for (name, value) in item(&bare)? {
            if !key.contains_key(&name) {
                sets.push(format!("#{name} = if_not_exists(#{name}, :{name})"));
                update = update
                    .expression_attribute_names(format!("#{name}"), &name)
                    .expression_attribute_values(format!(":{name}"), value);
            }
        }
        Ok(update.update_expression(format!("SET {}", sets.join(", "))))
    }
}
