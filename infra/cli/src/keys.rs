//! `keys`: API keys.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::Client,
    context::{Context, List},
    exit::Exit,
    failure::Failure,
    output::{Column, text_at},
    roles::TenantList,
    tokens::members,
};

/// What can be done with API keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Mint a key. It is printed once, alone on standard output, and kept nowhere.
    Mint(MintArgs),
    /// List keys.
    List,
    /// End a key at once.
    Revoke(RevokeArgs),
}

/// What key is minted.
#[derive(Debug, Args)]
pub struct MintArgs {
    /// What it is for.
    #[arg(long)]
    name: String,
    /// What it may do, separated by commas: `*`, `jobs:read`, `runs:write` and so on.
    #[arg(long, value_delimiter = ',', required = true)]
    scopes: Vec<String>,
    /// The tenants it is for, separated by commas, or `*` for all.
    #[arg(long, value_parser = TenantList::parse)]
    tenants: TenantList,
    /// After how many days it ends; never without it.
    #[arg(long, value_name = "N")]
    expires_in_days: Option<u32>,
}

/// Which key is revoked, and why.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The key's id, such as `key_…`.
    id: String,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

const COLUMNS: &[Column] = &[
    ("ID", "/key_id"),
    ("NAME", "/name"),
    ("STATE", "/state"),
    ("SCOPES", "/scopes"),
    ("TENANTS", "/tenants"),
    ("EXPIRES", "/expires_at"),
    ("LAST USED", "/last_used_at"),
];

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    client: &Client,
    command: KeysCommand,
) -> Result<Exit, Failure> {
    match command {
        KeysCommand::Mint(args) => mint(context, client, args).await?,
        KeysCommand::List => {
            let path = &["v1", "api-keys"];
            let list = List { path, query: &[], member: "api_keys", columns: COLUMNS, limit: None };
            context.list(client, list).await?;
        }
        KeysCommand::Revoke(args) => revoke(context, client, args).await?,
    }
    Ok(Exit::Done)
}

async fn mint(context: &mut Context<'_, '_>, client: &Client, args: MintArgs) -> Result<(), Failure> {
    let body = members([
        ("name", Some(json!(args.name))),
        ("scopes", Some(json!(args.scopes))),
        ("tenants", Some(args.tenants.to_json())),
        ("expires_in_days", args.expires_in_days.map(Value::from)),
    ]);
    let call = client.call(Method::POST, &["v1", "api-keys"])?.json(&body);
    let answer = context.send(client, call).await?;
    context.output.answer(&answer, |output, body| {
        let id = text_at(body, "/api_key/key_id");
        output.note(&format!("{id} was made. This is the key; it is shown only now:"))?;
        output.stdout.line(text_at(body, "/key"))
    })
}

async fn revoke(context: &mut Context<'_, '_>, client: &Client, args: RevokeArgs) -> Result<(), Failure> {
    let body = members([("reason", args.reason.map(Value::from))]);
    let answer = client.post(&["v1", "api-keys", &args.id, "revoke"], &body).await?;
    context.output.answer(&answer, |output, body| {
        output.note(&format!("{} is revoked", args.id))?;
        output.effect(body)
    })
}
