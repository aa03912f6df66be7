//! The verbs of CI systems, as Concourse does them.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use gatehouse_domain::{
    ci::{
        Build, BuildId, CancelMode, Capabilities, CheckReport, Checkpoint, CiError, CiProvider,
        DiscoveredJob, EventStream, PinVersions, Pinned, Position, ResourceVersion, StartRequest, Taken,
        Target, TargetUse, VersionFields,
    },
    clock::Clock,
    providers::Provider,
};

use super::{check, client::Client, discover, pins, runs, stream, version::FORCES_ABORTS};
use crate::dependencies::Dependencies;

/// A Concourse, under the account that Gatehouse has there.
pub struct ConcourseProvider {
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
}

impl ConcourseProvider {
    /// The Concourse that was registered as `provider`. Nothing is sent yet; settings that cannot work are
    /// reported by every call.
    pub fn new(provider: &Provider, dependencies: Dependencies) -> Self {
        let clock = dependencies.system.clone();
        Self { client: Arc::new(Client::new(provider, dependencies)), clock }
    }
}

#[async_trait]
impl CiProvider for ConcourseProvider {
    fn capabilities(&self) -> Capabilities {
        let version = self.client.version();
        Capabilities {
            // As instance variables, which choose the pipeline.
            parameters: true,
            live_logs: true,
            rerun: true,
            // Known once Concourse has answered anything; until then nobody should count on it.
            force_cancel: version.is_some_and(|version| version.is_at_least(FORCES_ABORTS)),
            discover: true,
        }
    }

    async fn checkpoint(&self, target: &Target) -> Result<Checkpoint, CiError> {
        runs::checkpoint(&self.client, target).await
    }

    async fn start(&self, request: &StartRequest<'_>) -> Result<Build, CiError> {
        runs::start(&self.client, request).await
    }

    async fn started_since(&self, request: &StartRequest<'_>) -> Result<Vec<Build>, CiError> {
        runs::started_since(&self.client, request).await
    }

    async fn build(&self, target: &Target, build: &BuildId) -> Result<Build, CiError> {
        runs::build(&self.client, target, build).await
    }

    fn events(self: Arc<Self>, target: Target, build: BuildId, after: Option<Position>) -> EventStream {
        stream::events(self.client.clone(), self.clock.clone(), target, build, after.as_ref())
    }

    async fn cancel(&self, target: &Target, build: &BuildId, mode: CancelMode) -> Result<(), CiError> {
        runs::cancel(&self.client, target, build, mode).await
    }

    fn pins(&self) -> Option<&dyn PinVersions> {
        Some(self)
    }

    async fn discover(&self, teams: &BTreeSet<String>) -> Result<Vec<DiscoveredJob>, CiError> {
        discover::discover(&self.client, teams).await
    }

    async fn check(&self, uses: &[TargetUse]) -> Result<CheckReport, CiError> {
        Ok(check::check(&self.client, uses).await)
    }
}

#[async_trait]
impl PinVersions for ConcourseProvider {
    async fn inputs_of(&self, target: &Target, resource: &str) -> Result<BTreeSet<String>, CiError> {
        pins::inputs_of(&self.client, target, resource).await
    }

    async fn find_version(
        &self,
        target: &Target,
        resource: &str,
        fields: &VersionFields,
    ) -> Result<Option<ResourceVersion>, CiError> {
        pins::find_version(&self.client, target, resource, fields).await
    }

    async fn look_for(&self, target: &Target, resource: &str, fields: &VersionFields) -> Result<(), CiError> {
        pins::look_for(&self.client, target, resource, fields).await
    }

    async fn pinned(&self, target: &Target, resource: &str) -> Result<Pinned, CiError> {
        pins::pinned(&self.client, target, resource).await
    }

    async fn pin(&self, target: &Target, resource: &str, version: &ResourceVersion) -> Result<(), CiError> {
        pins::pin(&self.client, target, resource, version).await
    }

    async fn comment(&self, target: &Target, resource: &str, comment: &str) -> Result<(), CiError> {
        pins::comment(&self.client, target, resource, comment).await
    }

    async fn unpin(&self, target: &Target, resource: &str) -> Result<(), CiError> {
        pins::unpin(&self.client, target, resource).await
    }

    async fn taken(&self, target: &Target, build: &BuildId) -> Result<Taken, CiError> {
        pins::taken(&self.client, target, build).await
    }
}
