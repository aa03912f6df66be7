//! Tenants.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use gatehouse_domain::{
    audit::Entry,
    catalog::FindDefaultProject,
    name::{ProjectName, TenantId},
    project::FindTenant,
    revision::EditOutcome,
    store::StoreError,
    tenant::{CountTenants, ListTenants, Population, SaveTenant, Tenant},
};

use serde::Deserialize;

use crate::{
    Table,
    error::unavailable,
    item::{INDEX, decompose, key_attributes, text},
    keys,
    transaction::{Outcome, Transaction},
};

/// The attribute that says when a tenant was deleted. The item stays, so that the name is not given again.
const DELETED_AT: &str = "deleted_at";

#[async_trait]
impl ListTenants for Table {
    async fn list_tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        let items = self.query_partition(keys::TENANTS.to_owned()).await?;
        items.into_iter().filter(|item| !item.contains_key(DELETED_AT)).map(decompose).collect()
    }
}

/// What the look for a default project takes of a tenant.
#[derive(Deserialize)]
struct Defaults {
    default_project: Option<ProjectName>,
}

#[async_trait]
impl FindDefaultProject for Table {
    async fn default_project(&self, tenant: &TenantId) -> Result<Option<ProjectName>, StoreError> {
        let found = self.find(keys::tenant(tenant)).await?;
        let found = found.map(decompose::<Defaults>).transpose()?;
        Ok(found.and_then(|tenant| tenant.default_project))
    }
}

#[async_trait]
impl FindTenant for Table {
    async fn has_tenant(&self, id: &TenantId) -> Result<bool, StoreError> {
        Ok(self.find(keys::tenant(id)).await?.is_some_and(|item| !item.contains_key(DELETED_AT)))
    }
}

/// What the look at projects takes of an item.
#[derive(Deserialize)]
struct Owned {
    tenant: TenantId,
}

#[async_trait]
impl CountTenants for Table {
    /// Projects are sorted by tenant: if the first and the last belong to the same one, all do.
    async fn population(&self) -> Result<Population, StoreError> {
        let mut tenants: BTreeSet<TenantId> =
            self.list_tenants().await?.into_iter().map(|tenant| tenant.id).collect();
        for forward in [true, false] {
            if tenants.len() < 2 {
                tenants.extend(self.tenant_at_the_end_of_projects(forward).await?);
            }
        }
        Ok(match tenants.pop_first() {
            None => Population::Nobody,
            Some(only) if tenants.is_empty() => Population::One(only),
            Some(_) => Population::Several,
        })
    }
}

#[async_trait]
impl SaveTenant for Table {
    async fn save_tenant(&self, tenant: &Tenant, entry: &Entry) -> Result<EditOutcome, StoreError> {
        let project = tenant.default_project.as_ref().map(|project| text(project.as_str()));
        let default_project = match project {
            Some(_) => ", default_project = :default_project",
            None => " REMOVE default_project",
        };
        // Of two display names that are given at the same moment, the last one stands.
        let mut update = self
            .transact_update(key_attributes(keys::tenant(&tenant.id)))
            .update_expression(format!(
                "SET tenant = :tenant, display_name = :display_name, require_second_factor = :required, \
                 created_at = if_not_exists(created_at, :created_at), \
                 created_by = if_not_exists(created_by, :created_by){default_project}"
            ))
            .condition_expression("attribute_not_exists(deleted_at)")
            .expression_attribute_values(":tenant", text(tenant.id.as_str()))
            .expression_attribute_values(":display_name", text(&tenant.display_name))
            .expression_attribute_values(":required", AttributeValue::Bool(tenant.require_second_factor))
            .expression_attribute_values(":created_at", text(tenant.created_at.to_string()))
            .expression_attribute_values(":created_by", text(&tenant.created_by));
        if let Some(project) = project {
            update = update.expression_attribute_values(":default_project", project);
        }
        let mut transaction = Transaction::default();
        transaction.update(update)?;
        self.mark_flush_pending(&mut transaction, entry.at)?;
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }

    async fn delete_tenant(&self, id: &TenantId, entry: &Entry) -> Result<EditOutcome, StoreError> {
        let delete = self
            .transact_update(key_attributes(keys::tenant(id)))
            .update_expression("SET deleted_at = :at")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(deleted_at)")
            .expression_attribute_values(":at", text(entry.at.to_string()));
        let mut transaction = Transaction::default();
        transaction.update(delete)?;
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }

    async fn has_projects(&self, id: &TenantId) -> Result<bool, StoreError> {
        self.is_any_in_list(keys::PROJECTS, &keys::of_tenant(id)).await
    }
}

impl Table {
    /// The tenant of the first project in the list of all, or of the last.
    async fn tenant_at_the_end_of_projects(&self, forward: bool) -> Result<Option<TenantId>, StoreError> {
        let call = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(INDEX)
            .key_condition_expression("gsi1pk = :list")
            .expression_attribute_values(":list", text(keys::PROJECTS))
            .scan_index_forward(forward)
            .limit(1);
        let items = call.send().await.map_err(unavailable)?.items.unwrap_or_default();
        let owned = items.into_iter().next().map(decompose::<Owned>).transpose()?;
        Ok(owned.map(|owned| owned.tenant))
    }
}
