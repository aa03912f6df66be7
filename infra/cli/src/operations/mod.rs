//! Provisioning and deploying services, and what is decided about that.

mod decide;
mod request;
mod status;
mod watch;

use clap::Args;
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
    output::Column,
    runs::Parameter,
    services::find,
};

/// Which operations are listed.
#[derive(Debug, Args)]
pub struct OperationsArgs {
    /// The service's id, or its name.
    service: String,
    /// Show this one instead.
    operation: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

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
    let service = find(client, &args.service).await?;
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
