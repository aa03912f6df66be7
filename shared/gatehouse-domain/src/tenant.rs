//! Tenants: who owns projects.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    access::LIST_TENANTS,
    audit::{Action, AuditContext, AuditTarget, Entry, Outcome},
    caller::{Caller, Tenants},
    clock::System,
    name::TenantId,
    revision::EditOutcome,
    store::StoreError,
    validation::FieldError,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Unique in the installation.
    #[serde(rename = "tenant")]
    pub id: TenantId,
    /// A name for people.
    pub display_name: String,
    /// When it was created.
    pub created_at: Timestamp,
    pub created_by: String,
}

/// Lists tenants. Needs `dynamodb:Query`.
#[async_trait]
pub trait ListTenants: Send + Sync {
    /// Every tenant, by name: an installation has some dozens.
    async fn list_tenants(&self) -> Result<Vec<Tenant>, StoreError>;
}

/// Writes tenants. Needs `dynamodb:PutItem` and `DeleteItem`.
#[async_trait]
pub trait SaveTenant: Send + Sync {
    /// Writes the tenant, whether there is one or not; when it was created stays. `Conflict` when one of this name was
    /// deleted.
    async fn save_tenant(&self, tenant: &Tenant, entry: &Entry) -> Result<EditOutcome, StoreError>;

    /// Deletes the tenant, whose name stays taken; `Conflict` when there is none.
    async fn delete_tenant(&self, id: &TenantId, entry: &Entry) -> Result<EditOutcome, StoreError>;

    /// Whether the tenant has a project. Needs `dynamodb:Query`.
    async fn has_projects(&self, id: &TenantId) -> Result<bool, StoreError>;
}

/// Lists the tenants that the caller is in.
pub async fn list<S: ListTenants>(store: &S, caller: &Caller) -> Result<Vec<Tenant>, StoreError> {
    let own = caller.tenants_for(&LIST_TENANTS);
    let mut all = store.list_tenants().await?;
    if own != Tenants::All {
        all.retain(|tenant| own.include(&tenant.id));
    }
    Ok(all)
}

/// Why a tenant cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditTenantError {
    #[error("the tenant is not valid")]
    Invalid(Vec<FieldError>),
    #[error("there is no such tenant")]
    NotFound,
    /// A tenant of this name was deleted.
    #[error("a tenant of this name was deleted, and its name is not given again")]
    NameSpent,
    /// It still has projects.
    #[error("the tenant still has projects; delete them first")]
    InUse,
    #[error("could not change the tenant")]
    Store(#[from] StoreError),
}

/// Creates a tenant, or gives it another name. The name of one that was deleted is not given again: people's roles,
/// keys, runs and the trail of the one before are under it.
pub async fn put<S: SaveTenant>(
    store: &S,
    system: &dyn System,
    audit: &AuditContext<'_>,
    id: TenantId,
    display_name: String,
) -> Result<Tenant, EditTenantError> {
    if display_name.trim().is_empty() || display_name.len() > 200 {
        let error = FieldError::new("/display_name", "must be 1 to 200 bytes of text");
        return Err(EditTenantError::Invalid(vec![error]));
    }
    let audit_target = audit_target(&id);
    let entry = audit.entry(system, Action::PutTenant, Outcome::Done, audit_target);
    let tenant = Tenant { id, display_name, created_at: entry.at, created_by: audit.caller.actor() };
    match store.save_tenant(&tenant, &entry).await? {
        EditOutcome::Done => Ok(tenant),
        EditOutcome::Conflict => Err(EditTenantError::NameSpent),
    }
}

/// Deletes a tenant that has no projects.
pub async fn delete<S: SaveTenant>(
    store: &S,
    system: &dyn System,
    audit: &AuditContext<'_>,
    id: &TenantId,
) -> Result<(), EditTenantError> {
    if store.has_projects(id).await? {
        return Err(EditTenantError::InUse);
    }
    let entry = audit.entry(system, Action::DeleteTenant, Outcome::Done, audit_target(id));
    match store.delete_tenant(id, &entry).await? {
        EditOutcome::Done => Ok(()),
        EditOutcome::Conflict => Err(EditTenantError::NotFound),
    }
}

fn audit_target(id: &TenantId) -> AuditTarget {
    AuditTarget { target: format!("tenant:{id}"), tenant: Some(id.clone()), detail: None }
}
