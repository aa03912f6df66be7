//! The `callbacks` Lambda: wiring and nothing else.

use std::sync::Arc;

use callbacks::{AppState, Callbacks};
use gatehouse_inputs::InputSealer;
use gatehouse_runtime::{tracing, wiring::Wiring};
use lambda_runtime::{Error, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let wiring = Wiring::from_env().await?;
    let (secrets, answer) = (wiring.secrets()?, wiring.answers());
    wiring.warm_up().await;
    let Wiring { table, system, .. } = wiring;
    let open = Arc::new(InputSealer::new(secrets.clone(), system.clone()));
    let callbacks = Callbacks::new(AppState { table, answer, secrets, open, clock: system });
    lambda_runtime::run(service_fn(|event| callbacks.handle(event))).await
}
