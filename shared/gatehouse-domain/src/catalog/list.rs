//! Listing services.

use async_trait::async_trait;

use super::{Lifecycle, Service};
use crate::{
    access::LIST_SERVICES,
    caller::{Caller, Tenants},
    name::{ServiceName, TenantId},
    paging::{ListError, Page, PageRequest},
};

/// What a caller asks of the list.
#[derive(Debug, Clone, Default)]
pub struct ServiceQuery {
    /// Only of this tenant.
    pub tenant: Option<TenantId>,
    /// Only of this name, of which each tenant has at most one.
    pub name: Option<ServiceName>,
    /// Only of this owner, exactly as written.
    pub owner: Option<String>,
    /// Only those that are so far in their life.
    pub lifecycle: Option<Lifecycle>,
    /// Only those whose name, owner or description hold this text, whatever its case.
    pub text: Option<String>,
}

/// Which services are wanted.
#[derive(Debug, Clone)]
pub struct ServiceFilter {
    /// Those of these tenants.
    pub tenants: Tenants,
    /// Those of this name.
    pub name: Option<ServiceName>,
    /// Those of this owner.
    pub owner: Option<String>,
    /// Those that are so far in their life.
    pub lifecycle: Option<Lifecycle>,
    /// Those that hold this text, which is in lower case.
    pub text: Option<String>,
}

/// Lists services. Needs `dynamodb:Query`.
#[async_trait]
pub trait ListServices: Send + Sync {
    /// A page of services, by tenant and name: one query for each tenant that it has something of. What is left out
    /// is read over until the page is full or ten queries were made, each of at most 250 services or 1 MB; then a
    /// page may be short, or empty, and still have a next one. May miss edits of the last second. Those of a name
    /// in some tenants are looked up, and not listed.
    async fn list_services(
        &self,
        filter: &ServiceFilter,
        page: &PageRequest,
    ) -> Result<Page<Service>, ListError>;
}

/// Lists the services that the caller may see. A tenant that they are not in is empty, as one that does not exist.
///
/// # Errors
///
/// When the cursor is of another list, or the store failed.
pub async fn list<S>(
    store: &S,
    caller: &Caller,
    query: ServiceQuery,
    page: &PageRequest,
) -> Result<Page<Service>, ListError>
where
    S: ListServices,
{
    let own = caller.tenants_for(&LIST_SERVICES);
    let tenants = match query.tenant {
        None => own,
        Some(tenant) if own.include(&tenant) => Tenants::Only([tenant].into()),
        Some(_) => return Ok(Page { items: Vec::new(), next: None }),
    };
    let text = query.text.map(|text| text.to_lowercase());
    let ServiceQuery { name, owner, lifecycle, .. } = query;
    let filter = ServiceFilter { tenants, name, owner, lifecycle, text };
    store.list_services(&filter, page).await
}
