//! A service of the catalog, and showing it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    audit::AuditTarget,
    caller::Caller,
    catalog::{EnvironmentSpec, EnvironmentState, ServiceSpec},
    entities::EntityRef,
    id::ServiceId,
    idempotency::Fingerprint,
    name::{EnvironmentName, ServiceName, TenantId},
    revision::Revision,
    store::StoreError,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Unique in the installation.
    #[serde(rename = "service_id")]
    pub id: ServiceId,
    /// The tenant that owns it; it stays with it.
    pub tenant: TenantId,
    /// Unique in the tenant; it keeps it.
    pub name: ServiceName,
    /// What people decide about it.
    #[serde(flatten)]
    pub spec: ServiceSpec,
    /// Where its owner, life and links are from, when they are from a catalog file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub described: Option<Described>,
    /// What its creation asked for, so that a repetition is recognised.
    pub fingerprint: Fingerprint,
    /// Changes with every edit.
    pub revision: Revision,
    /// When it was created.
    pub created_at: Timestamp,
    pub created_by: String,
    /// When it was last edited.
    pub updated_at: Timestamp,
    pub updated_by: String,
}

/// Where a service has its owner, life, links and tags from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// The component.
    pub by: EntityRef,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl Service {
    /// What was decided about one of its environments.
    pub fn environment(&self, name: &EnvironmentName) -> Option<&EnvironmentSpec> {
        self.spec.environments.iter().find(|environment| environment.name == *name)
    }
}

/// A service and how its environments stand. One that nothing was ever done in has no state.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    pub service: Service,
    /// How its environments stand.
    pub environments: BTreeMap<EnvironmentName, EnvironmentState>,
    /// When those are due to be looked at for drift that are by a schedule, whether something is provisioned or not.
    pub drift_due: BTreeMap<EnvironmentName, Timestamp>,
}

/// Looks services up. Needs `dynamodb:Query`.
#[async_trait]
pub trait FindService: Send + Sync {
    /// The service, its environments' states and their schedules in one call, strongly consistent; `None` when there is no
    /// such service.
    async fn find_service(&self, id: &ServiceId) -> Result<Option<Registered>, StoreError>;
}

/// Why a service cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowServiceError {
    /// There is none, or it belongs to a tenant that the caller is not in.
    #[error("there is no such service")]
    NotFound,
    #[error("could not read the service")]
    Store(#[from] StoreError),
}

/// Shows one service.
///
/// # Errors
///
/// When the caller may not know of it, or the store failed.
pub async fn show<S>(store: &S, caller: &Caller, id: &ServiceId) -> Result<Registered, ShowServiceError>
where
    S: FindService,
{
    let found = store.find_service(id).await?;
    found.filter(|found| caller.sees(&found.service.tenant)).ok_or(ShowServiceError::NotFound)
}

/// A service, for the trail.
pub(super) fn audit_target(name: &ServiceName, tenant: &TenantId) -> AuditTarget {
    AuditTarget { target: format!("service:{tenant}/{name}"), tenant: Some(tenant.clone()), detail: None }
}
