//! The `runs` Lambda: wiring and nothing else.

use std::sync::Arc;

use gatehouse_outbound::OutboundHttp;
use gatehouse_runtime::{env, tracing, wiring::Wiring};
use lambda_http::Error;
use runs::AppState;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let wiring = Wiring::from_env().await?;
    let secrets = wiring.secrets()?;
    wiring.warm_up().await;
    let Wiring { table, system, .. } = wiring;
    let http = OutboundHttp::new().allow_loopback_if(env::allows_loopback_providers());
    let providers = gatehouse_providers::directory(table.clone(), secrets, system.clone(), http);
    lambda_http::run(runs::router(AppState { table, providers: Arc::new(providers), system })).await
}
