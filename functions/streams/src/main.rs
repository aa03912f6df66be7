//! The `streams` Lambda: wiring and nothing else.

use std::sync::Arc;

use gatehouse_outbound::OutboundHttp;
use gatehouse_runtime::{
    env::{self, ResponseMode},
    tracing,
    wiring::Wiring,
};
use lambda_http::Error;
use streams::AppState;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let mode = ResponseMode::from_env()?;
    let wiring = Wiring::from_env().await?;
    let secrets = wiring.secrets()?;
    wiring.warm_up().await;
    let Wiring { table, system, .. } = wiring;
    let http = OutboundHttp::new().allow_loopback_if(env::allows_loopback_providers());
    let providers = gatehouse_providers::directory(table.clone(), secrets, system.clone(), http);
    let router = streams::router(AppState { table, providers: Arc::new(providers), system });
    match mode {
        ResponseMode::Stream => lambda_http::run_with_streaming_response(router).await,
        ResponseMode::Buffered => lambda_http::run(router).await,
    }
}
