//! A service of the catalog, and showing it.

use std::{collections::BTreeMap, fmt, str::FromStr};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EnvironmentSpec, EnvironmentState, ServiceSpec};
use crate::{
    caller::Caller,
    clock::{IdSource, random_id},
    idempotency::{Fingerprint, RequestKey},
    jobs::Revision,
    name::{EnvironmentName, InvalidName, ServiceName, TenantId},
    store::StoreError,
};

/// Id of a service: `svc_` and letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceId(String);

impl ServiceId {
    const PREFIX: &str = "svc_";

    /// An id that no other service has.
    pub fn new(ids: &dyn IdSource) -> Self {
        Self(random_id(ids, "svc"))
    }

    /// The id of the service that was created under an idempotency key.
    pub fn of_key(key: &RequestKey) -> Self {
        Self(format!("{}{}", Self::PREFIX, &key.as_str()[..32]))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServiceId {
    type Err = InvalidName;

    fn from_str(raw: &str) -> Result<Self, InvalidName> {
        let rest = raw.strip_prefix(Self::PREFIX).unwrap_or_default();
        let valid = (1..=32).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let refusal = InvalidName { what: "a service's id", max: 36, allowed: "svc_ and a-z and 0-9" };
        if valid { Ok(Self(raw.to_owned())) } else { Err(refusal) }
    }
}

impl TryFrom<String> for ServiceId {
    type Error = InvalidName;

    fn try_from(raw: String) -> Result<Self, InvalidName> {
        raw.parse()
    }
}

impl From<ServiceId> for String {
    fn from(id: ServiceId) -> Self {
        id.0
    }
}

/// A service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Unique in the installation.
    pub id: ServiceId,
    /// The tenant that owns it; it stays with it.
    pub tenant: TenantId,
    /// Unique in the tenant; it keeps it.
    pub name: ServiceName,
    /// What people decide about it.
    pub spec: ServiceSpec,
    /// What its creation asked for, so that a repetition is recognised.
    pub fingerprint: Fingerprint,
    /// Changes with every edit.
    pub revision: Revision,
    /// When it was created.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it was last edited.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: String,
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
    /// The service.
    pub service: Service,
    /// How its environments stand.
    pub environments: BTreeMap<EnvironmentName, EnvironmentState>,
}

/// Looks services up. Needs `dynamodb:Query`.
#[async_trait]
pub trait FindService: Send + Sync {
    /// The service and its environments' states in one call, strongly consistent; `None` when there is no
    /// such service.
    async fn find_service(&self, id: &ServiceId) -> Result<Option<Registered>, StoreError>;
}

/// Why a service cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowServiceError {
    /// There is none, or it belongs to a tenant that the caller is not in.
    #[error("there is no such service")]
    NotFound,
    /// The store failed.
    #[error("could not read the service")]
    Store(#[from] StoreError),
}

/// Shows one service.
pub async fn show(
    services: &dyn FindService,
    caller: &Caller,
    id: &ServiceId,
) -> Result<Registered, ShowServiceError> {
    let found = services.find_service(id).await?;
    found.filter(|found| caller.sees(&found.service.tenant)).ok_or(ShowServiceError::NotFound)
}
