//! `import`: creates what a file has and this Gatehouse has not.

use std::{collections::BTreeMap, mem, path::PathBuf};

use clap::Args;
use gatehouse_domain::{
    clock::random_id,
    json::{Json, Object},
};
use reqwest::Method;
use serde_json::json;

use super::{
    document::Document,
    export::provisioned,
    given::Given,
    kind::{Kind, members},
    report::{Outcome, Report},
};
use crate::{
    client::{Answer, Call, Client},
    context::Context,
    exit::Exit,
    failure::{Failure, Problem},
    output::text_at,
    retry::Retries,
};

/// How many entities are sent at once, and how many bytes of them: a body is at most 1 MiB, and one may have 128 KiB.
const ENTITIES_AT_ONCE: usize = 50;
const BYTES_AT_ONCE: usize = 500_000;

/// Why something stays as it is.
const OTHERWISE: &str = "it is there, and otherwise than in the file; --overwrite replaces it";

/// What is imported.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file; `-` is standard input.
    file: PathBuf,
    /// Only these, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    only: Vec<Kind>,
    /// Say only what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Replace what is there and otherwise than in the file.
    #[arg(long)]
    overwrite: bool,
    /// A file with secrets, YAML or JSON: those of `providers` by their names, and `secret_inputs` by `<tenant>/<service>`,
    /// environment and input.
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
}

/// Imports one file.
struct Importer<'c, 'a, 'w> {
    context: &'c mut Context<'a, 'w>,
    client: &'c Client,
    dry_run: bool,
    overwrite: bool,
    given: Given,
    report: Report,
    /// Tenants that are completed when everything else is there, and whether they are new.
    incomplete: Vec<(Json, bool)>,
}

/// What an entry asks for.
enum Step {
    Create,
    Replace,
    Nothing(Outcome),
}

pub(crate) async fn import(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: ImportArgs,
) -> Result<Exit, Failure> {
    let document = Document::parse(&context.read(&args.file)?, &args.file)?;
    let given = match &args.secrets {
        None => Given::default(),
        Some(path) => Given::parse(&context.read(path)?, path)?,
    };
    if let (Some(path), Err(why)) = (&args.secrets, given.check(&document)) {
        return Err(Failure::Usage(format!("{} has a secret that nothing takes: {why}", path.display())));
    }
    let mut importer = Importer {
        context,
        client,
        dry_run: args.dry_run,
        overwrite: args.overwrite,
        given,
        report: Report::new(args.dry_run),
        incomplete: Vec::new(),
    };
    let done = importer.import(&document, &args.only).await;
    let Importer { context, report, .. } = importer;
    report.print(context.output)?;
    if done.is_err() {
        context
            .output
            .warn("the import was not finished; the same command again goes on with what is left")?;
    }
    done.map(|()| report.exit())
}

impl Importer<'_, '_, '_> {
    async fn import(&mut self, document: &Document, only: &[Kind]) -> Result<(), Failure> {
        for kind in Kind::chosen(only) {
            let entries = document.entries(kind);
            if entries.is_empty() {
                continue;
            }
            match kind {
                Kind::Tenants => self.bring_tenants(entries).await?,
                Kind::Entities => self.bring_entities(entries).await?,
                Kind::ApiKeys | Kind::Tokens => self.name_missing(kind, entries).await?,
                _ => self.bring(kind, entries).await?,
            }
        }
        self.complete_tenants().await
    }

    /// What there is of a kind, by name. Who may not see that is refused each entry; the other kinds are tried.
    async fn there(
        &mut self,
        kind: Kind,
        entries: &[Json],
    ) -> Result<Option<BTreeMap<String, Json>>, Failure> {
        let shown = match kind.read(self.client).await {
            Err(Failure::Problem(problem)) if problem.status == 403 && is_about_one(&problem) => {
                for entry in entries {
                    let why = format!("what is there may not be seen: {}", problem.reason());
                    self.report.add(kind, &kind.name_of(entry), Outcome::Refused(why));
                }
                return Ok(None);
            }
            shown => shown?,
        };
        Ok(Some(shown.into_iter().map(|entry| (kind.name_of(&entry), entry)).collect()))
    }

    fn step(&self, kind: Kind, entry: &Json, shown: Option<&Json>) -> Step {
        match shown {
            None => Step::Create,
            Some(shown)
                if self.given.is_same(kind, entry, shown)
                    && !(self.overwrite && self.given.has_secrets_of(kind, entry)) =>
            {
                Step::Nothing(Outcome::Unchanged)
            }
            Some(_) if self.overwrite => Step::Replace,
            Some(_) => Step::Nothing(Outcome::Refused(OTHERWISE.to_owned())),
        }
    }

    /// Everything whose entries are written one by one.
    async fn bring(&mut self, kind: Kind, entries: &[Json]) -> Result<(), Failure> {
        let Some(there) = self.there(kind, entries).await? else { return Ok(()) };
        for entry in entries {
            let name = kind.name_of(entry);
            let shown = there.get(&name);
            let outcome = match (self.step(kind, entry, shown), shown) {
                (Step::Nothing(outcome), _) => outcome,
                (Step::Replace, Some(shown)) => self.replace(kind, entry, shown).await?,
                (Step::Create | Step::Replace, _) => self.create(kind, entry).await?,
            };
            self.name_what_is_missing(kind, entry, shown, &outcome).await?;
            self.report.add(kind, &name, outcome);
        }
        Ok(())
    }

    async fn create(&mut self, kind: Kind, entry: &Json) -> Result<Outcome, Failure> {
        let (client, name) = (self.client, kind.name_of(entry));
        if kind == Kind::Users {
            return self.create_user(entry).await;
        }
        if kind == Kind::Providers && !self.given.completes_account(entry) {
            return Ok(Outcome::Refused("its secret is not in the file; give it with --secrets".to_owned()));
        }
        let body = self.given.body(kind, entry, None);
        let call = match kind {
            // Its name, of which a tenant has one, keeps it from being there twice.
            Kind::Services => client.call(Method::POST, &["services"])?,
            // Without conditions.
            Kind::Modules => at(client, Method::PUT, kind, &name)?,
            _ => at(client, Method::PUT, kind, &name)?.header("If-None-Match", "*"),
        };
        self.attempt(call.query(&tenant_of_job(kind, entry)).json(&body), Outcome::Created).await
    }

    /// With a password that nobody knows, so that nothing is open to them until they are given another one.
    async fn create_user(&mut self, user: &Json) -> Result<Outcome, Failure> {
        if self.dry_run {
            return Ok(Outcome::Created);
        }
        let (client, ids) = (self.client, self.context.ids);
        let mut body = members(user);
        let is_disabled = body.remove("state").is_some_and(|state| state.as_str() == Some("disabled"));
        let password = [random_id(ids, "a"), random_id(ids, "b")].concat();
        body.insert("password".to_owned(), Json::String(password));
        let call = client.call(Method::POST, &["v1", "users"])?.json(&Json::Object(body));
        let created = match self.send(call).await {
            Ok(created) => created,
            Err(failure) => return refusal(failure).map(Outcome::Refused),
        };
        if !is_disabled {
            return Ok(Outcome::Created);
        }
        let etag = self.etag(created)?;
        let call = at(client, Method::PATCH, Kind::Users, text_at(user, "/user_name"))?;
        let call = call.header("If-Match", &etag).json(&json!({ "state": "disabled" }));
        self.attempt(call, Outcome::Created).await
    }

    /// Replaces what was there a moment ago, or the server refuses.
    async fn replace(&mut self, kind: Kind, entry: &Json, shown: &Json) -> Result<Outcome, Failure> {
        if self.dry_run {
            return Ok(Outcome::Changed);
        }
        let (client, name) = (self.client, kind.name_of(entry));
        let id = if kind == Kind::Services { text_at(shown, "/id") } else { name.as_str() };
        let method = if kind == Kind::Users { Method::PATCH } else { Method::PUT };
        let mut call = at(client, method, kind, id)?.query(&tenant_of_job(kind, entry));
        // A module has no version.
        if kind != Kind::Modules {
            let now = match at(client, Method::GET, kind, id)?.answer().await {
                Ok(now) => now,
                Err(failure) => return refusal(failure).map(Outcome::Refused),
            };
            if kind.kept(&now.body[kind.word()]) != kind.kept(shown) {
                return Ok(Outcome::Refused("it was changed just now; import it again".to_owned()));
            }
            call = call.header("If-Match", &self.etag(now)?);
        }
        let body = self.given.body(kind, entry, Some(shown));
        self.attempt(call.json(&body), Outcome::Changed).await
    }

    // ── Tenants ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// Their default projects do not exist yet; and whoever imports may have no second factor, and would be shut out in
    /// the middle. So that comes last.
    async fn bring_tenants(&mut self, tenants: &[Json]) -> Result<(), Failure> {
        let (client, kind) = (self.client, Kind::Tenants);
        let Some(there) = self.there(kind, tenants).await? else { return Ok(()) };
        for tenant in tenants {
            let name = kind.name_of(tenant);
            let shown = there.get(&name);
            match self.step(kind, tenant, shown) {
                Step::Create => {
                    let body = json!({ "display_name": text_at(tenant, "/display_name") });
                    let call = at(client, Method::PUT, kind, &name)?.json(&body);
                    let outcome = self.attempt(call, Outcome::Created).await?;
                    if matches!(outcome, Outcome::Created) && !is_begun(tenant, tenant) {
                        self.incomplete.push((tenant.clone(), true));
                    }
                    self.report.add(kind, &name, outcome);
                }
                Step::Replace => self.incomplete.push((tenant.clone(), false)),
                // What an import that was interrupted has left of it.
                Step::Nothing(Outcome::Refused(_)) if shown.is_some_and(|shown| is_begun(tenant, shown)) => {
                    self.incomplete.push((tenant.clone(), false));
                }
                Step::Nothing(outcome) => self.report.add(kind, &name, outcome),
            }
        }
        Ok(())
    }

    async fn complete_tenants(&mut self) -> Result<(), Failure> {
        let (client, kind) = (self.client, Kind::Tenants);
        for (tenant, is_new) in mem::take(&mut self.incomplete) {
            let name = kind.name_of(&tenant);
            let mut body = members(&self.given.body(kind, &tenant, None));
            body.entry("default_project".to_owned()).or_insert(Json::Null);
            let call = at(client, Method::PUT, kind, &name)?.json(&Json::Object(body));
            let outcome = self.attempt(call, Outcome::Changed).await?;
            // A new one has been reported as such.
            if !(is_new && matches!(outcome, Outcome::Changed)) {
                self.report.add(kind, &name, outcome);
            }
        }
        Ok(())
    }

    // ── Entities ────────────────────────────────────────────────────────────────────────────────────────────────

    async fn bring_entities(&mut self, entities: &[Json]) -> Result<(), Failure> {
        let kind = Kind::Entities;
        let Some(there) = self.there(kind, entities).await? else { return Ok(()) };
        let mut wanted = BTreeMap::<&str, Vec<&Json>>::new();
        for entity in entities {
            let name = kind.name_of(entity);
            let outcome = match self.step(kind, entity, there.get(&name)) {
                Step::Nothing(outcome) => outcome,
                Step::Create if self.dry_run => Outcome::Created,
                Step::Replace if self.dry_run => Outcome::Changed,
                Step::Create | Step::Replace => {
                    wanted.entry(text_at(entity, "/tenant")).or_default().push(entity);
                    continue;
                }
            };
            self.report.add(kind, &name, outcome);
        }
        for (tenant, entities) in wanted {
            for part in parts(&entities) {
                self.send_entities(tenant, &part).await?;
            }
        }
        Ok(())
    }

    async fn send_entities(&mut self, tenant: &str, entities: &[&Json]) -> Result<(), Failure> {
        let (client, kind) = (self.client, Kind::Entities);
        let documents = entities.iter().map(|entity| self.given.body(kind, entity, None)).collect();
        let call = client.call(Method::POST, &["v1", "catalog", "import"])?;
        let call = call.query(&[("tenant", Some(tenant.to_owned()))]).json(&Json::Array(documents));
        let report = match self.send(call).await {
            Ok(answer) => Ok(answer.body),
            Err(failure) => Err(refusal(failure)?),
        };
        for (place, entity) in entities.iter().enumerate() {
            let outcome = match &report {
                Ok(report) => outcome_of(&report["entries"][place]),
                Err(reason) => Outcome::Refused(reason.clone()),
            };
            self.report.add(kind, &kind.name_of(entity), outcome);
        }
        Ok(())
    }

    // ── What is left to people ──────────────────────────────────────────────────────────────────────────────────

    async fn name_what_is_missing(
        &mut self,
        kind: Kind,
        entry: &Json,
        shown: Option<&Json>,
        outcome: &Outcome,
    ) -> Result<(), Failure> {
        let name = kind.name_of(entry);
        if matches!(outcome, Outcome::Refused(_)) {
            if kind == Kind::Providers && shown.is_none() && !self.given.completes_account(entry) {
                self.report.by_hand(format!("provider {name}: the secret of its account"));
            }
            return Ok(());
        }
        match kind {
            Kind::Users => {
                let chose_one =
                    shown.is_some_and(|user| user["must_change_password"].as_bool() == Some(false));
                if !chose_one {
                    self.report
                        .by_hand(format!("user {name}: a password, by `gatehouse users password {name}`"));
                }
            }
            Kind::Services => {
                for (environment, input) in self.given.missing_inputs(entry, shown) {
                    self.report
                        .by_hand(format!("service {name}: the secret input `{input}` of `{environment}`"));
                }
                let there = members(&entry["infrastructure"]);
                let here = match shown {
                    Some(shown) if !there.is_empty() => provisioned(self.client, shown).await?,
                    _ => Object::new(),
                };
                for (environment, state) in there {
                    if !here.contains_key(&environment) {
                        let state = state.as_str().unwrap_or_default();
                        self.report.by_hand(format!(
                            "service {name}: `{environment}` is {state} where this was exported, and nothing of that \
                             is known here (docs/RECOVERY.md)"
                        ));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Keys and tokens are made anew, by whoever is to hold them.
    async fn name_missing(&mut self, kind: Kind, entries: &[Json]) -> Result<(), Failure> {
        let there = match kind.read(self.client).await {
            // They are only told of; who may not see them is told of all.
            Err(Failure::Problem(problem)) if problem.status == 403 => Vec::new(),
            there => there?,
        };
        let (told_apart, how): (&[&str], _) = if kind == Kind::ApiKeys {
            (&["name", "scopes", "tenants"], "gatehouse keys mint")
        } else {
            (&["project", "service", "description"], "gatehouse tokens mint")
        };
        for entry in entries {
            let is_there = |shown: &Json| told_apart.iter().all(|member| shown[*member] == entry[*member]);
            if !there.iter().any(is_there) {
                let person = entry["minted_by"].as_str().filter(|minter| minter.starts_with("user:"));
                let of = person.map(|person| format!(" of {person}")).unwrap_or_default();
                let (word, name) = (kind.word(), kind.name_of(entry));
                self.report.by_hand(format!("{word} {name}{of}: a new one, by `{how}`"));
            }
        }
        Ok(())
    }

    // ── Calls ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Sends a call that comes to `done`, unless the server refuses it.
    async fn attempt(&mut self, call: Call<'_>, done: Outcome) -> Result<Outcome, Failure> {
        if self.dry_run {
            return Ok(done);
        }
        match self.send(call).await {
            Ok(_) => Ok(done),
            Err(failure) => refusal(failure).map(Outcome::Refused),
        }
    }

    /// Sends a call, again as long as the server says that it was not done yet.
    async fn send(&mut self, call: Call<'_>) -> Result<Answer, Failure> {
        let mut retries = Retries::new();
        loop {
            let Some(once) = call.again() else { return self.context.send(self.client, call).await };
            match self.context.send(self.client, once).await {
                Err(Failure::Problem(problem)) if matches!(problem.status, 429 | 503) => {
                    let retry = retries.retry(Failure::Problem(problem))?;
                    self.context.clock.sleep(retry.wait).await;
                }
                answer => return answer,
            }
        }
    }

    fn etag(&self, answer: Answer) -> Result<String, Failure> {
        let site = self.client.site();
        answer.etag.ok_or_else(|| Failure::Nonsense(format!("{site} does not say which version this is")))
    }
}

/// A call about one thing.
fn at<'c>(client: &'c Client, method: Method, kind: Kind, id: &str) -> Result<Call<'c>, Failure> {
    let path: Vec<&str> = kind.path().iter().copied().chain([id]).collect();
    client.call(method, &path)
}

/// A job makes its project, where that is not imported with it.
fn tenant_of_job(kind: Kind, entry: &Json) -> [(&'static str, Option<String>); 1] {
    let tenant = entry["tenant"].as_str().filter(|_| kind == Kind::Jobs);
    [("tenant", tenant.map(str::to_owned))]
}

/// Why the server refuses one entry, which leaves the others to be tried. Everything else ends the import.
fn refusal(failure: Failure) -> Result<String, Failure> {
    match failure {
        Failure::Problem(problem) if is_about_one(&problem) => Ok(problem.reason()),
        failure => Err(failure),
    }
}

fn is_about_one(problem: &Problem) -> bool {
    let is_about_caller = ["/problems/action-required", "/problems/reauthentication-required"];
    matches!(problem.status, 400 | 403 | 404 | 409..=422 | 428)
        && !is_about_caller.contains(&problem.r#type.as_str())
}

/// Whether a tenant is as the first step of an import leaves it.
fn is_begun(tenant: &Json, shown: &Json) -> bool {
    tenant["display_name"] == shown["display_name"]
        && shown["default_project"].is_null()
        && shown["require_second_factor"].as_bool() == Some(false)
}

/// What the server says of an entity.
fn outcome_of(entry: &Json) -> Outcome {
    match text_at(entry, "/outcome") {
        "created" => Outcome::Created,
        "changed" => Outcome::Changed,
        "unchanged" => Outcome::Unchanged,
        _ => {
            let errors = entry["errors"].as_array().unwrap_or_default().iter();
            let errors = errors.map(|error| match text_at(error, "/pointer") {
                "" => text_at(error, "/detail").to_owned(),
                pointer => format!("{pointer}: {}", text_at(error, "/detail")),
            });
            let reason = entry["reason"].as_str().map(str::to_owned);
            Outcome::Refused(errors.chain(reason).collect::<Vec<_>>().join("; "))
        }
    }
}

/// Entities in parts that can be sent.
fn parts<'e>(entities: &[&'e Json]) -> Vec<Vec<&'e Json>> {
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    for entity in entities {
        let size = entity.to_string().len();
        if !part.is_empty() && (part.len() == ENTITIES_AT_ONCE || bytes + size > BYTES_AT_ONCE) {
            parts.push(mem::take(&mut part));
            bytes = 0;
        }
        part.push(*entity);
        bytes += size;
    }
    parts.push(part);
    parts
}
