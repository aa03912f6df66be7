//! Listing entities.

use async_trait::async_trait;

use super::{Entity, EntityKind, EntityRef};
use crate::{
    access::LIST_ENTITIES,
    caller::{Caller, Tenants},
    name::{TenantId, UserName},
    paging::{ListError, Page, PageRequest},
};

/// What a caller asks of the list: entities that are all of this.
#[derive(Debug, Clone, Default)]
pub struct EntityQuery {
    pub tenant: Option<TenantId>,
    pub kind: Option<EntityKind>,
    pub owner: Option<EntityRef>,
    pub system: Option<EntityRef>,
    pub tag: Option<String>,
    pub lifecycle: Option<String>,
    /// Groups that this user is in.
    pub member: Option<UserName>,
}

/// Which entities are wanted: those of these tenants that are as asked for.
#[derive(Debug, Clone)]
pub struct EntityFilter {
    pub tenants: Tenants,
    /// Its tenant is not looked at.
    pub query: EntityQuery,
}

/// Lists entities. Needs `dynamodb:Query`.
#[async_trait]
pub trait ListEntities: Send + Sync {
    /// A page of entities, by tenant, kind, namespace and name: one query for each tenant that it has something of. What
    /// is left out is read over until the page is full or ten queries were made, each of at most 250 entities or 1 MB; then
    /// a page may be short, or empty, and still have a next one. May miss edits of the last second.
    async fn list_entities(
        &self,
        filter: &EntityFilter,
        page: &PageRequest,
    ) -> Result<Page<Entity>, ListError>;
}

/// Lists the entities that the caller may see. A tenant that they are not in is empty, as one that does not exist.
///
/// # Errors
///
/// When the cursor is of another list, or the store failed.
pub async fn list<S>(
    store: &S,
    caller: &Caller,
    query: EntityQuery,
    page: &PageRequest,
) -> Result<Page<Entity>, ListError>
where
    S: ListEntities,
{
    let own = caller.tenants_for(&LIST_ENTITIES);
    let tenants = match &query.tenant {
        None => own,
        Some(tenant) if own.include(tenant) => Tenants::Only([tenant.clone()].into()),
        Some(_) => return Ok(Page { items: Vec::new(), next: None }),
    };
    store.list_entities(&EntityFilter { tenants, query }, page).await
}
