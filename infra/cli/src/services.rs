//! `services`: the catalog.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use gatehouse_domain::{clock::random_id, id::ServiceId, json::Json};
use reqwest::Method;

use crate::{
    client::{Answer, Client},
    context::{Context, List},
    exit::Exit,
    failure::Failure,
    output::{Column, Output, text_at},
    yaml,
};

/// What can be done with services.
#[derive(Debug, Subcommand)]
pub enum ServicesCommand {
    /// List services.
    List(ListArgs),
    /// Show a service.
    Show(ServiceArgs),
    /// Create a service from a file, and print its id.
    Create(CreateArgs),
    /// Replace what is decided about a service by what a file says.
    Put(PutArgs),
    /// Delete a service.
    Delete(DeleteArgs),
}

/// Which services are listed.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Those of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Those that this owner answers for.
    #[arg(long)]
    owner: Option<String>,
    /// Those so far in their life: `experimental`, `production` or `deprecated`.
    #[arg(long)]
    lifecycle: Option<String>,
    /// Those whose name, owner or description holds this text.
    #[arg(long)]
    text: Option<String>,
}

/// Which service.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// The service's id, or its name.
    service: String,
}

/// What is created.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The file, YAML or JSON; `-` is standard input.
    #[arg(short, long)]
    file: PathBuf,
    /// Makes it safe to repeat the command: the same key creates one service. One is made up without it.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// What is replaced.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// The service's id, or its name.
    service: String,
    /// The file, YAML or JSON; `-` is standard input.
    #[arg(short, long)]
    file: PathBuf,
}

/// What is deleted.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The service's id, or its name.
    service: String,
    /// Delete it although something is provisioned, which remains. For admins.
    #[arg(long)]
    force: bool,
}

const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("TENANT", "/tenant"),
    ("PROJECT", "/project"),
    ("OWNER", "/owner"),
    ("LIFECYCLE", "/lifecycle"),
];

const ENVIRONMENTS: &[Column] = &[
    ("ENVIRONMENT", "/name"),
    ("CATEGORY", "/category"),
    ("APPROVAL", "/approval_required"),
    ("APPROVERS", "/approval_group"),
    ("MODULE", "/module"),
    ("TTL", "/ttl_hours"),
    ("DRIFT CHECK", "/drift_hours"),
    ("DEPLOY", "/deploy"),
];

const REMAINS: &[Column] =
    &[("ENVIRONMENT", "/environment"), ("STATE", "/state"), ("MODULE", "/module"), ("OUTPUTS", "/outputs")];

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    client: &Client,
    command: ServicesCommand,
) -> Result<Exit, Failure> {
    match command {
        ServicesCommand::List(args) => list(context, client, args).await?,
        ServicesCommand::Show(args) => {
            let id = find(client, &args.service).await?;
            let answer = client.get(&["services", &id]).await?;
            context.output.answer(&answer, |output, body| show(output, &body["service"]))?;
        }
        ServicesCommand::Create(args) => create(context, client, args).await?,
        ServicesCommand::Put(args) => put(context, client, args).await?,
        ServicesCommand::Delete(args) => delete(context, client, args).await?,
    }
    Ok(Exit::Done)
}

async fn list(context: &mut Context<'_, '_>, client: &Client, args: ListArgs) -> Result<(), Failure> {
    let query =
        [("tenant", args.tenant), ("owner", args.owner), ("lifecycle", args.lifecycle), ("text", args.text)];
    let path = &["services"];
    let list = List { path, query: &query, member: "services", columns: COLUMNS, limit: None };
    context.list(client, list).await
}

fn show(output: &mut Output<'_>, service: &Json) -> io::Result<()> {
    let mut members = service.as_object().cloned().unwrap_or_default();
    let environments = members.remove("environments");
    output.thing(&Json::Object(members))?;
    match environments.as_ref().and_then(Json::as_array) {
        Some(environments) if !environments.is_empty() => {
            output.stdout.line("")?;
            output.table(ENVIRONMENTS, environments)
        }
        _ => Ok(()),
    }
}

/// The id alone on standard output, so that scripts can take it.
async fn create(context: &mut Context<'_, '_>, client: &Client, args: CreateArgs) -> Result<(), Failure> {
    let body = read(context, &args.file)?;
    let key = args.idempotency_key.unwrap_or_else(|| random_id(context.ids, "cli"));
    let call = client.call(Method::POST, &["services"])?;
    let answered = call.header("Idempotency-Key", &key).json(&body).answer().await;
    if answered.as_ref().is_err_and(Failure::may_have_happened) {
        context.output.warn(&format!(
            "the service may have been created; the same command with `--idempotency-key {key}` finds out, \
             and never creates a second one"
        ))?;
    }
    context.output.answer(&answered?, |output, body| {
        output.stdout.line(text_at(body, "/service/id"))?;
        let (name, tenant) = (text_at(body, "/service/name"), text_at(body, "/service/tenant"));
        output.note(&format!("{name} of {tenant} is created"))?;
        warn(output, body)
    })
}

async fn put(context: &mut Context<'_, '_>, client: &Client, args: PutArgs) -> Result<(), Failure> {
    let body = read(context, &args.file)?;
    let id = find(client, &args.service).await?;
    let path = &["services", &id];
    let etag = version(client, path).await?;
    let answer = client.call(Method::PUT, path)?.header("If-Match", &etag).json(&body).answer().await?;
    context.output.answer(&answer, |output, body| {
        show(output, &body["service"])?;
        warn(output, body)
    })
}

/// What will be in the way of a provisioning.
fn warn(output: &mut Output<'_>, body: &Json) -> io::Result<()> {
    let mut warnings = body["warnings"].as_array().into_iter().flatten();
    warnings.try_for_each(|warning| {
        output.warn(&format!("{}: {}", text_at(warning, "/pointer"), text_at(warning, "/detail")))
    })
}

async fn delete(context: &mut Context<'_, '_>, client: &Client, args: DeleteArgs) -> Result<(), Failure> {
    let id = find(client, &args.service).await?;
    let path = &["services", &id];
    let etag = version(client, path).await?;
    let force = [("force", args.force.then(|| "true".to_owned()))];
    let call = client.call(Method::DELETE, path)?.query(&force).header("If-Match", &etag);
    let answer: Answer = call.answer().await?;
    context.output.answer(&answer, |output, body| {
        output.note(&format!("{} is deleted", args.service))?;
        match body["remains"].as_array() {
            Some(remains) if !remains.is_empty() => {
                output.warn("what was provisioned remains, and nobody looks after it any more:")?;
                output.table(REMAINS, remains)
            }
            _ => Ok(()),
        }
    })
}

/// What is replaced or deleted is what was there a moment ago, or the server refuses.
async fn version(client: &Client, path: &[&str]) -> Result<String, Failure> {
    client.get(path).await?.etag.ok_or_else(|| {
        Failure::Nonsense(format!("{} does not say which version of a service it has", client.site()))
    })
}

/// A service as a file has it. All that is JSON is YAML too, but the message about broken JSON is better.
fn read(context: &mut Context<'_, '_>, path: &Path) -> Result<Json, Failure> {
    let bytes = context.read(path)?;
    let said = |why: String| Failure::Usage(format!("{} is no service: {why}", path.display()));
    let text = std::str::from_utf8(&bytes).map_err(|error| said(error.to_string()))?;
    let value = if text.trim_start().starts_with('{') {
        Json::parse(text).map_err(|error| said(error.to_string()))?
    } else {
        yaml::parse(text).map_err(said)?
    };
    if value.as_object().is_some() { Ok(value) } else { Err(said("it is no object".to_owned())) }
}

/// The id of a service that is named by its id, or by its name.
pub(crate) async fn find(client: &Client, service: &str) -> Result<String, Failure> {
    if service.parse::<ServiceId>().is_ok() {
        return Ok(service.to_owned());
    }
    let found = match named(client, service).await {
        // What cannot be a name is the name of nothing.
        Err(Failure::Problem(problem)) if problem.status == 400 => Vec::new(),
        found => found?,
    };
    match found.as_slice() {
        [] => Err(Failure::Missing(format!("service `{service}`"))),
        [only] => Ok(text_at(only, "/id").to_owned()),
        several => {
            let of = |one| format!("{} of {}", text_at(one, "/id"), text_at(one, "/tenant"));
            let which = several.iter().map(of).collect::<Vec<_>>().join(", ");
            Err(Failure::Usage(format!(
                "several services are called `{service}`; name one by its id: {which}"
            )))
        }
    }
}

/// The services of this name. There is one page of them, but for whoever sees the services of all tenants, of which
/// there may be thousands.
async fn named(client: &Client, name: &str) -> Result<Vec<Json>, Failure> {
    client.all(&["services"], &[("name", Some(name.to_owned()))], "services").await
}
