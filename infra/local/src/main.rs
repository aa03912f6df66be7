//! The `gatehouse` command.

use std::process::ExitCode;

use clap::Parser;
use gatehouse_local::command::Cli;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("the system gives threads");
    match runtime.block_on(Cli::parse().run()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("gatehouse: {error:#}");
            ExitCode::FAILURE
        }
    }
}
