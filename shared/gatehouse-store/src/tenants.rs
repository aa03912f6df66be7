//! Tenants.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use gatehouse_domain::{
    audit::Entry,
    name::{ProjectName, TenantId},
    project::{FindDefaultProject, FindTenant, TenantStanding},
    revision::EditOutcome,
    store::StoreError,
    tenant::{CountTenants, ListTenants, Population, SaveTenant, Tenant, Unsaid},
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
    async fn standing(&self, id: &TenantId) -> Result<TenantStanding, StoreError> {
        Ok(match self.find(keys::tenant(id)).await? {
            None => TenantStanding::Uncreated,
            Some(item) if item.contains_key(DELETED_AT) => TenantStanding::Deleted,
            Some(_) => TenantStanding::Created,
        })
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
    async fn edit_tenant(
        &self,
        tenant: &Tenant,
        unsaid: Unsaid,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        // Of two edits of the same moment, the last one stands in what both say.
        let mut expression = "SET tenant = :tenant, display_name = :display_name, \
                              created_at = if_not_exists(created_at, :created_at), \
                              created_by = if_not_exists(created_by, :created_by)"
            .to_owned();
        let mut update = self
            .transact_update(key_attributes(keys::tenant(&tenant.id)))
            .condition_expression("attribute_not_exists(deleted_at)")
            .expression_attribute_values(":tenant", text(tenant.id.as_str()))
            .expression_attribute_values(":display_name", text(&tenant.display_name))
            .expression_attribute_values(":created_at", text(tenant.created_at.to_string()))
            .expression_attribute_values(":created_by", text(&tenant.created_by));
        if !unsaid.require_second_factor {
            expression.push_str(", require_second_factor = :required");
            let required = AttributeValue::Bool(tenant.require_second_factor);
            update = update.expression_attribute_values(":required", required);
        }
        match &tenant.default_project {
            _ if unsaid.default_project => {}
            Some(project) => {
                expression.push_str(", default_project = :default_project");
                update = update.expression_attribute_values(":default_project", text(project.as_str()));
            }
            // It is another clause of the expression, so nothing is added behind it.
            None => expression.push_str(" REMOVE default_project"),
        }
        let mut transaction = Transaction::default();
        transaction.update(update.update_expression(expression))?;
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
