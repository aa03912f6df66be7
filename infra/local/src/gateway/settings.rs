use std::sync::Arc;

use gatehouse_domain::clock::{Clock, IdSource};

use gatehouse_loopback::OwnNames;

use super::{event::ApiIdentity, limits::Limits, visitors::KnownToEverybody};

/// What a gateway is made of, beside the template and the functions.
pub struct GatewaySettings {
    /// The names that AWS would give; the stage is taken from the template.
    pub api: ApiIdentity,
    /// Those of AWS unless a test makes them small.
    pub limits: Limits,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    /// What its visitors may call it.
    pub names: OwnNames,
    /// What opens nothing, whatever the functions would say.
    pub refused: KnownToEverybody,
}
