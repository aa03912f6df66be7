//! The `gatehouse` command: the local stack, and small tools around it.

mod admin;
mod concourse_twin;
mod key;
pub mod openapi;
mod provisioner;
mod serve;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use gatehouse_runtime::clock::SystemClock;

use self::{admin::CreateAdminArgs, concourse_twin::TwinArgs, key::CreateKeyArgs, serve::ServeArgs};
use crate::{
    process::{WATCHER, watch},
    stack::PROVISIONER,
};

/// The local stack of Gatehouse, commands that speak to any Gatehouse, and small tools around them.
///
/// Without a sub-command it starts the stack: API Gateway, DynamoDB, Secrets Manager and the functions, in
/// one process.
#[derive(Debug, Parser)]
#[command(name = "gatehouse", version, args_conflicts_with_subcommands = true)]
#[command(after_help = gatehouse_cli::EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the local stack; the same as no sub-command.
    Serve(ServeArgs),
    /// Make the first platform admin of a deployed stack.
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Make the first API key of a deployed stack.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Start a pretend Concourse to try things with.
    ConcourseTwin(TwinArgs),
    /// Print the API description, made from the routes.
    Openapi,
    /// Work on one attempt of an operation, as the environment says; a workflow starts this.
    #[command(hide = true, name = PROVISIONER)]
    Provisioner,
    /// Wait for the end of the stack that started this, and end what it leaves behind.
    #[command(hide = true, name = WATCHER)]
    ProcessWatcher { data_dir: PathBuf },
    #[command(flatten)]
    Client(gatehouse_cli::Command),
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key and put its hash into a table. The key is printed once and kept nowhere.
    ///
    /// AWS is reached with the usual variables: `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, and `AWS_ENDPOINT_URL` for an emulator.
    Create(CreateKeyArgs),
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Make the first platform admin, where there has never been one.
    ///
    /// AWS is reached with the usual variables, as for `key create`.
    Create(CreateAdminArgs),
}

impl Cli {
    /// Does what the command line asks for.
    ///
    /// # Errors
    ///
    /// What stood in the way, for people.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            None => serve::run(self.serve).await?,
            Some(Command::Serve(args)) => serve::run(args).await?,
            Some(Command::Admin(AdminCommand::Create(args))) => admin::create(args).await?,
            Some(Command::Key(KeyCommand::Create(args))) => key::create(args).await?,
            Some(Command::ConcourseTwin(args)) => concourse_twin::run(args).await?,
            Some(Command::Provisioner) => return Ok(provisioner::run().await),
            Some(Command::ProcessWatcher { data_dir }) => watch(std::io::stdin(), &data_dir, &SystemClock)?,
            Some(Command::Openapi) => println!("{}", openapi::description()?),
            Some(Command::Client(command)) => return Ok(gatehouse_cli::run_here(command).await.into()),
        }
        Ok(ExitCode::SUCCESS)
    }
}
