//! `jobs`: what can be run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::PathBuf,
};

use clap::{Args, Subcommand};
use gatehouse_domain::json::{Json, Object};
use reqwest::Method;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    context::{Context, List},
    exit::Exit,
    failure::Failure,
    output::{Column, Output, text_at},
    tokens::members,
    yaml,
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

/// How many entries are sent at once: a server has 29 s for them.
const AT_ONCE: usize = 500;

async fn import(context: &mut Context<'_, '_>, client: &Client, args: ImportArgs) -> Result<Exit, Failure> {
    let file = context.read(&args.file)?;
    let answer = if let Some(entries) = entries_of_long(&file).filter(|_| !args.atomic) {
        import_in_parts(context, client, &args, &entries).await?
    } else {
        // The server says best what is wrong with a file; only what is JSON for sure is called so.
        let is_json = serde_json::from_slice::<IgnoredAny>(&file).is_ok();
        let content_type = if is_json { "application/json" } else { "application/yaml" };
        send(client, &args, content_type, file).await?
    };
    context.output.answer(&answer, report)?;
    let refused = answer.body["summary"]["refused"].as_u64().unwrap_or_default();
    Ok(if refused == 0 { Exit::Done } else { Exit::Refused })
}

async fn send(
    client: &Client,
    args: &ImportArgs,
    content_type: &'static str,
    file: Vec<u8>,
) -> Result<Answer, Failure> {
    let query = [("tenant", args.tenant.clone()), ("atomic", args.atomic.then(|| "true".to_owned()))];
    let call = client.call(Method::POST, &["v1", "jobs", "import"])?;
    call.query(&query).body(content_type, file).answer().await
}

/// The entries of a file that has more of them than are sent at once. `None` also where the server would refuse it as a
/// whole, as where an object has two members of one name, or where two entries have one id, which only it can tell when
/// it has both.
fn entries_of_long(file: &[u8]) -> Option<Vec<Json>> {
    let text = std::str::from_utf8(file).ok()?;
    let file = match serde_json::from_str::<Once>(text) {
        Ok(_) => Json::parse(text).ok()?,
        // It is JSON, but has a member twice.
        Err(error) if error.is_data() => return None,
        // This refuses such members itself.
        Err(_) => yaml::parse(text).ok()?,
    };
    let Json::Object(mut file) = file else { return None };
    let Some(Json::Array(entries)) = file.remove("jobs") else { return None };
    let is_known = |name: &String| matches!(name.as_str(), "notes" | "version") || name.starts_with("x-");
    let ids: BTreeSet<_> = entries.iter().map(|entry| entry["job_id"].to_string()).collect();
    let is_long = entries.len() > AT_ONCE && ids.len() == entries.len();
    let is_object = |entry: &Json| entry.as_object().is_some();
    (is_long && file.keys().all(is_known) && entries.iter().all(is_object)).then_some(entries)
}

/// Looks through JSON whose objects have each member once. Of two of a name the last would be kept, and the server would
/// never see the other one.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, Self)) = members.next_entry::<String, Self>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a member stands there twice"));
            }
        }
        Ok(self)
    }
}

/// Sends the entries part by part; one report of all. Where a part fails, the parts before it stay imported, and are
/// reported at once.
async fn import_in_parts(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: &ImportArgs,
    entries: &[Json],
) -> Result<Answer, Failure> {
    let (mut summary, mut reported) =
        (BTreeMap::<String, u64>::new(), Vec::<Json>::with_capacity(entries.len()));
    for part in entries.chunks(AT_ONCE) {
        let body = Object::from([("jobs".to_owned(), Json::Array(part.to_vec()))]);
        let body = Json::Object(body).to_string().into_bytes();
        let answer = match send(client, args, "application/json", body).await {
            Ok(answer) => answer,
            Err(failure) => {
                if !reported.is_empty() {
                    context.output.answer(&whole(&summary, &reported), report)?;
                }
                let (done, all) = (reported.iter().filter(|entry| is_imported(entry)).count(), entries.len());
                context.output.warn(&format!(
                    "{done} of {all} entries were imported; the same command again goes on with the others"
                ))?;
                return Err(failure);
            }
        };
        for (name, count) in answer.body["summary"].as_object().into_iter().flatten() {
            *summary.entry(name.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
        let before = reported.len();
        let of_part = answer.body["entries"].as_array().unwrap_or_default();
        reported.extend(of_part.iter().map(|entry| moved(entry.clone(), before)));
    }
    Ok(whole(&summary, &reported))
}

/// The report of several parts, as the server would have made it of all.
fn whole(summary: &BTreeMap<String, u64>, reported: &[Json]) -> Answer {
    let entries = Json::Array(reported.to_vec());
    let body = [("summary".to_owned(), json!(summary).into()), ("entries".to_owned(), entries)];
    let body = Json::Object(body.into());
    Answer { text: body.to_string(), body, etag: None }
}

/// Whether the job is as its entry wants it now.
fn is_imported(entry: &Json) -> bool {
    !matches!(text_at(entry, "/outcome"), "refused" | "skipped")
}

/// What is said of an entry that stands `by` entries further on in the whole file.
fn moved(mut entry: Json, by: usize) -> Json {
    if let Json::Object(members) = &mut entry
        && let Some(Json::Array(errors)) = members.get_mut("errors")
    {
        for error in errors {
            if let Some(pointer) = moved_pointer(text_at(error, "/pointer"), by)
                && let Json::Object(members) = error
            {
                members.insert("pointer".to_owned(), Json::String(pointer));
            }
        }
    }
    entry
}

fn moved_pointer(pointer: &str, by: usize) -> Option<String> {
    let rest = pointer.strip_prefix("/jobs/")?;
    let (index, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let index = index.parse::<usize>().map_or_else(|_| index.to_owned(), |index| (index + by).to_string());
    Some(format!("/jobs/{index}{rest}"))
}

fn report(output: &mut Output<'_>, body: &Json) -> io::Result<()> {
    let entries = body["entries"].as_array().unwrap_or_default();
    output.table(REPORT, entries)?;
    for entry in entries {
        for error in entry["errors"].as_array().into_iter().flatten() {
            let (job, pointer) = (text_at(entry, "/job_id"), text_at(error, "/pointer"));
            // The API names its query where people have a flag.
            let detail = text_at(error, "/detail").replace("?tenant=", "--tenant");
            output.note(&format!("{job}: {pointer}: {detail}"))?;
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
        let jobs = Object::from([("jobs".to_owned(), body["jobs"].clone())]);
        output.stdout.line(&serde_json::to_string_pretty(&jobs)?)
    })?;
    Ok(Exit::Done)
}
