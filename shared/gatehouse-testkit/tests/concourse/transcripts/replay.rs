//! Asks the twin what the real one was asked, when its builds stand as those did.

use std::{collections::BTreeMap, time::Duration};

use gatehouse_testkit::{
    concourse::{ConcourseTwin, Status, Version},
    recordings::Exchange,
};
use http::Method;
use serde_json::Value;

use super::{
    compare::differences,
    world::{self, ACCOUNTS, PASSWORD},
};
use crate::client::{Client, SCOPES};

const HELLO_JOB: &str = "/api/v1/teams/main/pipelines/example-pipeline/jobs/hello-job/builds";

const GET_TASK_PUT: &str = "/api/v1/teams/main/pipelines/steps/jobs/get-task-put/builds";

pub struct Replay<'e> {
    twin: ConcourseTwin,
    exchanges: &'e [Exchange],
    clients: BTreeMap<&'static str, Client>,
    /// The twin's ids of recorded builds.
    ids: BTreeMap<i64, i64>,
    /// The twin's names of recorded builds, by the job's path.
    names: BTreeMap<(String, String), String>,
    /// A build that holds those behind it back.
    before: Option<i64>,
}

/// A build as it was shown.
struct Shown<'v> {
    id: i64,
    name: &'v str,
    job: String,
    status: &'v str,
    has_started: bool,
    created_by: &'v str,
    rerun_of: Option<&'v Value>,
}

impl<'v> Shown<'v> {
    fn of(value: &'v Value) -> Option<Self> {
        let team = value["team_name"].as_str()?;
        let (pipeline, job) = (value["pipeline_name"].as_str()?, value["job_name"].as_str()?);
        let vars = &value["pipeline_instance_vars"];
        let query =
            if vars.is_null() { String::new() } else { format!("?vars={}", escaped(&vars.to_string())) };
        value["api_url"].as_str()?;
        Some(Self {
            id: value["id"].as_i64()?,
            name: value["name"].as_str()?,
            job: format!("/api/v1/teams/{team}/pipelines/{pipeline}/jobs/{job}/builds{query}"),
            status: value["status"].as_str()?,
            has_started: !value["start_time"].is_null(),
            created_by: value["created_by"].as_str().unwrap_or("ci-gateway"),
            rerun_of: value.get("rerun_of"),
        })
    }
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Every build that stands anywhere in a body.
fn builds(value: &Value) -> Vec<Shown<'_>> {
    let inner: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(members) => Box::new(members.values()),
        _ => Box::new(std::iter::empty()),
    };
    Shown::of(value).into_iter().chain(inner.flat_map(builds)).collect()
}

fn json(exchange: &Exchange) -> Value {
    let body = exchange.answer.body.as_deref().unwrap_or_default();
    serde_json::from_str(body).unwrap_or_default()
}

/// The build that a path is about.
fn build_of(target: &str) -> Option<i64> {
    target.strip_prefix("/api/v1/builds/")?.split(['/', '?']).next()?.parse().ok()
}

impl<'e> Replay<'e> {
    pub async fn start(version: Version, folder: &str, file: &str, exchanges: &'e [Exchange]) -> Self {
        let twin = world::builder(version, folder, file).start().await;
        let mut clients = BTreeMap::from([("nobody", Client::anonymous(&twin))]);
        for account in ACCOUNTS {
            clients.insert(account, Client::login_with(&twin, account, SCOPES).await);
        }
        clients.insert("openid only", Client::login_with(&twin, "ci-gateway", "openid").await);
        let mut replay =
            Self { twin, exchanges, clients, ids: BTreeMap::new(), names: BTreeMap::new(), before: None };
        match file {
            "paging-reruns" => {
                // The first is older than the third, and was run again after it as well.
                replay.make(HELLO_JOB, &[(93, ""), (97, "/1"), (144, ""), (146, "/1")]).await;
            }
            "paging" => {
                let reruns = [(130, "/4"), (131, "/4"), (132, "/4")];
                replay.make(GET_TASK_PUT, &[(21, ""), (31, ""), (109, ""), (127, "")]).await;
                replay.make(GET_TASK_PUT, &reruns).await;
                replay.make(HELLO_JOB, &[(141, "")]).await;
            }
            "jobs" if version == Version::V7_14 => {
                // One job has been run, and is to be run again.
                replay.make(HELLO_JOB, &[(1, "")]).await;
                replay.trigger("ci-gateway", HELLO_JOB).await;
            }
            "cancel" => {
                // Older builds that wait stand before those that are cancelled.
                for (pipeline, job) in [("waiting", "paused-job"), ("paused", "plain")] {
                    replay
                        .trigger(
                            "ci-gateway",
                            &format!("/api/v1/teams/main/pipelines/{pipeline}/jobs/{job}/builds"),
                        )
                        .await;
                }
            }
            "build-states" => {
                // Another build had the version before.
                replay.make(GET_TASK_PUT, &[(31, "")]).await;
                let running = replay
                    .trigger("ci-gateway", "/api/v1/teams/main/pipelines/waiting/jobs/serial/builds")
                    .await;
                replay.advance(running, "started").await;
                replay.before = Some(running);
            }
            _ => {}
        }
        replay.make_builds().await;
        if file == "errors" {
            let build =
                replay.trigger("ci-gateway", "/api/v1/teams/main/pipelines/basic/jobs/hello/builds").await;
            replay.ids.insert(1, build);
        }
        if file == "jobs" {
            for build in replay.ids.values() {
                replay.advance(*build, "succeeded").await;
            }
        }
        if file == "events-headers" {
            let job = "/api/v1/teams/main/pipelines/basic/jobs/hello/builds";
            let build = replay.trigger("ci-gateway", job).await;
            replay.advance(build, "succeeded").await;
            replay.ids.insert(30, build);
        }
        replay
    }

    /// Makes the builds that the file shows and does not begin itself, the oldest first.
    async fn make_builds(&mut self) {
        let exchanges = self.exchanges;
        let bodies: Vec<Value> = exchanges.iter().map(json).collect();
        let begun = exchanges.iter().zip(&bodies).filter(|(exchange, _)| exchange.method == "POST");
        let begun: Vec<i64> = begun.flat_map(|(_, body)| builds(body)).map(|build| build.id).collect();
        let mut shown = BTreeMap::new();
        for build in bodies.iter().flat_map(builds) {
            if !begun.contains(&build.id) {
                shown.entry(build.id).or_insert(build);
            }
        }
        for (id, build) in shown {
            if self.ids.contains_key(&id) {
                continue;
            }
            let job = build.job.replace("/jobs/job-b/", "/jobs/job-a/").replace("mortal-two", "mortal");
            let own = match build.rerun_of {
                None => self.trigger(build.created_by, &job).await,
                Some(original) => {
                    let original = original["id"].as_i64().and_then(|id| self.ids.get(&id)).copied().unwrap();
                    self.advance(original, "started").await;
                    let name = self.twin.build(original).unwrap().name;
                    self.trigger(build.created_by, &format!("{job}/{name}")).await
                }
            };
            self.note(id, build.name, &build.job, own);
        }
    }

    /// Makes builds of a job that succeed: those that were recorded as these, and how each came about.
    async fn make(&mut self, job: &str, recorded: &[(i64, &str)]) {
        for (id, path) in recorded {
            let build = self.trigger("ci-gateway", &format!("{job}{path}")).await;
            self.advance(build, "succeeded").await;
            let name = self.twin.build(build).unwrap().name;
            self.note(*id, &name, job, build);
        }
    }

    async fn trigger(&self, account: &str, job: &str) -> i64 {
        let reply = self.clients[account].post(job).await;
        reply.json()["id"].as_i64().unwrap_or_else(|| panic!("{job}: {reply:?}"))
    }

    fn note(&mut self, recorded: i64, name: &str, job: &str, own: i64) {
        self.ids.insert(recorded, own);
        let own = self.twin.build(own).unwrap().name;
        self.names.insert((job.split('?').next().unwrap().to_owned(), name.to_owned()), own);
    }

    /// Brings a build to where the recorded one was.
    async fn advance(&self, build: i64, status: &str) {
        let reached = || {
            let now = self.twin.build(build).map(|build| build.status);
            now.is_none_or(|now| now.as_str() == status || now.is_terminal())
        };
        if status == "pending" || reached() {
            return;
        }
        if status == "aborted" && !self.twin.build(build).unwrap().abort_requested {
            self.clients["admin"].put(&format!("/api/v1/builds/{build}/abort"), "").await;
        }
        // Each release lets one wait pass; what it leads to takes a moment.
        for _release in 0..4 {
            self.twin.release(build);
            for _look in 0..50 {
                if reached() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let now = self.twin.build(build).unwrap().status;
        assert!(status == "started" && now == Status::Started, "build {build} is {now:?} and not {status}");
    }

    /// Asks the twin, and says how its answer differs; `None` where there is nothing to compare.
    pub async fn exchange(&mut self, index: usize) -> Option<Vec<String>> {
        let exchange = &self.exchanges[index];
        // Nothing came within 4 s; and what no client of HTTP sends cannot be asked.
        if exchange.answer.status == 0 || exchange.target.contains("%zz") {
            return None;
        }
        if exchange.note.starts_with("the job was renamed") {
            self.twin.rename_job("main", "mortal", "job-a", "job-b");
        }
        if exchange.note.starts_with("the job was taken out") {
            self.twin.remove_job("main", "mortal", "job-b");
        }
        if exchange.note.starts_with("the job while builds wait")
            && let Some(before) = self.before
        {
            self.advance(before, "aborted").await;
        }
        self.prepare(index).await;
        let target = self.target(&exchange.target).await;
        let client = &self.clients[Self::account(exchange)];
        let headers: Vec<_> = exchange.headers.iter().filter(|(name, value)| is_sent(name, value)).collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let method: Method = exchange.method.parse().unwrap();
        let mut recorded = exchange.answer.clone();
        for (_, link) in recorded.headers.iter_mut().filter(|(name, _)| name == "link") {
            *link = self.in_query(link);
        }
        if target.ends_with("/events") && recorded.status == 200 {
            let stream = client.send_for_stream(method, &target, &headers).await;
            return Some(differences(&recorded, stream.status.as_u16(), &stream.headers, None));
        }
        let body = exchange.body.replace("%3Cpassword%3E", PASSWORD).replace("<password>", PASSWORD);
        let reply = client.send_with(method, &target, &headers, &body).await;
        let own: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        for (was, is) in builds(&json(exchange)).iter().zip(builds(&own)) {
            self.note(was.id, was.name, &was.job, is.id);
        }
        let mut all = differences(&recorded, reply.status.as_u16(), &reply.headers, Some(&reply.body));
        if let Some(was) = recorded.ids.as_deref().filter(|ids| ids.starts_with('[')) {
            let is: Vec<i64> =
                own.as_array().into_iter().flatten().filter_map(|it| it["id"].as_i64()).collect();
            let was: Vec<i64> = listed_ids(was).iter().map(|id| self.ids[id]).collect();
            if is != was {
                all.push(format!("ids {was:?} and not {is:?}"));
            }
        }
        Some(all)
    }

    /// Lets builds go on to where the next requests found them.
    async fn prepare(&self, index: usize) {
        let exchange = &self.exchanges[index];
        let later = |id: i64| {
            let exchanges = self.exchanges[index..].iter();
            exchanges.filter(|it| build_of(&it.target) == Some(id)).find_map(|it| {
                let body = json(it);
                let shown = Shown::of(&body)?;
                Some((shown.status.to_owned(), shown.has_started))
            })
        };
        let path = exchange.target.split('?').next().unwrap();
        if let Some(id) = build_of(path)
            && (path.ends_with(&format!("/{id}")) || path.ends_with("/abort"))
            && let Some(own) = self.ids.get(&id)
        {
            match later(id) {
                Some((status, started)) if exchange.target.contains("/abort") && status == "aborted" => {
                    self.advance(*own, if started { "started" } else { "pending" }).await;
                }
                Some((status, _)) => {
                    if let Some(before) = self.before.filter(|_| status == "succeeded") {
                        self.advance(before, "succeeded").await;
                    }
                    self.advance(*own, &status).await;
                }
                None => {}
            }
        }
        for build in builds(&json(exchange)) {
            if let Some(own) = self.ids.get(&build.id) {
                self.advance(*own, build.status).await;
            }
        }
    }

    /// The path with the twin's ids and names in place of the recorded ones. A build that is to be run again and was
    /// never shown is made here.
    async fn target(&mut self, target: &str) -> String {
        if let Some(id) = build_of(target) {
            return match self.ids.get(&id) {
                Some(own) => target.replacen(&format!("/builds/{id}"), &format!("/builds/{own}"), 1),
                None => target.to_owned(),
            };
        }
        let is_name = |name: &str| name.starts_with(|c: char| c.is_ascii_digit()) && name != "999";
        if let Some((job, name)) = target.rsplit_once('/')
            && job.contains("/jobs/")
            && job.ends_with("/builds")
            && is_name(name)
        {
            let key = (job.to_owned(), name.to_owned());
            if !self.names.contains_key(&key) && !name.contains('.') {
                let build = self.trigger("ci-gateway", job).await;
                if job.contains("/basic/") || job.contains("not-rerunnable") {
                    self.advance(build, "started").await;
                }
                let own = self.twin.build(build).unwrap().name;
                self.names.insert(key.clone(), own);
            }
            let own = self.names.get(&key).map_or(name, String::as_str);
            return format!("{job}/{own}");
        }
        self.in_query(target)
    }

    /// A query with the twin's ids in it.
    fn in_query(&self, text: &str) -> String {
        let Some((path, query)) = text.split_once('?') else { return text.to_owned() };
        let (query, rest) = query.split_once('>').map_or((query, None), |(query, rest)| (query, Some(rest)));
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name @ ("from" | "to" | "since" | "until"), id)) => {
                format!(
                    "{name}={}",
                    id.parse().map_or_else(|_| id.to_owned(), |id| self.own_id(id).to_string())
                )
            }
            _ => pair.to_owned(),
        });
        let query = pairs.collect::<Vec<_>>().join("&");
        match rest {
            Some(rest) => format!("{path}?{query}>{rest}"),
            None => format!("{path}?{query}"),
        }
    }

    /// The twin's id of a build, or one that stands to its builds as the recorded one did.
    fn own_id(&self, id: i64) -> i64 {
        if let Some(own) = self.ids.get(&id) {
            return *own;
        }
        match self.ids.range(..id).next_back() {
            Some((_, own)) => own + 1,
            None => 1,
        }
    }

    /// Who asks, as the note says.
    fn account(exchange: &Exchange) -> &'static str {
        let note = exchange.note.as_str();
        let is_ours = |(name, value): &(String, String)| name == "authorization" && value == "Bearer <token>";
        // Of lists of which only ids were kept, headers were left out.
        if exchange.answer.ids.is_none() && !exchange.headers.iter().any(is_ours) {
            return "nobody";
        }
        let changes_pipeline = exchange.target.ends_with("/rename")
            || exchange.method == "DELETE" && !note.starts_with("pipeline-operator");
        if changes_pipeline || exchange.method == "PUT" && exchange.target.contains("/teams/O") {
            return "admin";
        }
        if exchange.method == "PUT" && exchange.target == "/api/v1/teams/other" {
            return "admin";
        }
        match note {
            "viewer" | "role viewer" | "viewer pauses" | "user viewer" => "viewer",
            "role member" | "user member" => "member",
            "no role" => "operator2",
            _ if note.starts_with("user operator2") => "operator2",
            _ if note.starts_with("a token with scope openid only") => "openid only",
            _ if note.contains("(admin)") || note == "user admin" => "admin",
            _ => "ci-gateway",
        }
    }
}

/// Whether a header of the request is sent as it stands.
fn is_sent(name: &str, value: &str) -> bool {
    !matches!(name, "host" | "content-length") && value != "Bearer <token>"
}

/// The ids of a list such as `[(132, '4.3'), (131, '4.2')]`.
fn listed_ids(list: &str) -> Vec<i64> {
    list.split('(').skip(1).filter_map(|pair| pair.split(',').next()?.parse().ok()).collect()
}
