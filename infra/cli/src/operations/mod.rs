//! Provisioning and deploying services, and what is decided about that.

mod decide;
mod request;
mod status;
mod watch;

use clap::{Args, Subcommand};
use gatehouse_domain::json::{Json, Object};
use serde_json::json;

pub use self::{
    decide::{CancelArgs, VerdictArgs},
    request::{DeployArgs, EnvironmentArgs, ProvisionArgs},
    status::StatusArgs,
};
pub(crate) use self::{
    decide::{approve, cancel, reject},
    status::status,
};
use self::{request::request, watch::Watch};
use crate::{
    client::Client,
    context::{Context, List},
    exit::Exit,
    failure::Failure,
    output::{Column, text_at},
    runs::Parameter,
    services::find,
};

/// Which operations are listed.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct OperationsArgs {
    #[command(subcommand)]
    command: Option<OperationsCommand>,
    /// The service's id, or its name. Without it those of all services are listed.
    service: Option<String>,
    /// Show this one instead.
    operation: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// How long which environment is to live.
#[derive(Debug, Args)]
pub struct ExtendArgs {
    /// The service's id, or its name.
    service: String,
    /// The environment.
    environment: String,
    /// How many hours from now on; at most its time to live.
    #[arg(long, value_name = "N")]
    hours: u32,
}

/// What else can be done with operations.
#[derive(Debug, Subcommand)]
pub enum OperationsCommand {
    /// List the operations of all services that you may see, the newest first.
    List(FilterArgs),
}

/// Which operations of all services are listed.
#[derive(Debug, Args)]
pub struct FilterArgs {
    /// Those that wait for an approval that you may give.
    #[arg(long)]
    waiting_for_me: bool,
    /// Those that stand so: `awaiting_approval`, `failed`, …, or `open` for all that have not ended.
    #[arg(long)]
    status: Option<String>,
    /// Those of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Those of this service: its id, or its name.
    #[arg(long)]
    service: Option<String>,
    /// Those in environments of this name.
    #[arg(long)]
    environment: Option<String>,
    /// `provision`, `deprovision`, `drift` or `deploy`.
    #[arg(long)]
    kind: Option<String>,
    /// Those that they asked for, themselves or with a key of theirs: `user:ada`.
    #[arg(long, value_name = "WHO")]
    requested_by: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

const ALL_COLUMNS: &[Column] = &[
    ("OPERATION", "/id"),
    ("KIND", "/kind"),
    ("TENANT", "/tenant"),
    ("SERVICE", "/service"),
    ("ENVIRONMENT", "/environment"),
    ("STATUS", "/status"),
    ("SINCE", "/since"),
    ("BY", "/requested_by"),
];

const COLUMNS: &[Column] = &[
    ("OPERATION", "/id"),
    ("KIND", "/kind"),
    ("ENVIRONMENT", "/environment"),
    ("STATUS", "/status"),
    ("REQUESTED", "/requested_at"),
    ("ENDED", "/ended_at"),
    ("BY", "/requested_by"),
];

pub(crate) async fn provision(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: ProvisionArgs,
) -> Result<Exit, Failure> {
    let inputs = Parameter::to_json(args.inputs)?;
    let environment = Json::from(args.place.environment.as_str());
    let body = Object::from([("environment".to_owned(), environment), ("inputs".to_owned(), inputs)]);
    request(context, client, args.place, "provision", &body).await
}

pub(crate) async fn deprovision(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: EnvironmentArgs,
) -> Result<Exit, Failure> {
    let body = json!({ "environment": args.place.environment });
    request(context, client, args.place, "deprovision", &body).await
}

pub(crate) async fn drift(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: EnvironmentArgs,
) -> Result<Exit, Failure> {
    let body = json!({ "environment": args.place.environment });
    request(context, client, args.place, "drift", &body).await
}

pub(crate) async fn extend(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: ExtendArgs,
) -> Result<Exit, Failure> {
    let service = find(client, &args.service).await?;
    let body = json!({ "environment": args.environment, "hours": args.hours });
    let answer = client.post(&["services", &service, "actions", "extend"], &body).await?;
    context.output.answer(&answer, |output, body| {
        output.note(&format!("{} ends at {}", args.environment, text_at(body, "/ends_at")))
    })?;
    Ok(Exit::Done)
}

pub(crate) async fn deploy(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: DeployArgs,
) -> Result<Exit, Failure> {
    let body = json!({ "environment": args.place.environment, "version": args.version });
    request(context, client, args.place, "deploy", &body).await
}

pub(crate) async fn list(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: OperationsArgs,
) -> Result<Exit, Failure> {
    let service = match (args.command, &args.service) {
        (Some(OperationsCommand::List(filter)), _) => return list_all(context, client, filter).await,
        (None, None) => {
            let (path, limit) = (&["v1", "operations"], Some(args.limit));
            let list = List { path, query: &[], member: "operations", columns: ALL_COLUMNS, limit };
            context.list(client, list).await?;
            return Ok(Exit::Done);
        }
        (None, Some(service)) => find(client, service).await?,
    };
    if let Some(operation) = &args.operation {
        let answer = client.get(&["services", &service, "operations", operation]).await?;
        context.output.answer(&answer, |output, body| output.thing(&body["operation"]))?;
        return Ok(Exit::Done);
    }
    let (path, limit) = (&["services", &service, "operations"], Some(args.limit));
    let list = List { path, query: &[], member: "operations", columns: COLUMNS, limit };
    context.list(client, list).await?;
    Ok(Exit::Done)
}

async fn list_all(context: &mut Context<'_, '_>, client: &Client, args: FilterArgs) -> Result<Exit, Failure> {
    let service = match &args.service {
        Some(service) => Some(find(client, service).await?),
        None => None,
    };
    let query = [
        ("waiting_for", args.waiting_for_me.then(|| "me".to_owned())),
        ("status", args.status),
        ("tenant", args.tenant),
        ("service", service),
        ("environment", args.environment),
        ("kind", args.kind),
        ("requested_by", args.requested_by),
    ];
    let (path, limit) = (&["v1", "operations"], Some(args.limit));
    let list = List { path, query: &query, member: "operations", columns: ALL_COLUMNS, limit };
    context.list(client, list).await?;
    Ok(Exit::Done)
}
