//! Projects: what a tenant owns, and what jobs belong to.

use async_trait::async_trait;

use crate::{
    name::{ProjectName, TenantId},
    store::StoreError,
};

/// A project of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Unique in the installation.
    pub name: ProjectName,
    /// The tenant that owns it; every authorisation resolves to this.
    pub tenant: TenantId,
}

/// Looks projects up. Needs `dynamodb:GetItem`.
#[async_trait]
pub trait FindProject: Send + Sync {
    /// Returns `None` when no such project exists. Strongly consistent.
    async fn find_project(&self, name: &ProjectName) -> Result<Option<Project>, StoreError>;
}
