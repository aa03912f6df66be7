//! `gatehouse`: the local stack.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::signal;

use super::ServeArgs;
use crate::stack::{Stack, StackSettings, find_terraform};

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    gatehouse_runtime::tracing::init();
    let address = SocketAddr::new(args.host, args.port);
    let settings = StackSettings {
        address,
        data_dir: args.data_dir,
        seed: args.seed,
        program: std::env::current_exe().context("this program's own file cannot be found")?,
        modules: args.modules,
        terraform: find_terraform(),
        worker_silence: None,
    };
    let stack = Stack::start(settings).await?;
    welcome(&stack);
    signal::ctrl_c().await.context("Ctrl-C cannot be waited for")?;
    eprintln!("\nStopping. State stays where it is; start again to go on.");
    stack.stop().await;
    Ok(())
}

/// What a newcomer sees first. Log lines go to standard output; this goes beside them.
fn welcome(stack: &Stack) {
    let url = stack.url();
    eprintln!("\nGatehouse is listening on {url}");
    let Some(key) = stack.example_key() else { return };
    eprintln!(
        "API key of the example tenant: {key}

Try, in another terminal:

  curl -H 'Authorization: Bearer {key}' {url}/v1/jobs
  curl -H 'Authorization: Bearer {key}' -X POST {url}/v1/jobs/slow/runs
  curl -N -H 'Authorization: Bearer {key}' {url}/v1/runs/RUN_ID/events    # with the run_id of the second

Ctrl-C stops it.
"
    );
}
