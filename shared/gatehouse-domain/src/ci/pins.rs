//! Runs that take a version of a resource, which is pinned for them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    ci::{build::BuildId, error::CiError, targets::Target},
    name::ParameterName,
};

/// What tells a version of a resource from others, such as its `ref`.
pub type VersionFields = BTreeMap<String, String>;

/// A version of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceVersion {
    /// The CI system's id of it.
    pub id: String,
    /// All that the CI system tells it by.
    pub fields: VersionFields,
}

/// A version that a run is asked to take, as callers know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AskedVersion {
    /// Some of its fields.
    pub fields: VersionFields,
    /// The parameters that said so.
    pub parameters: BTreeSet<ParameterName>,
}

/// A version that a run is to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedVersion {
    pub resource: String,
    pub version: ResourceVersion,
    /// Under which names the job takes the resource.
    pub inputs: BTreeSet<String>,
    /// The parameters that are delivered by it.
    pub parameters: BTreeSet<ParameterName>,
}

impl WantedVersion {
    /// Whether a build that took `versions`, by input, took this one.
    pub fn is_among(&self, versions: &BTreeMap<String, VersionFields>) -> bool {
        self.inputs.iter().all(|input| versions.get(input) == Some(&self.version.fields))
    }
}

/// What a build took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It waits, and may take other versions than those of now.
    NotYet,
    /// These versions, by input.
    Versions(BTreeMap<String, VersionFields>),
    /// It ended before it took any, or is gone.
    Nothing,
}

/// What a resource is pinned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pinned {
    Nothing,
    /// To a version, in the pipeline's own configuration.
    InConfiguration,
    /// To a version, by somebody or by us.
    To {
        fields: VersionFields,
        /// What stands beside it.
        comment: String,
    },
}

/// A CI system whose jobs take the pinned version of a resource where one is pinned.
///
/// Pins have no owner and no condition: who pins replaces what was pinned, and who unpins takes away whatever is.
#[async_trait]
pub trait PinVersions: Send + Sync {
    /// Under which names the job that `target` is takes the resource; none where it does not.
    async fn inputs_of(&self, target: &Target, resource: &str) -> Result<BTreeSet<String>, CiError>;

    /// The version that has these fields, where the CI system knows it.
    async fn find_version(
        &self,
        target: &Target,
        resource: &str,
        fields: &VersionFields,
    ) -> Result<Option<ResourceVersion>, CiError>;

    /// Asks the CI system to look for versions from this one on. Returns before it has.
    async fn look_for(&self, target: &Target, resource: &str, fields: &VersionFields) -> Result<(), CiError>;

    /// What the resource is pinned to.
    async fn pinned(&self, target: &Target, resource: &str) -> Result<Pinned, CiError>;

    /// Pins the resource to a version.
    async fn pin(&self, target: &Target, resource: &str, version: &ResourceVersion) -> Result<(), CiError>;

    /// Writes a comment beside whatever the resource is pinned to.
    async fn comment(&self, target: &Target, resource: &str, comment: &str) -> Result<(), CiError>;

    /// Unpins the resource, from whatever it is pinned to.
    async fn unpin(&self, target: &Target, resource: &str) -> Result<(), CiError>;

    /// What a build took.
    async fn taken(&self, target: &Target, build: &BuildId) -> Result<Taken, CiError>;
}
