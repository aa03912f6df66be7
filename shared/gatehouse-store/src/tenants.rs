//! Tenants.

use async_trait::async_trait;
use gatehouse_domain::{
    audit::Entry,
    name::TenantId,
    revision::EditOutcome,
    store::StoreError,
    tenant::{ListTenants, SaveTenant, Tenant},
};

use crate::{
    Table,
    item::{decompose, key_attributes, text},
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

#[async_trait]
impl SaveTenant for Table {
    async fn save_tenant(&self, tenant: &Tenant, entry: &Entry) -> Result<EditOutcome, StoreError> {
        // Of two display names that are given at the same moment, the last one stands.
        let update = self
            .transact_update(key_attributes(keys::tenant(&tenant.id)))
            .update_expression(
                "SET tenant = :tenant, display_name = :display_name, \
                 created_at = if_not_exists(created_at, :created_at), \
                 created_by = if_not_exists(created_by, :created_by)",
            )
            .condition_expression("attribute_not_exists(deleted_at)")
            .expression_attribute_values(":tenant", text(tenant.id.as_str()))
            .expression_attribute_values(":display_name", text(&tenant.display_name))
            .expression_attribute_values(":created_at", text(tenant.created_at.to_string()))
            .expression_attribute_values(":created_by", text(&tenant.created_by));
        let mut transaction = Transaction::default();
        transaction.update(update)?;
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
