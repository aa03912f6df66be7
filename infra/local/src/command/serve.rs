//! `gatehouse`: the local stack.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use tokio::signal;

use crate::stack::{Stack, StackSettings, find_terraform};

/// How the local stack is started.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen on; anything but loopback lets others run commands on this machine.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    listen: IpAddr,
    /// Name to answer to, besides those of loopback and the address that is listened on; may be repeated.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    port: u16,
    /// Directory that keeps all state; created where it is missing.
    #[arg(long, default_value = ".gatehouse", value_name = "DIR")]
    data_dir: PathBuf,
    /// File to fill an empty stack from, instead of the built-in example.
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Directory of Terraform modules to provision with, instead of the built-in example.
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
}

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    gatehouse_runtime::tracing::init();
    let address = SocketAddr::new(args.listen, args.port);
    let settings = StackSettings {
        address,
        hosts: args.hosts,
        data_dir: args.data_dir,
        seed: args.seed,
        program: std::env::current_exe().context("this program's own file cannot be found")?,
        modules: args.modules,
        terraform: find_terraform(),
        worker_silence: None,
    };
    let stack = Stack::start(settings).await?;
    eprint!("{}", welcome(&stack.url(), stack.is_exposed(), stack.example_key()));
    signal::ctrl_c().await.context("Ctrl-C cannot be waited for")?;
    eprintln!("\nStopping. State stays where it is; start again to continue.");
    stack.stop().await;
    Ok(())
}

/// What a newcomer sees first. Log lines go to standard output; this goes beside them.
fn welcome(url: &str, is_exposed: bool, key: Option<&str>) -> String {
    let (warning, once) = if is_exposed { (WARNING, ", shown this once") } else { ("", "") };
    let trying = key.map(|key| {
        format!(
            "API key, for every tenant{once}: {key}

Try, in another terminal:

  curl -H 'Authorization: Bearer {key}' {url}/v1/jobs
  curl -H 'Authorization: Bearer {key}' -X POST {url}/v1/jobs/slow/runs
  curl -N -H 'Authorization: Bearer {key}' {url}/v1/runs/RUN_ID/events    # with the run_id of the second

Ctrl-C stops it.

"
        )
    });
    format!("\nGatehouse is listening on {url}\n{warning}{}", trying.unwrap_or_default())
}

/// What is said where others can reach the stack.
const WARNING: &str = "
WARNING: others can reach this stack, and whoever has a key of it runs commands on this machine.
         It answers to names that --host gives. The example's key and passwords open nothing.

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_is_told_whom_the_key_is_for_and_what_to_try() {
        let text = welcome("http://127.0.0.1:8080", false, Some("dev-key-12345"));
        let expected = "
Gatehouse is listening on http://127.0.0.1:8080
API key, for every tenant: dev-key-12345

Try, in another terminal:

  curl -H 'Authorization: Bearer dev-key-12345' http://127.0.0.1:8080/v1/jobs
  curl -H 'Authorization: Bearer dev-key-12345' -X POST http://127.0.0.1:8080/v1/jobs/slow/runs
  curl -N -H 'Authorization: Bearer dev-key-12345' http://127.0.0.1:8080/v1/runs/RUN_ID/events    # with the run_id of the second

Ctrl-C stops it.

";
        assert_eq!(text, expected);
    }

    #[test]
    fn whoever_opens_the_stack_to_others_is_warned() {
        let key = welcome("http://192.0.2.1:8080", true, Some("made-just-now"));
        assert!(key.contains("WARNING: others can reach this stack"), "{key}");
        assert!(key.contains("API key, for every tenant, shown this once: made-just-now\n"), "{key}");
        // Of a stack that was filled before, there is no key to tell.
        let silent = welcome("http://192.0.2.1:8080", true, None);
        assert!(silent.contains("WARNING") && !silent.contains("API key"), "{silent}");
    }
}
