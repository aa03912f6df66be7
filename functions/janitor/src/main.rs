//! The `janitor` Lambda: wiring and nothing else.

use std::sync::Arc;

use gatehouse_domain::revocation::FlushStage;
use gatehouse_outbound::OutboundHttp;
use gatehouse_runtime::{
    env::{self, JanitorConfig},
    event_bridge::EventBus,
    tracing,
    wiring::Wiring,
};
use janitor::Janitor;
use lambda_runtime::{Error, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let config = JanitorConfig::from_env()?;
    let wiring = Wiring::from_env().await?;
    let executions = wiring.executions();
    let http = OutboundHttp::new().allow_loopback_if(env::allows_loopback_providers());
    let (table, secrets, system) = (wiring.table.clone(), wiring.secrets()?, wiring.system.clone());
    let providers = gatehouse_providers::directory(table, secrets, system, http);
    let janitor = Janitor {
        start: executions.clone(),
        answer: wiring.answers(),
        oversee: executions,
        publish: Arc::new(EventBus::new(&wiring.aws, config.event_bus)?),
        flush: wiring.api_gateway()?.of(config.stage),
        providers: Arc::new(providers),
        table: wiring.table,
        system: wiring.system,
        unused_days: config.unused_days,
    };
    lambda_runtime::run(service_fn(|event| janitor.handle(event))).await
}
