//! `catalog`: the entities of catalog files.

use std::{io, path::PathBuf};

use clap::{Args, Subcommand};
use gatehouse_domain::json::Json;
use reqwest::Method;
use serde::de::IgnoredAny;

use crate::{
    client::{Call, Client},
    context::{Context, List},
    exit::Exit,
    failure::Failure,
    output::{Column, Output, text_at},
};

/// What can be done with entities.
#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// Import a catalog file, `catalog-info.yaml`: create what is new, replace what is different, leave the rest.
    Import(ImportArgs),
    /// List entities.
    List(ListArgs),
    /// Show an entity, with what it has to do with others.
    Show(EntityArgs),
    /// Delete an entity.
    Delete(EntityArgs),
}

/// What is imported.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file, YAML or JSON; `-` is standard input.
    #[arg(short, long)]
    file: PathBuf,
    /// Whose the entities are to be; your only tenant's without it.
    #[arg(long)]
    tenant: Option<String>,
    /// Import everything or nothing.
    #[arg(long)]
    atomic: bool,
    /// Say only what would be done.
    #[arg(long)]
    dry_run: bool,
}

/// Which entities are listed.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Those of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Those of this kind: `component`, `system`, `api`, `resource` or `group`.
    #[arg(long)]
    kind: Option<String>,
    /// Those that this group or user owns: `platform`, `user:ada`.
    #[arg(long)]
    owner: Option<String>,
    /// Those of this system.
    #[arg(long)]
    system: Option<String>,
    /// Those with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Those so far in their life.
    #[arg(long)]
    lifecycle: Option<String>,
    /// The groups that this user is in.
    #[arg(long)]
    member: Option<String>,
}

/// Which entity.
#[derive(Debug, Args)]
pub struct EntityArgs {
    /// `<kind>:[<namespace>/]<name>`: `component:shop`.
    entity: String,
    /// The tenant that it belongs to; your only one without it.
    #[arg(long)]
    tenant: Option<String>,
}

const COLUMNS: &[Column] = &[
    ("ENTITY", "/ref"),
    ("TENANT", "/tenant"),
    ("TYPE", "/spec/type"),
    ("OWNER", "/spec/owner"),
    ("LIFECYCLE", "/spec/lifecycle"),
];

const REPORT: &[Column] = &[("OUTCOME", "/outcome"), ("ENTITY", "/entity")];

const RELATIONS: &[Column] = &[("RELATION", "/type"), ("ENTITY", "/targetRef"), ("MISSING", "/missing")];

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    client: &Client,
    command: CatalogCommand,
) -> Result<Exit, Failure> {
    match command {
        CatalogCommand::Import(args) => return import(context, client, args).await,
        CatalogCommand::List(args) => list(context, client, args).await?,
        CatalogCommand::Show(args) => {
            let answer = call(client, Method::GET, &args)?.answer().await?;
            context.output.answer(&answer, show)?;
        }
        CatalogCommand::Delete(args) => delete(context, client, &args).await?,
    }
    Ok(Exit::Done)
}

async fn import(context: &mut Context<'_, '_>, client: &Client, args: ImportArgs) -> Result<Exit, Failure> {
    let file = context.read(&args.file)?;
    // The server says best what is wrong with a file; only what is JSON for sure is called so.
    let is_json = serde_json::from_slice::<IgnoredAny>(&file).is_ok();
    let content_type = if is_json { "application/json" } else { "application/yaml" };
    let flag = |flag: bool| flag.then(|| "true".to_owned());
    let query = [("tenant", args.tenant), ("atomic", flag(args.atomic)), ("dry_run", flag(args.dry_run))];
    let call = client.call(Method::POST, &["v1", "catalog", "import"])?;
    let answer = call.query(&query).body(content_type, file).answer().await?;
    context.output.answer(&answer, report)?;
    let refused = answer.body["summary"]["refused"].as_u64().unwrap_or_default();
    Ok(if refused == 0 { Exit::Done } else { Exit::Refused })
}

fn report(output: &mut Output<'_>, body: &Json) -> io::Result<()> {
    let entries = body["entries"].as_array().unwrap_or_default();
    output.table(REPORT, entries)?;
    for entry in entries {
        let entity = text_at(entry, "/entity");
        if let Some(reason) = entry["reason"].as_str() {
            output.note(&format!("{entity}: {reason}"))?;
        }
        for error in entry["errors"].as_array().into_iter().flatten() {
            output.note(&format!(
                "{entity}: {}: {}",
                text_at(error, "/pointer"),
                text_at(error, "/detail")
            ))?;
        }
        for pointer in entry["ignored"].as_array().into_iter().flatten() {
            output.note(&format!("{entity}: {} is not kept", pointer.as_str().unwrap_or_default()))?;
        }
    }
    let counts = body["summary"].as_object().into_iter().flatten();
    let counts = counts.map(|(name, count)| format!("{count} {}", name.replace('_', " ")));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let written = if body["dry_run"].as_bool() == Some(true) { "; nothing was written" } else { "" };
    output.note(&format!("{counts}{written}"))
}

async fn list(context: &mut Context<'_, '_>, client: &Client, args: ListArgs) -> Result<(), Failure> {
    let query = [
        ("tenant", args.tenant),
        ("kind", args.kind),
        ("owner", args.owner),
        ("system", args.system),
        ("tag", args.tag),
        ("lifecycle", args.lifecycle),
        ("member", args.member),
    ];
    let path = &["v1", "catalog", "entities"];
    context
        .list(client, List { path, query: &query, member: "entities", columns: COLUMNS, limit: None })
        .await
}

fn show(output: &mut Output<'_>, body: &Json) -> io::Result<()> {
    output.thing(&body["entity"])?;
    match body["relations"].as_array() {
        Some(relations) if !relations.is_empty() => {
            output.stdout.line("")?;
            output.table(RELATIONS, relations)
        }
        _ => Ok(()),
    }
}

async fn delete(context: &mut Context<'_, '_>, client: &Client, args: &EntityArgs) -> Result<(), Failure> {
    // What is deleted is what was there a moment ago, or the server refuses.
    let found = call(client, Method::GET, args)?.answer().await?;
    let etag = found.etag.ok_or_else(|| {
        Failure::Nonsense(format!("{} does not say which version of an entity it has", client.site()))
    })?;
    let answer = call(client, Method::DELETE, args)?.header("If-Match", &etag).answer().await?;
    context
        .output
        .answer(&answer, |output, body| output.note(&format!("{} is deleted", text_at(body, "/deleted"))))
}

/// A call about one entity.
fn call<'a>(client: &'a Client, method: Method, args: &EntityArgs) -> Result<Call<'a>, Failure> {
    let unreadable =
        || Failure::Usage(format!("`{}` is no entity: write `<kind>:[<namespace>/]<name>`", args.entity));
    let (kind, rest) = args.entity.split_once(':').ok_or_else(unreadable)?;
    let (namespace, name) = rest.split_once('/').unwrap_or(("default", rest));
    if [kind, namespace, name].contains(&"") {
        return Err(unreadable());
    }
    let path = &["v1", "catalog", "entities", kind, namespace, name];
    Ok(client.call(method, path)?.query(&[("tenant", args.tenant.clone())]))
}
