//! `tenants`: whose projects and services there are.

use clap::{Args, Subcommand};
use gatehouse_domain::json::{Json, Object};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Column, text_at},
    tokens::members,
};

/// What can be done with tenants.
#[derive(Debug, Subcommand)]
pub enum TenantsCommand {
    /// List the tenants that you are in.
    List,
    /// Show a tenant.
    Show(NameArgs),
    /// Create a tenant, or change what is decided about it. What is not said stays as it is.
    Put(PutArgs),
    /// Delete a tenant that has no projects. Its name is not given again.
    Delete(NameArgs),
}

/// Which tenant.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// The tenant's name.
    name: String,
}

/// What is decided about a tenant.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// The tenant's name.
    name: String,
    /// A name for people; a new tenant takes one.
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// Whether its members have to enrol a second factor before anything else is open to them.
    #[arg(long, value_name = "true|false")]
    require_second_factor: Option<bool>,
    /// The project, of this tenant, of services that say nothing of it.
    #[arg(long, value_name = "PROJECT", conflicts_with = "no_default_project")]
    default_project: Option<String>,
    /// Services have to say their project.
    #[arg(long)]
    no_default_project: bool,
}

const COLUMNS: &[Column] = &[
    ("NAME", "/tenant"),
    ("DISPLAY NAME", "/display_name"),
    ("SECOND FACTOR", "/require_second_factor"),
    ("DEFAULT PROJECT", "/default_project"),
    ("CREATED", "/created_at"),
    ("BY", "/created_by"),
];

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    client: &Client,
    command: TenantsCommand,
) -> Result<Exit, Failure> {
    match command {
        TenantsCommand::List => {
            let answer = all(client).await?;
            context.output.answer(&answer, |output, body| output.table(COLUMNS, tenants(body)))?;
        }
        TenantsCommand::Show(args) => show(context, client, &args.name).await?,
        TenantsCommand::Put(args) => put(context, client, args).await?,
        TenantsCommand::Delete(args) => {
            let answer = client.delete(&["v1", "tenants", &args.name]).await?;
            context.output.answer(&answer, |output, _| output.note(&format!("{} is deleted", args.name)))?;
        }
    }
    Ok(Exit::Done)
}

/// The server shows tenants only all together.
async fn all(client: &Client) -> Result<Answer, Failure> {
    client.get(&["v1", "tenants"]).await
}

fn tenants(body: &Json) -> &[Json] {
    body["tenants"].as_array().unwrap_or_default()
}

async fn find(client: &Client, name: &str) -> Result<Option<Json>, Failure> {
    let answer = all(client).await?;
    Ok(tenants(&answer.body).iter().find(|tenant| text_at(tenant, "/tenant") == name).cloned())
}

async fn show(context: &mut Context<'_, '_>, client: &Client, name: &str) -> Result<(), Failure> {
    let missing = || Failure::Missing(format!("tenant `{name}`"));
    let tenant = find(client, name).await?.ok_or_else(missing)?;
    if context.output.json {
        Ok(context.output.raw(&Json::Object(Object::from([("tenant".to_owned(), tenant)])).to_string())?)
    } else {
        Ok(context.output.thing(&tenant)?)
    }
}

async fn put(context: &mut Context<'_, '_>, client: &Client, args: PutArgs) -> Result<(), Failure> {
    let display_name = match args.display_name {
        Some(display_name) => json!(display_name),
        None => json!(present_display_name(client, &args.name).await?),
    };
    let no_default_project = args.no_default_project.then_some(Value::Null);
    let body = members([
        ("display_name", Some(display_name)),
        ("require_second_factor", args.require_second_factor.map(Value::from)),
        ("default_project", args.default_project.map(Value::from).or(no_default_project)),
    ]);
    let call = client.call(Method::PUT, &["v1", "tenants", &args.name])?.json(&body);
    let answer = context.send(client, call).await?;
    context.output.answer(&answer, |output, body| output.thing(&body["tenant"]))
}

/// The server takes a name for people with every edit.
async fn present_display_name(client: &Client, name: &str) -> Result<String, Failure> {
    let new =
        || Failure::Usage(format!("there is no tenant `{name}`: give a new one a name with --display-name"));
    Ok(text_at(&find(client, name).await?.ok_or_else(new)?, "/display_name").to_owned())
}
