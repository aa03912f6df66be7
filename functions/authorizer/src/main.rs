//! The `authorizer` Lambda: wiring and nothing else.

use authorizer::{Authorizer, Request, TimeLimits};
use gatehouse_jwt::Issuer;
use gatehouse_runtime::{aws::CallBudget, env, tracing, wiring::Wiring};
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let Wiring { table, system, .. } = Wiring::from_env_within(CallBudget::AUTHORIZER).await?;
    let authorizer = Authorizer::new(table, system, Issuer::new(env::issuer()?)).within(TimeLimits::LAMBDA);
    authorizer.warm_up().await;
    let authorize = |event: LambdaEvent<Request>| authorizer.authorize(event.payload);
    lambda_runtime::run(service_fn(authorize)).await
}
