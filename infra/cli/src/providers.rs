//! `providers`: CI systems, and which tenants may use what of them.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use gatehouse_domain::json::{Json, Object};
use reqwest::Method;
use serde_json::json;

use crate::{
    client::Client,
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Column, text_at},
};

/// What of a provider an edit repeats: all that it may say but who may use it.
const KEPT: [&str; 4] = ["kind", "url", "auth", "ca_certificate"];

/// What can be done with providers.
#[derive(Debug, Subcommand)]
pub enum ProvidersCommand {
    /// List providers.
    List,
    /// Show a provider, with which tenants may use what of it.
    Show(NameArgs),
    /// Ask a provider who Gatehouse is there, and whether what its jobs need will work.
    Check(NameArgs),
    /// Say which tenants may use which scopes of a provider, such as teams of Concourse: all that may, since what was
    /// said before is replaced.
    Share(ShareArgs),
}

/// Which provider.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// Its name, such as `concourse`.
    name: String,
}

/// Who may use what.
#[derive(Debug, Args)]
pub struct ShareArgs {
    /// The provider's name.
    name: String,
    #[command(flatten)]
    with: Sharing,
}

/// Who may use what: one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Sharing {
    /// A tenant and its scopes, `acme=main,team-a`; `*` in place of either is every one. Once for each tenant.
    #[arg(long, value_name = "TENANT=SCOPE,…", value_parser = TenantScopes::parse)]
    scopes: Vec<TenantScopes>,
    /// Every tenant may use everything.
    #[arg(long)]
    open_to_all: bool,
    /// Nobody may use anything.
    #[arg(long)]
    closed: bool,
}

/// A tenant and its scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantScopes {
    tenant: String,
    scopes: Vec<String>,
}

impl TenantScopes {
    fn parse(text: &str) -> Result<Self, String> {
        let form = || "write tenant=scope,scope such as acme=main,team-a".to_owned();
        let (tenant, scopes) = text.split_once('=').ok_or_else(form)?;
        let scopes: Vec<String> =
            scopes.split(',').map(str::trim).filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
        let tenant = tenant.trim().to_owned();
        if tenant.is_empty() || scopes.is_empty() { Err(form()) } else { Ok(Self { tenant, scopes }) }
    }
}

impl Sharing {
    /// Adds it to the body of an edit, as the API takes it.
    fn add_to(self, body: &mut Object) {
        if self.open_to_all {
            body.insert("open_to_all".to_owned(), Json::Bool(true));
            return;
        }
        let mut scopes = BTreeMap::<_, Vec<String>>::new();
        for of_tenant in self.scopes {
            scopes.entry(of_tenant.tenant).or_default().extend(of_tenant.scopes);
        }
        body.insert("scopes".to_owned(), json!(scopes).into());
    }
}

const COLUMNS: &[Column] =
    &[("NAME", "/name"), ("KIND", "/kind"), ("URL", "/url"), ("UPDATED", "/updated_at")];

const TEAMS: &[Column] = &[
    ("TEAM", "/team"),
    ("ROLES", "/roles"),
    ("LIST", "/list"),
    ("TRIGGER", "/trigger"),
    ("WATCH", "/watch"),
    ("CANCEL", "/cancel"),
    ("REMEDY", "/remedy"),
];

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    client: &Client,
    command: ProvidersCommand,
) -> Result<Exit, Failure> {
    match command {
        ProvidersCommand::List => {
            let answer = client.get(&["v1", "providers"]).await?;
            context.output.answer(&answer, |output, body| {
                let providers = body["providers"].as_array().unwrap_or_default();
                output.table(COLUMNS, providers)
            })?;
            Ok(Exit::Done)
        }
        ProvidersCommand::Show(args) => {
            let answer = client.get(&["v1", "providers", &args.name]).await?;
            context.output.answer(&answer, |output, body| output.thing(&body["provider"]))?;
            Ok(Exit::Done)
        }
        ProvidersCommand::Check(args) => check(context, client, &args.name).await,
        ProvidersCommand::Share(args) => {
            share(context, client, args).await?;
            Ok(Exit::Done)
        }
    }
}

async fn check(context: &mut Context<'_, '_>, client: &Client, name: &str) -> Result<Exit, Failure> {
    let answer = client.call(Method::POST, &["v1", "providers", name, "check"])?.answer().await?;
    context.output.answer(&answer, |output, body| {
        for problem in body["check"]["problems"].as_array().into_iter().flatten() {
            output.note(text_at(problem, ""))?;
        }
        // What fails is among the problems.
        let jobs = body["check"]["jobs"].as_array().into_iter().flatten();
        for job in jobs.filter(|job| text_at(job, "/trigger") != "fails") {
            let (id, trigger) = (text_at(job, "/job_id"), text_at(job, "/trigger"));
            output.note(&format!("job `{id}`: {trigger}: {}", text_at(job, "/detail")))?;
        }
        let teams = body["check"]["teams"].as_array().unwrap_or_default();
        output.table(TEAMS, teams)
    })?;
    Ok(if answer.body["check"]["ok"].as_bool() == Some(true) { Exit::Done } else { Exit::Refused })
}

/// Reads the provider first: what is changed is what was read, or the server refuses. Its secret is not shown, and
/// stays.
async fn share(context: &mut Context<'_, '_>, client: &Client, args: ShareArgs) -> Result<(), Failure> {
    let path = &["v1", "providers", &args.name];
    let shown = client.get(path).await?;
    let etag = shown.etag.ok_or_else(|| {
        Failure::Nonsense(format!("{} does not say which version of a provider it has", client.site()))
    })?;
    let provider = &shown.body["provider"];
    let kept = KEPT.iter().filter(|name| !provider[**name].is_null());
    let mut body: Object = kept.map(|name| ((*name).to_owned(), provider[*name].clone())).collect();
    args.with.add_to(&mut body);
    let answer = client.call(Method::PUT, path)?.header("If-Match", &etag).json(&body).answer().await?;
    context.output.answer(&answer, |output, body| output.thing(&body["provider"]))
}
