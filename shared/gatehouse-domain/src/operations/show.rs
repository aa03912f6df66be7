//! Showing operations: one, those of a service, and how its environments stand.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{FindOperation, Operation};
use crate::{
    caller::Caller,
    catalog::{EnvironmentState, FindService, Infrastructure, Registered, Service, ShowServiceError},
    id::{OperationId, ServiceId},
    name::EnvironmentName,
    paging::{ListError, Page, PageRequest},
    store::StoreError,
};

/// Lists the operations of a service. Needs `dynamodb:Query`.
#[async_trait]
pub trait ListOperations: Send + Sync {
    /// A page of the service's operations, the newest first; may miss changes of the last second.
    async fn list_operations(
        &self,
        service: &ServiceId,
        page: &PageRequest,
    ) -> Result<Page<Operation>, ListError>;
}

/// Why an operation cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowOperationError {
    /// There is none of this service, or it belongs to a tenant that the caller is not in.
    #[error("there is no such operation")]
    NotFound,
    #[error("could not read the operation")]
    Store(#[from] StoreError),
}

/// Shows one operation of a service. It outlives the service, which is therefore not read: the operation has its
/// tenant itself.
///
/// # Errors
///
/// When the caller may not know of it, or the store failed.
pub async fn show<S>(
    store: &S,
    caller: &Caller,
    service: &ServiceId,
    id: &OperationId,
) -> Result<Operation, ShowOperationError>
where
    S: FindOperation,
{
    let found = store.find_operation(id).await?;
    let seen = found.filter(|operation| operation.service == *service && caller.sees(&operation.tenant));
    seen.ok_or(ShowOperationError::NotFound)
}

/// Lists the operations of a service, the newest first. A page may be short, or empty, and still have a next one.
///
/// # Errors
///
/// When the caller may not know of the service, the cursor is of another list, or the store failed.
pub async fn history<S>(
    store: &S,
    caller: &Caller,
    service: &ServiceId,
    page: &PageRequest,
) -> Result<Page<Operation>, HistoryError>
where
    S: FindService + ListOperations,
{
    let service = crate::catalog::show(store, caller, service).await?.service;
    let mut page = store.list_operations(&service.id, page).await?;
    // An Idempotency-Key makes a service's id, so that it can be given again, to a service of another tenant.
    page.items.retain(|operation| operation.tenant == service.tenant);
    Ok(page)
}

/// Why the operations of a service cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The service cannot be shown either.
    #[error(transparent)]
    Service(#[from] ShowServiceError),
    #[error(transparent)]
    List(#[from] ListError),
}

/// How an environment stands, with the operations that matter now.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvironmentStatus {
    pub state: EnvironmentState,
    /// The operation that is open in it.
    pub running: Option<Operation>,
    /// The last one that provisioned, deprovisioned or looked for drift.
    pub last_provisioning: Option<Operation>,
    pub last_deploy: Option<Operation>,
    /// When it is looked at for drift next without anybody asking, where it is provisioned and has a schedule. One that
    /// has passed is made up for as soon as no operation is open.
    pub next_drift_check: Option<Timestamp>,
}

/// How a service stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceStatus {
    pub service: Service,
    /// Its environments, in the order in which it names them.
    pub environments: Vec<EnvironmentStatus>,
}

/// Shows how a service's environments stand: one query, and one call for the operations.
///
/// # Errors
///
/// When the caller may not know of the service, or the store failed.
pub async fn status<S>(
    store: &S,
    caller: &Caller,
    service: &ServiceId,
) -> Result<ServiceStatus, ShowServiceError>
where
    S: FindService + FindOperation,
{
    let Registered { service, mut environments, drift_due } =
        crate::catalog::show(store, caller, service).await?;
    let new = |name: &EnvironmentName| EnvironmentState::new(service.id.clone(), name.clone());
    let states: Vec<_> = service
        .spec
        .environments
        .iter()
        .map(|spec| environments.remove(&spec.name).unwrap_or_else(|| new(&spec.name)))
        .collect();
    let mut ids: Vec<_> = states
        .iter()
        .flat_map(|state| [&state.running, &state.last_provisioning, &state.last_deploy])
        .flatten()
        .cloned()
        .collect();
    ids.sort();
    ids.dedup();
    let mut found = if ids.is_empty() { Vec::new() } else { store.find_operations(&ids).await? };
    found.retain(|operation| operation.tenant == service.tenant);
    let find = |id: &Option<OperationId>| {
        id.as_ref().and_then(|id| found.iter().find(|operation| operation.id == *id).cloned())
    };
    let environments = states
        .into_iter()
        .map(|state| EnvironmentStatus {
            running: find(&state.running),
            last_provisioning: find(&state.last_provisioning),
            last_deploy: find(&state.last_deploy),
            next_drift_check: drift_due
                .get(&state.name)
                .filter(|_| matches!(state.infrastructure, Infrastructure::Present(_)))
                .copied(),
            state,
        })
        .collect();
    Ok(ServiceStatus { service, environments })
}
