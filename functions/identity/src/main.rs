//! The `identity` Lambda: wiring and nothing else.

use std::sync::Arc;

use gatehouse_jwt::Issuer;
use gatehouse_runtime::{env, tracing, wiring::Wiring};
use identity::AppState;
use lambda_http::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let issuer = Issuer::new(env::issuer()?);
    let wiring = Wiring::from_env().await?;
    let (secrets, flush) = (wiring.secrets()?, Arc::new(wiring.api_gateway()?));
    wiring.warm_up().await;
    let state = AppState::new(wiring.table, secrets, issuer, flush, wiring.system);
    lambda_http::run(identity::router(state)).await
}
