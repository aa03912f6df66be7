//! A function that does nothing: what the runtime costs, before a function costs anything of its own.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::de::IgnoredAny;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(async |_: LambdaEvent<IgnoredAny>| Ok::<_, Error>(()))).await
}
