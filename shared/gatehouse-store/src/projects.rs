//! Projects.

use async_trait::async_trait;
use gatehouse_domain::{
    name::{ProjectName, TenantId},
    project::{FindProject, Project},
    store::StoreError,
};
use serde::{Deserialize, Serialize};

use crate::{
    Table,
    error::unavailable,
    item::{Item, compose, decompose, key_attributes},
    keys,
};

/// A project as it is stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredProject {
    project: ProjectName,
    tenant: TenantId,
}

impl StoredProject {
    pub(crate) fn item(project: &Project) -> Result<Item, StoreError> {
        let stored = Self { project: project.name.clone(), tenant: project.tenant.clone() };
        compose(keys::project(&project.name), None, &stored)
    }

    pub(crate) fn read(item: Item) -> Result<Project, StoreError> {
        let Self { project, tenant } = decompose(item)?;
        Ok(Project { name: project, tenant })
    }
}

#[async_trait]
impl FindProject for Table {
    async fn find_project(&self, name: &ProjectName) -> Result<Option<Project>, StoreError> {
        self.find(keys::project(name)).await?.map(StoredProject::read).transpose()
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
}
