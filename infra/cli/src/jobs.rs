//! `jobs`: what can be run.

use std::{io, path::PathBuf};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    context::{Context, List},
    exit::Exit,
    failure::Failure,
    output::{Column, Output, text_at},
    tokens::members,
};

/// What can be done with jobs.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// List jobs.
    List(ListArgs),
    /// Import a jobs file, YAML or JSON: create what is new, replace what is different, leave the rest.
    Import(ImportArgs),
    /// Read a CI system's own jobs and print entries that `import` takes. Nothing is saved.
    Discover(DiscoverArgs),
}

/// Which jobs are listed.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Those of this project.
    #[arg(long)]
    project: Option<String>,
    /// Those for this environment.
    #[arg(long)]
    environment: Option<String>,
}

/// What is imported.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file; `-` is standard input.
    file: PathBuf,
    /// The tenant that projects which do not exist yet are to belong to.
    #[arg(long)]
    tenant: Option<String>,
    /// Import everything or nothing.
    #[arg(long)]
    atomic: bool,
}

/// What is discovered.
#[derive(Debug, Args)]
pub struct DiscoverArgs {
    /// The project that the entries are to name.
    #[arg(long)]
    project: String,
    /// The tenant that a project which does not exist yet is to belong to.
    #[arg(long)]
    tenant: Option<String>,
    /// The provider to read; `concourse` without it.
    #[arg(long)]
    provider: Option<String>,
    /// The environment that the entries are to name.
    #[arg(long)]
    environment: Option<String>,
    /// The teams to read, separated by commas; all that the project's tenant may use without it.
    #[arg(long, value_delimiter = ',')]
    teams: Vec<String>,
}

const COLUMNS: &[Column] = &[
    ("JOB", "/job_id"),
    ("PROJECT", "/project"),
    ("TENANT", "/tenant"),
    ("ENVIRONMENT", "/environment"),
    ("PROVIDER", "/provider/kind"),
    ("NAME", "/display_name"),
];

const REPORT: &[Column] = &[("OUTCOME", "/outcome"), ("JOB", "/job_id")];

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    client: &Client,
    command: JobsCommand,
) -> Result<Exit, Failure> {
    match command {
        JobsCommand::List(args) => {
            let query = [("project", args.project), ("environment", args.environment)];
            let path = &["v1", "jobs"];
            let list = List { path, query: &query, member: "jobs", columns: COLUMNS, limit: None };
            context.list(client, list).await?;
            Ok(Exit::Done)
        }
        JobsCommand::Import(args) => import(context, client, args).await,
        JobsCommand::Discover(args) => discover(context, client, args).await,
    }
}

async fn import(context: &mut Context<'_, '_>, client: &Client, args: ImportArgs) -> Result<Exit, Failure> {
    let file = context.read(&args.file)?;
    // The server says best what is wrong with a file; only what is JSON for sure is called so.
    let is_json = serde_json::from_slice::<Value>(&file).is_ok();
    let content_type = if is_json { "application/json" } else { "application/yaml" };
    let query = [("tenant", args.tenant), ("atomic", args.atomic.then(|| "true".to_owned()))];
    let call = client.call(Method::POST, &["v1", "jobs", "import"])?;
    let answer = call.query(&query).body(content_type, file).answer().await?;
    context.output.answer(&answer, report)?;
    let refused = answer.body["summary"]["refused"].as_u64().unwrap_or_default();
    Ok(if refused == 0 { Exit::Done } else { Exit::Refused })
}

fn report(output: &mut Output<'_>, body: &Value) -> io::Result<()> {
    let entries = body["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    output.table(REPORT, entries)?;
    for entry in entries {
        for error in entry["errors"].as_array().into_iter().flatten() {
            let (job, pointer) = (text_at(entry, "/job_id"), text_at(error, "/pointer"));
            output.note(&format!("{job}: {pointer}: {}", text_at(error, "/detail")))?;
        }
    }
    let counts =
        body["summary"].as_object().into_iter().flatten().map(|(name, count)| format!("{count} {name}"));
    output.note(&counts.collect::<Vec<_>>().join(", "))
}

async fn discover(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: DiscoverArgs,
) -> Result<Exit, Failure> {
    let teams = (!args.teams.is_empty()).then(|| json!(args.teams));
    let body = members([
        ("project", Some(json!(args.project))),
        ("tenant", args.tenant.map(Value::from)),
        ("provider", args.provider.map(Value::from)),
        ("environment", args.environment.map(Value::from)),
        ("teams", teams),
    ]);
    let answer: Answer = client.post(&["v1", "jobs", "discover"], &body).await?;
    context.output.answer(&answer, |output, body| {
        for note in body["notes"].as_array().into_iter().flatten() {
            output.note(&format!("{}: {}", text_at(note, "/job_id"), text_at(note, "/note")))?;
        }
        output.stdout.line(&format!("{:#}", json!({ "jobs": body["jobs"] })))
    })?;
    Ok(Exit::Done)
}
