//! The `deployer` Lambda: wiring and nothing else.

use std::sync::Arc;

use deployer::Deployer;
use gatehouse_outbound::OutboundHttp;
use gatehouse_providers::webhook::WebhookClient;
use gatehouse_runtime::{env, tracing, wiring::Wiring};
use lambda_runtime::{Error, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let wiring = Wiring::from_env().await?;
    let secrets = wiring.secrets()?;
    // Platform admins say where CI systems are, developers where webhooks are.
    let loopback = env::allows_loopback_providers();
    let ci = OutboundHttp::new().allow_loopback_if(loopback);
    let webhooks = OutboundHttp::new().public_only().allow_loopback_if(loopback).client(None)?;
    let webhook = Arc::new(WebhookClient::new(webhooks, &env::callback_url()?));
    wiring.warm_up().await;
    let Wiring { table, system, .. } = wiring;
    let providers = gatehouse_providers::directory(table.clone(), secrets.clone(), system.clone(), ci);
    let deployer = Deployer { table, providers: Arc::new(providers), webhook, secrets, system };
    lambda_runtime::run(service_fn(|event| deployer.handle(event))).await
}
