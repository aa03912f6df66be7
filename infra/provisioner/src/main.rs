//! The worker that a workflow starts: wiring and nothing else.

use std::process::ExitCode;

use gatehouse_provisioner::{Settings, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    gatehouse_runtime::tracing::init();
    match Settings::from_env() {
        Ok(settings) => run(settings).await.into(),
        Err(error) => {
            tracing::error!(cause = %error, "the worker is not set up");
            ExitCode::FAILURE
        }
    }
}
