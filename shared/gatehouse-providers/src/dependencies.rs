//! What adapters to CI systems work with.

use std::sync::Arc;

use gatehouse_domain::{
    clock::System,
    lease::Leases,
    secret::{ReadSecret, WriteSecret},
};
use gatehouse_outbound::OutboundHttp;

/// What adapters to CI systems work with, the same for every provider and kind.
#[derive(Clone)]
pub struct Dependencies {
    /// Reads credentials, and the tokens that functions share.
    pub read_secrets: Arc<dyn ReadSecret>,
    /// Writes the tokens that functions share.
    pub write_secrets: Arc<dyn WriteSecret>,
    /// Lets one function at a time log in.
    pub leases: Arc<dyn Leases>,
    /// Tells the time, waits, and names the holders of leases.
    pub system: Arc<dyn System>,
    /// Makes the clients that call CI systems.
    pub http: OutboundHttp,
}
