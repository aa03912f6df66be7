//! `gatehouse provisioner`: the Terraform worker, in this program.

use std::process::ExitCode;

use gatehouse_provisioner::{Settings, run as work};

pub(super) async fn run() -> ExitCode {
    gatehouse_runtime::tracing::init();
    match Settings::from_env() {
        Ok(settings) => work(settings).await.into(),
        Err(error) => {
            tracing::error!(cause = %error, "the worker is not set up");
            ExitCode::FAILURE
        }
    }
}
