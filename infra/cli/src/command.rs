//! The commands, and what each does.

use clap::{Args, Subcommand};

use crate::{
    audit, catalog,
    context::Context,
    dependencies::Dependencies,
    exit::{EXIT_CODES, Exit},
    failure::Failure,
    jobs, keys, modules, operations,
    output::Output,
    providers, runs, second_factor, services, session, sessions, tenants, tokens, transfer, users,
};

/// A command that speaks to a Gatehouse.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Log in as a user and keep the session.
    #[command(after_help = EXIT_CODES)]
    Login(Leaf<session::LoginArgs>),
    /// End the session that was kept for this URL.
    #[command(after_help = EXIT_CODES)]
    Logout(Leaf<Nothing>),
    /// Say who is calling, and what they may do.
    #[command(after_help = EXIT_CODES)]
    Whoami(Leaf<Nothing>),
    /// Say the password again, which minting keys and changing users take every ten minutes.
    #[command(after_help = EXIT_CODES)]
    Reauthenticate(Leaf<session::ReauthenticateArgs>),
    /// Change your own password.
    #[command(after_help = EXIT_CODES)]
    Password(Leaf<session::PasswordArgs>),
    /// List your sessions, and end them.
    #[command(after_help = EXIT_CODES)]
    Sessions(Group<sessions::SessionsCommand>),
    /// Enrol a second factor of your own, or remove it.
    #[command(after_help = EXIT_CODES)]
    SecondFactor(Group<second_factor::SecondFactorCommand>),
    /// Mint, list, rotate and revoke service tokens.
    #[command(after_help = EXIT_CODES)]
    Tokens(Group<tokens::TokensCommand>),
    /// Mint, list and revoke API keys.
    #[command(after_help = EXIT_CODES)]
    Keys(Group<keys::KeysCommand>),
    /// List, import and discover jobs.
    #[command(after_help = EXIT_CODES)]
    Jobs(Group<jobs::JobsCommand>),
    /// List and check CI systems, and say which tenants may use what of them.
    #[command(after_help = EXIT_CODES)]
    Providers(Group<providers::ProvidersCommand>),
    /// Trigger, watch and cancel runs.
    #[command(after_help = EXIT_CODES)]
    Runs(Group<runs::RunsCommand>),
    /// Create, list and change services: the catalog.
    #[command(after_help = EXIT_CODES)]
    Services(Group<services::ServicesCommand>),
    /// Import catalog files, and list, show and delete what they describe.
    #[command(after_help = EXIT_CODES)]
    Catalog(Group<catalog::CatalogCommand>),
    /// List what environments can be provisioned with, and publish it.
    #[command(after_help = EXIT_CODES)]
    Modules(Group<modules::ModulesCommand>),
    /// Provision an environment of a service, and print the operation's id.
    #[command(after_help = EXIT_CODES)]
    Provision(Leaf<operations::ProvisionArgs>),
    /// Take away what was provisioned in an environment, and print the operation's id.
    #[command(after_help = EXIT_CODES)]
    Deprovision(Leaf<operations::EnvironmentArgs>),
    /// Look whether an environment still is as it was provisioned, and print the operation's id.
    #[command(after_help = EXIT_CODES)]
    Drift(Leaf<operations::EnvironmentArgs>),
    /// Let an environment with a time to live end so many hours from now.
    #[command(after_help = EXIT_CODES)]
    Extend(Leaf<operations::ExtendArgs>),
    /// Deploy a version to an environment, and print the operation's id.
    #[command(after_help = EXIT_CODES)]
    Deploy(Leaf<operations::DeployArgs>),
    /// Show how the environments of a service stand.
    #[command(after_help = EXIT_CODES)]
    Status(Leaf<operations::StatusArgs>),
    /// List the operations of a service, the newest first, or show one.
    #[command(after_help = EXIT_CODES)]
    Operations(Leaf<operations::OperationsArgs>),
    /// Agree to an operation that waits for it.
    #[command(after_help = EXIT_CODES)]
    Approve(Leaf<operations::VerdictArgs>),
    /// Refuse an operation that waits for approval, which ends it.
    #[command(after_help = EXIT_CODES)]
    Reject(Leaf<operations::VerdictArgs>),
    /// Ask an operation to stop.
    #[command(after_help = EXIT_CODES)]
    Cancel(Leaf<operations::CancelArgs>),
    /// Create, list and change users.
    #[command(after_help = EXIT_CODES)]
    Users(Group<users::UsersCommand>),
    /// Create, list, change and delete tenants.
    #[command(after_help = EXIT_CODES)]
    Tenants(Group<tenants::TenantsCommand>),
    /// Read the audit trail.
    #[command(after_help = EXIT_CODES)]
    Audit(Group<audit::AuditCommand>),
    /// Write everything but secrets and history into one file.
    #[command(after_help = EXIT_CODES)]
    Export(Leaf<transfer::ExportArgs>),
    /// Create what a file of `export` has and this Gatehouse has not.
    #[command(after_help = EXIT_CODES)]
    Import(Leaf<transfer::ImportArgs>),
}

/// What all commands take.
#[derive(Debug, Args)]
pub struct Options {
    /// The Gatehouse to speak with; without it `GATEHOUSE_URL`, then where people logged in last, then
    /// `http://127.0.0.1:8080`.
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// Print the server's JSON as it came; a list of several pages is one line of JSON for each.
    #[arg(long, global = true)]
    json: bool,
}

/// A command without commands below it.
#[derive(Debug, Args)]
pub struct Leaf<T: Args> {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    args: T,
}

/// A command with commands below it.
#[derive(Debug, Args)]
pub struct Group<T: Subcommand> {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: T,
}

/// No arguments.
#[derive(Debug, Args)]
pub struct Nothing {}

impl Command {
    fn options(&self) -> &Options {
        match self {
            Self::Login(leaf) => &leaf.options,
            Self::Logout(leaf) | Self::Whoami(leaf) => &leaf.options,
            Self::Reauthenticate(leaf) => &leaf.options,
            Self::Password(leaf) => &leaf.options,
            Self::Sessions(group) => &group.options,
            Self::SecondFactor(group) => &group.options,
            Self::Tokens(group) => &group.options,
            Self::Keys(group) => &group.options,
            Self::Jobs(group) => &group.options,
            Self::Providers(group) => &group.options,
            Self::Runs(group) => &group.options,
            Self::Services(group) => &group.options,
            Self::Catalog(group) => &group.options,
            Self::Modules(group) => &group.options,
            Self::Provision(leaf) => &leaf.options,
            Self::Deprovision(leaf) | Self::Drift(leaf) => &leaf.options,
            Self::Extend(leaf) => &leaf.options,
            Self::Deploy(leaf) => &leaf.options,
            Self::Status(leaf) => &leaf.options,
            Self::Operations(leaf) => &leaf.options,
            Self::Approve(leaf) | Self::Reject(leaf) => &leaf.options,
            Self::Cancel(leaf) => &leaf.options,
            Self::Users(group) => &group.options,
            Self::Tenants(group) => &group.options,
            Self::Audit(group) => &group.options,
            Self::Export(leaf) => &leaf.options,
            Self::Import(leaf) => &leaf.options,
        }
    }
}

/// Does what a command asks for, and prints it.
pub async fn run(command: Command, dependencies: Dependencies<'_>) -> Exit {
    let Dependencies { environment, stdin, stdout, stderr, ask, clock, ids, interrupted } = dependencies;
    let json = command.options().json;
    let mut output = Output {
        stdout: stdout.printer(environment.no_color),
        stderr: stderr.printer(environment.no_color),
        json,
    };
    let mut context = Context { environment, stdin, output: &mut output, ask, clock, ids };
    // The work comes first: a password is asked for before anything listens for Ctrl-C, so that Ctrl-C works
    // at the prompt as it does everywhere.
    let done = tokio::select! {
        biased;
        done = perform(&mut context, command) => done,
        () = interrupted => Err(Failure::Interrupted),
    };
    done.unwrap_or_else(|failure| {
        // Where standard error is gone too, the exit code is all that is left to say so.
        let _ = output.failure(&failure);
        failure.exit()
    })
}

async fn perform(context: &mut Context<'_, '_>, command: Command) -> Result<Exit, Failure> {
    let url = command.options().url.clone();
    let site = context.site(url.as_deref())?;
    match command {
        Command::Login(leaf) => session::login(context, site, leaf.args).await,
        Command::Logout(_) => session::logout(context, site).await,
        Command::Whoami(_) => session::whoami(context, site).await,
        Command::Reauthenticate(leaf) => {
            session::reauthenticate(context, &context.client(site)?, leaf.args).await
        }
        Command::Password(leaf) => session::password(context, &context.client(site)?, leaf.args).await,
        Command::Sessions(group) => sessions::run(context, &context.client(site)?, group.command).await,
        Command::SecondFactor(group) => {
            second_factor::run(context, &context.client(site)?, group.command).await
        }
        Command::Tokens(group) => tokens::run(context, &context.client(site)?, group.command).await,
        Command::Keys(group) => keys::run(context, &context.client(site)?, group.command).await,
        Command::Jobs(group) => jobs::run(context, &context.client(site)?, group.command).await,
        Command::Providers(group) => providers::run(context, &context.client(site)?, group.command).await,
        Command::Runs(group) => runs::run(context, &context.client(site)?, group.command).await,
        Command::Services(group) => services::run(context, &context.client(site)?, group.command).await,
        Command::Catalog(group) => catalog::run(context, &context.client(site)?, group.command).await,
        Command::Modules(group) => modules::run(context, &context.client(site)?, group.command).await,
        Command::Provision(leaf) => operations::provision(context, &context.client(site)?, leaf.args).await,
        Command::Deprovision(leaf) => {
            operations::deprovision(context, &context.client(site)?, leaf.args).await
        }
        Command::Drift(leaf) => operations::drift(context, &context.client(site)?, leaf.args).await,
        Command::Extend(leaf) => operations::extend(context, &context.client(site)?, leaf.args).await,
        Command::Deploy(leaf) => operations::deploy(context, &context.client(site)?, leaf.args).await,
        Command::Status(leaf) => operations::status(context, &context.client(site)?, leaf.args).await,
        Command::Operations(leaf) => operations::list(context, &context.client(site)?, leaf.args).await,
        Command::Approve(leaf) => operations::approve(context, &context.client(site)?, leaf.args).await,
        Command::Reject(leaf) => operations::reject(context, &context.client(site)?, leaf.args).await,
        Command::Cancel(leaf) => operations::cancel(context, &context.client(site)?, leaf.args).await,
        Command::Users(group) => users::run(context, &context.client(site)?, group.command).await,
        Command::Tenants(group) => tenants::run(context, &context.client(site)?, group.command).await,
        Command::Audit(group) => audit::run(context, &context.client(site)?, group.command).await,
        Command::Export(leaf) => transfer::export(context, &context.client(site)?, leaf.args).await,
        Command::Import(leaf) => transfer::import(context, &context.client(site)?, leaf.args).await,
    }
}
