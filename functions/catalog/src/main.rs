//! The `catalog` Lambda: wiring and nothing else.

use std::sync::Arc;

use catalog::AppState;
use gatehouse_inputs::InputSealer;
use gatehouse_runtime::{env, tracing, wiring::Wiring};
use lambda_http::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let wiring = Wiring::from_env().await?;
    let (start, answer, secrets) = (wiring.executions(), wiring.answers(), wiring.secrets()?);
    wiring.warm_up().await;
    let Wiring { table, system, .. } = wiring;
    let plain_http = env::plain_http();
    let seal = Arc::new(InputSealer::new(secrets, system.clone()));
    let state = AppState { table, oversee: start.clone(), start, answer, seal, plain_http, system };
    lambda_http::run(catalog::router(state)).await
}
