//! `gatehouse concourse-twin`: a pretend Concourse to try things with.

use anyhow::Context;
use clap::Args;
use gatehouse_testkit::concourse::ConcourseTwin;
use tokio::signal;

#[derive(Debug, Args)]
pub struct TwinArgs {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8081, value_name = "PORT")]
    port: u16,
}

pub(super) async fn run(args: TwinArgs) -> anyhow::Result<()> {
    let twin = ConcourseTwin::example()
        .port(args.port)
        .bind()
        .await
        .with_context(|| format!("port {} cannot be listened on; choose one with --port", args.port))?;
    eprintln!(
        "A pretend Concourse {} is listening on {url}
User `ci-gateway`, password `s3cret`; team `main` has the pipelines `example-pipeline` and `app`.

Ctrl-C stops it.",
        twin.version(),
        url = twin.url()
    );
    signal::ctrl_c().await.context("Ctrl-C cannot be waited for")
}
