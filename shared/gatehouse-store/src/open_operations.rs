//! What the janitor works through: operations that are open or have a signal pending, and environments whose time
//! to live is over.

use async_trait::async_trait;
use gatehouse_domain::{
    catalog::EnvironmentState,
    id::ServiceId,
    name::EnvironmentName,
    operations::{FindOperation, Operation, reconcile::ListOpenOperations},
    paging::{ListError, Page, PageRequest},
};
use jiff::Timestamp;

use crate::{Table, item::decompose, keys, lists::Section, operations::StoredPointer};

#[async_trait]
impl ListOpenOperations for Table {
    async fn open_operations(&self, page: &PageRequest) -> Result<Page<Operation>, ListError> {
        let read = |item| decompose::<StoredPointer>(item).map(|pointer| pointer.operation_id);
        let Page { items: ids, next } = self.list_partition(keys::OPEN_OPERATIONS, page, read).await?;
        Ok(Page { items: self.find_operations(&ids).await?, next })
    }

    async fn ended_environments(
        &self,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<(ServiceId, EnvironmentName)>, ListError> {
        let section = Section::until(keys::ENVIRONMENTS_ENDING, &keys::sortable(now), page)?;
        let read = |item| decompose::<EnvironmentState>(item).map(|state| (state.service, state.name));
        self.list_section(Some(section), page.limit, |call| call, read).await
    }
}
