//! The `catalog` Lambda: wiring and nothing else.

use catalog::AppState;
use gatehouse_runtime::{
    env::{self, ResponseMode},
    tracing,
    wiring::Wiring,
};
use lambda_http::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let mode = ResponseMode::from_env()?;
    let modules = env::modules()?;
    let wiring = Wiring::from_env().await?;
    let (start, answer) = (wiring.executions(), wiring.answers());
    wiring.warm_up().await;
    let Wiring { table, system, .. } = wiring;
    let router = catalog::router(AppState { table, oversee: start.clone(), start, answer, modules, system });
    match mode {
        ResponseMode::Stream => lambda_http::run_with_streaming_response(router).await,
        ResponseMode::Buffered => lambda_http::run(router).await,
    }
}
