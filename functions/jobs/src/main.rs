//! The `jobs` Lambda: wiring and nothing else.

use std::sync::Arc;

use gatehouse_outbound::OutboundHttp;
use gatehouse_runtime::{env, tracing, wiring::Wiring};
use jobs::AppState;
use lambda_http::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let wiring = Wiring::from_env().await?;
    let secrets = wiring.secrets()?;
    wiring.warm_up().await;
    let Wiring { table, system, .. } = wiring;
    let http = OutboundHttp::new().allow_loopback_if(env::allows_loopback_providers());
    let providers = gatehouse_providers::directory(table.clone(), secrets.clone(), system.clone(), http);
    let state = AppState { table, secrets, providers: Arc::new(providers), system };
    lambda_http::run(jobs::router(state)).await
}
