//! Concourse CI, 6.5 and later. `README.md` beside this file says what it is like to talk to.

mod auth;
mod check;
mod client;
mod discover;
mod error;
mod events;
mod path;
mod plan;
mod roles;
mod runs;
mod status;
mod stream;
mod transport;
mod version;
mod wire;

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use gatehouse_domain::{
    ci::{
        Build, BuildId, CancelMode, Capabilities, CheckReport, Checkpoint, CiError, CiProvider,
        DiscoveredJob, EventStream, Position, StartRequest, Target,
    },
    clock::{Clock, IdSource},
    lease::Leases,
    providers::Provider,
    secret::{ReadSecret, WriteSecret},
};
use gatehouse_outbound::OutboundHttp;

use self::{client::Client, version::FORCES_ABORTS};

/// What talking to a Concourse needs.
#[derive(Clone)]
pub struct ConcoursePorts {
    /// Reads the credentials, and the token that functions share.
    pub secrets_read: Arc<dyn ReadSecret>,
    /// Writes the shared token.
    pub secrets_write: Arc<dyn WriteSecret>,
    /// Lets one function at a time log in.
    pub leases: Arc<dyn Leases>,
    /// Tells the time, and waits.
    pub clock: Arc<dyn Clock>,
    /// Tells holders of leases apart.
    pub ids: Arc<dyn IdSource>,
}

/// A Concourse, under the account that Gatehouse has there.
pub struct ConcourseProvider {
    client: Client,
    clock: Arc<dyn Clock>,
}

impl ConcourseProvider {
    /// The Concourse that was registered as `provider`. Nothing is sent yet; settings that cannot work are
    /// reported by every call.
    pub fn new(provider: &Provider, ports: ConcoursePorts, http: OutboundHttp) -> Self {
        let clock = ports.clock.clone();
        Self { client: Client::new(provider, ports, http), clock }
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
        stream::events(self, target, build, after.as_ref())
    }

    async fn cancel(&self, target: &Target, build: &BuildId, mode: CancelMode) -> Result<(), CiError> {
        runs::cancel(&self.client, target, build, mode).await
    }

    async fn discover(&self, teams: &BTreeSet<String>) -> Result<Vec<DiscoveredJob>, CiError> {
        discover::discover(&self.client, teams).await
    }

    async fn check(&self, targets: &[Target]) -> Result<CheckReport, CiError> {
        Ok(check::check(&self.client, targets).await)
    }
}
