//! `users`: who may log in.

use clap::{Args, Subcommand};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    client::Client,
    context::{Context, List},
    exit::Exit,
    failure::Failure,
    output::Column,
    roles::Roles,
    sessions,
    tokens::members,
};

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// List users.
    List,
    /// Create a user.
    Create(CreateArgs),
    /// Show a user.
    Show(NameArgs),
    /// Replace a user's roles.
    Roles(RolesArgs),
    /// Let a user log in no more, and end their sessions.
    Disable(NameArgs),
    /// Let a user log in again.
    Enable(NameArgs),
    /// Give a user another password, which they have to change when they log in, and end their sessions.
    Password(PasswordArgs),
    /// End all sessions of a user.
    Logout(NameArgs),
    /// Remove the second factor of a user who has lost it, and end their sessions.
    ResetSecondFactor(NameArgs),
}

/// What user is created.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The user's name.
    name: String,
    /// A name for people.
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// Their roles: `acme=developer,beta=viewer`, or `*=admin` for all tenants.
    #[arg(long, value_parser = Roles::parse)]
    roles: Roles,
    /// Read the password from standard input instead of asking for it.
    #[arg(long)]
    password_stdin: bool,
}

/// Which user.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// The user's name.
    name: String,
}

/// Which roles a user gets.
#[derive(Debug, Args)]
pub struct RolesArgs {
    /// The user's name.
    name: String,
    /// All their roles: `acme=developer,beta=viewer`, or `*=admin` for all tenants.
    #[arg(value_parser = Roles::parse)]
    roles: Roles,
}

/// Whose password is replaced.
#[derive(Debug, Args)]
pub struct PasswordArgs {
    /// The user's name.
    name: String,
    /// Read the password from standard input instead of asking for it.
    #[arg(long)]
    password_stdin: bool,
}

const COLUMNS: &[Column] = &[
    ("NAME", "/user_name"),
    ("DISPLAY NAME", "/display_name"),
    ("STATE", "/state"),
    ("ROLES", "/roles"),
    ("UPDATED", "/updated_at"),
    ("BY", "/updated_by"),
];

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    client: &Client,
    command: UsersCommand,
) -> Result<Exit, Failure> {
    match command {
        UsersCommand::List => {
            let path = &["v1", "users"];
            let list = List { path, query: &[], member: "users", columns: COLUMNS, limit: None };
            context.list(client, list).await?;
        }
        UsersCommand::Create(args) => create(context, client, args).await?,
        UsersCommand::Show(args) => {
            let answer = client.get(&["v1", "users", &args.name]).await?;
            context.output.answer(&answer, |output, body| output.thing(&body["user"]))?;
        }
        UsersCommand::Roles(args) => {
            edit(context, client, &args.name, &json!({ "roles": args.roles.to_json() })).await?;
        }
        UsersCommand::Disable(args) => {
            edit(context, client, &args.name, &json!({ "state": "disabled" })).await?;
        }
        UsersCommand::Enable(args) => {
            edit(context, client, &args.name, &json!({ "state": "active" })).await?;
        }
        UsersCommand::Password(args) => password(context, client, args).await?,
        UsersCommand::ResetSecondFactor(args) => {
            let call = client.call(Method::DELETE, &["v1", "users", &args.name, "second-factor"])?;
            let answer = context.send(client, call).await?;
            context.output.answer(&answer, |output, body| {
                output.note(&format!("no code is wanted of {} any more", args.name))?;
                output.effect(body)
            })?;
        }
        UsersCommand::Logout(args) => {
            let answer = client.delete(&["v1", "users", &args.name, "sessions"]).await?;
            context.output.answer(&answer, sessions::ended)?;
        }
    }
    Ok(Exit::Done)
}

async fn create(context: &mut Context<'_, '_>, client: &Client, args: CreateArgs) -> Result<(), Failure> {
    let password = context.new_password(args.password_stdin, &format!("Password for {}: ", args.name))?;
    let body = members([
        ("user_name", Some(json!(args.name))),
        ("password", Some(json!(password.expose_secret()))),
        ("display_name", args.display_name.map(Value::from)),
        ("roles", Some(args.roles.to_json())),
    ]);
    let call = client.call(Method::POST, &["v1", "users"])?.json(&body);
    let answer = context.send(client, call).await?;
    context.output.answer(&answer, |output, body| output.thing(&body["user"]))
}

/// Reads the user first: what is changed is what was read, or the server refuses.
async fn edit(
    context: &mut Context<'_, '_>,
    client: &Client,
    name: &str,
    change: &Value,
) -> Result<(), Failure> {
    let path = &["v1", "users", name];
    let etag = client.get(path).await?.etag.ok_or_else(|| {
        Failure::Nonsense(format!("{} does not say which version of a user it has", client.site()))
    })?;
    let call = client.call(Method::PATCH, path)?.header("If-Match", &etag).json(change);
    let answer = context.send(client, call).await?;
    context.output.answer(&answer, |output, body| {
        output.thing(&body["user"])?;
        output.effect(body)
    })
}

async fn password(context: &mut Context<'_, '_>, client: &Client, args: PasswordArgs) -> Result<(), Failure> {
    let prompt = format!("New password for {}: ", args.name);
    let password = context.new_password(args.password_stdin, &prompt)?;
    let body = json!({ "password": password.expose_secret() });
    let call = client.call(Method::POST, &["v1", "users", &args.name, "password"])?.json(&body);
    let answer = context.send(client, call).await?;
    context.output.answer(&answer, |output, body| {
        output.note(&format!("{} has another password", args.name))?;
        output.effect(body)
    })
}
