//! The `gatehouse` command: the local stack, and small tools around it.

mod admin;
mod concourse_twin;
mod key;
pub mod openapi;
mod provisioner;
mod serve;

use std::{net::IpAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use gatehouse_runtime::clock::SystemClock;

use crate::process::{WATCHER, watch};

/// The hidden sub-command that makes this program a worker.
pub(crate) const PROVISIONER: &str = "provisioner";

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

/// How the local stack is started.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen on; anything but loopback lets others run commands on this machine.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
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

#[derive(Debug, Args)]
struct CreateAdminArgs {
    /// The DynamoDB table of the deployed stack (its output `TableName`).
    #[arg(long, value_name = "NAME")]
    table: String,
    /// The name to log in with.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Read the password from standard input instead of asking for it.
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, Args)]
struct CreateKeyArgs {
    /// The DynamoDB table of the deployed stack (its output `TableName`).
    #[arg(long, value_name = "NAME")]
    table: String,
    /// What the key is for.
    #[arg(long, default_value = "made with `gatehouse key create`", value_name = "TEXT")]
    name: String,
    /// Tenants that the key is for, separated by commas, or `*` for all.
    #[arg(long, value_name = "TENANTS")]
    tenants: String,
    /// What the key may do, separated by commas: `*`, `jobs:read`, `runs:write` and so on.
    #[arg(long, value_delimiter = ',', value_name = "SCOPES")]
    scopes: Vec<String>,
    /// Print JSON: `{"key": …, "key_id": …}`.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct TwinArgs {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8081, value_name = "PORT")]
    port: u16,
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
