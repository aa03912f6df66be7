//! Who may pin in a pipeline, and what is to be unpinned there.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ci::{BuildId, Pinned, ResourceVersion, Target},
    name::ProviderName,
    runs::id::RunId,
    store::StoreError,
};

/// What is pinned in a pipeline for a run, or is about to be; as it is stored too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinLease {
    /// The pipeline, so that there is one lease for each: see [`PinLease::scope_of`].
    pub scope: String,
    pub provider: ProviderName,
    pub target: Target,
    /// What is pinned, by resource.
    pub versions: BTreeMap<String, ResourceVersion>,
    /// The request for the run.
    pub request: String,
    /// The build that is to take the versions, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildId>,
    /// The run that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Whether it is held by whoever settles it, and not by the request's own invocation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settling: bool,
    pub created_at: Timestamp,
    /// Until when nobody else may settle it. It is the version that changes are conditional on: each one sets another.
    pub held_until: Timestamp,
}

impl PinLease {
    /// The pipeline that `target` is in; `None` where nothing can be pinned.
    pub fn scope_of(provider: &ProviderName, target: &Target) -> Option<String> {
        target.pin_scope().map(|scope| format!("{provider}/{scope}"))
    }

    /// What is written beside the pins.
    pub fn comment(&self) -> String {
        format!("Gatehouse unpins this when the build of its request {} has its inputs", self.request)
    }

    /// Whether a resource is pinned by this lease. Pinning takes two calls, of which the second one writes the comment:
    /// a pin without any that has our version is taken for ours, or it would stay if the second call did not come. So it
    /// says nothing before anything was pinned by the lease.
    pub fn owns(&self, resource: &str, pinned: &Pinned) -> bool {
        let Pinned::To { fields, comment } = pinned else { return false };
        let ours = self.versions.get(resource).is_some_and(|version| version.fields == *fields);
        ours && (comment.is_empty() || *comment == self.comment())
    }
}

/// Keeps the leases of pipelines. Needs `dynamodb:GetItem`, `PutItem`, `DeleteItem` and `Query`.
#[async_trait]
pub trait PinLeases: Send + Sync {
    /// Writes a lease; `false` when its pipeline has one.
    async fn begin_pins(&self, lease: &PinLease) -> Result<bool, StoreError>;

    /// The lease of a pipeline, strongly consistent.
    async fn find_pins(&self, scope: &str) -> Result<Option<PinLease>, StoreError>;

    /// Replaces `lease` by `changed`; `false` when it is not as `lease` says any more.
    async fn change_pins(&self, lease: &PinLease, changed: &PinLease) -> Result<bool, StoreError>;

    /// Forgets a lease, unless it is not as `lease` says any more.
    async fn end_pins(&self, lease: &PinLease) -> Result<(), StoreError>;

    /// Every lease: there are as many as pipelines in which a run begins just now.
    async fn open_pins(&self) -> Result<Vec<PinLease>, StoreError>;
}
