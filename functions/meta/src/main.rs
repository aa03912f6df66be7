//! The `meta` Lambda: wiring and nothing else.

use lambda_http::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    gatehouse_runtime::tracing::init();
    lambda_http::run(meta::router()).await
}
